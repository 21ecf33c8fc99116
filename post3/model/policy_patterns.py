"""What a pattern of a bucket policy matches: text with `*`, `?` and variables.

A pattern is cut at its stars into runs. The first run must begin the text, the last must end it, and each between them
is taken at the first place where it fits: a later place could only leave less room for those that follow. So nothing is
ever tried twice, and the time is bounded by the product of both lengths, however many stars there are.

A variable, `${aws:username}` or `${aws:username, 'nobody'}`, stands for the one value of a condition key. Without a
value, or with several, it takes the default; without a default, the pattern matches nothing. Values are literal: a star
in one stands for itself. `${*}`, `${?}` and `${$}` are the characters themselves.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

Context: TypeAlias = Mapping[str, Sequence[str]]
"""The values of a request's condition keys, by folded key; a key without values is absent."""

_WILD: Final = r"(?P<wild>[*?])"
_VARIABLE: Final = r"\$\{(?:(?P<special>[*?$])|(?P<key>[^{},'*?$]+)(?:,\s*'(?P<default>[^']*)'\s*)?)\}"
_WILDCARDS: Final = re.compile(_WILD)
_TOKENS: Final = re.compile(rf"{_VARIABLE}|{_WILD}|(?P<broken>\$\{{)")


def fold_key(key: str) -> str:
    """A condition key in lower case. What follows a slash, as in `s3:ExistingObjectTag/Team`, is a tag's own name and
    keeps its case.
    """
    name, slash, tag = key.partition("/")
    return name.lower() + slash + tag


class Wild(Enum):
    """The two wildcards."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A place that the request fills."""

    key: str
    """Folded."""
    default: str | None = None

    def value(self, context: Context) -> str | None:
        """The key's one value, else the default."""
        values = context.get(self.key, ())
        return values[0] if len(values) == 1 else self.default


Piece: TypeAlias = str | Wild | Variable


def _piece(found: Mapping[str, str | None], wildcards: bool) -> Piece:
    if wild := found["wild"]:
        return Wild(wild) if wildcards else wild
    if special := found.get("special"):
        return special
    if key := (found.get("key") or "").strip():
        return Variable(fold_key(key), found.get("default"))
    raise ValueError("a variable is not closed, or has no name")


def _cut(text: str, wildcards: bool, variables: bool) -> Iterator[Piece]:
    place = 0
    for found in (_TOKENS if variables else _WILDCARDS).finditer(text):
        yield text[place : found.start()]
        yield _piece(found.groupdict(), wildcards)
        place = found.end()
    yield text[place:]


@dataclass(frozen=True, slots=True)
class _Run:
    """What stands between two stars."""

    text: str
    size: int
    holes: re.Pattern[str] | None
    """The run as an expression of single characters, where it has question marks; `text` says nothing then."""

    def is_at(self, text: str, place: int) -> bool:
        if self.holes is None:
            return text.startswith(self.text, place)
        return self.holes.match(text, place) is not None

    def end_in(self, text: str, start: int, stop: int) -> int:
        """Where the run ends at its first place in a part of the text, or -1."""
        if self.holes is None:
            place = text.find(self.text, start, stop)
            return place if place < 0 else place + self.size
        found = self.holes.search(text, start, stop)
        return found.end() if found else -1


def _run(pieces: Iterable[str | Wild]) -> _Run:
    pieces = list(pieces)
    size = sum(len(piece) if isinstance(piece, str) else 1 for piece in pieces)
    if Wild.ONE not in pieces:
        return _Run("".join(piece for piece in pieces if isinstance(piece, str)), size, None)
    expression = "".join(re.escape(piece) if isinstance(piece, str) else "." for piece in pieces)
    return _Run("", size, re.compile(expression, re.DOTALL))


def _glob(pieces: Iterable[str | Wild]) -> Glob:
    runs: list[list[str | Wild]] = [[]]
    for piece in pieces:
        if piece is Wild.MANY:
            runs.append([])
        else:
            runs[-1].append(piece)
    return Glob(tuple(_run(run) for run in runs))


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern without variables."""

    runs: tuple[_Run, ...]

    def matches(self, text: str) -> bool:
        """Whether the pattern is that of the whole text, upper and lower case apart."""
        head, tail = self.runs[0], self.runs[-1]
        if len(self.runs) == 1:
            return head.size == len(text) and head.is_at(text, 0)
        place, stop = head.size, len(text) - tail.size
        if stop < place or not head.is_at(text, 0) or not tail.is_at(text, stop):
            return False
        for run in self.runs[1:-1]:
            place = run.end_in(text, place, stop)
            if place < 0:
                return False
        return True


def parse_glob(text: str) -> Glob:
    """A pattern in which only `*` and `?` have a meaning."""
    return _glob(piece for piece in _cut(text, True, False) if not isinstance(piece, Variable))


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern that may have variables."""

    pieces: tuple[Piece, ...]
    ignores_case: bool
    glob: Glob | None
    """The pattern itself, where it has no variables."""

    @property
    def variables(self) -> frozenset[str]:
        """The condition keys that it is filled from, folded."""
        return frozenset(piece.key for piece in self.pieces if isinstance(piece, Variable))

    def matches(self, text: str, context: Context) -> bool:
        """Whether the whole text is of the pattern that the request makes of this."""
        glob = self.glob or self._filled(context)
        if glob is None:
            return False
        return glob.matches(text.lower() if self.ignores_case else text)

    def _filled(self, context: Context) -> Glob | None:
        filled: list[str | Wild] = []
        for piece in self.pieces:
            known = piece.value(context) if isinstance(piece, Variable) else piece
            if known is None:
                return None
            filled.append(known.lower() if self.ignores_case and isinstance(known, str) else known)
        return _glob(filled)


def parse_template(text: str, *, wildcards: bool, variables: bool, ignores_case: bool = False) -> Template:
    """A pattern of a policy; what is not asked for is literal text. Raises ValueError for a broken variable."""
    pieces = tuple(piece for piece in _cut(text, wildcards, variables) if piece != "")
    glob = None
    if not any(isinstance(piece, Variable) for piece in pieces):
        glob = Template(pieces, ignores_case, None)._filled({})
    return Template(pieces, ignores_case, glob)
