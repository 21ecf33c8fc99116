"""S3's XML: trees in, bytes out, and back.

Parsed with defusedxml: a DOCTYPE, an entity or an external reference is refused, never expanded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from post3.errors import MalformedXML
from post3.model.tree import TYPE, Leaf, Tree

DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
"""The namespace of xsi:type, which tells of an element what kind of grantee it names."""
MAX_DEPTH: Final = 32
"""Of elements below the root."""
MAX_ELEMENTS: Final = 100_000
"""Of one document: a completion of ten thousand parts has some eighty thousand."""
MAX_QUOTES: Final = 100_000
"""Of one document, around ETags; an attribute needs two, so this bounds them too."""
FEED: Final = 65_536
"""Bytes that are parsed before the bounds are looked at again."""

_ESCAPES: Final = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        # XML 1.0 has no way to say most control characters; S3 sends these references all the same.
        **{chr(code): f"&#x{code:x};" for code in range(0x20) if chr(code) not in "\t\n"},
    }
)

NEEDS_ESCAPE: Final = re.compile(r"[&<>\"\x00-\x08\x0b-\x1f]").search
"""Finds whether a text has any of them; most have none."""


class Markup(str):
    """Elements that are already written, escapes and all; in a tree they stand under any name, and stay as they are."""

    __slots__ = ()


def render(root: str, tree: Tree | str, namespace: str = NAMESPACE) -> bytes:
    """The document as bytes. An element whose value is None is left out; one with an empty value stays, empty.

    A list under the empty name stands for its items' own elements, in their order: lists of versions and of delete
    markers are thus told as one sequence.
    """
    opening = f'<{root} xmlns="{namespace}">' if namespace else f"<{root}>"
    parts = [opening]
    if isinstance(tree, str):
        parts.append(escaped(tree))
    else:
        _write_tree(parts, tree)
    parts.append(f"</{root}>")
    return DECLARATION + "".join(parts).encode("utf-8", "replace")


def fragment(tree: Tree) -> Markup:
    """The elements of a tree, without a root around them."""
    parts: list[str] = []
    _write_tree(parts, tree)
    return Markup("".join(parts))


def escaped(text: str) -> str:
    """Text as it stands inside an element."""
    return text.translate(_ESCAPES) if NEEDS_ESCAPE(text) else text


def _write_tree(parts: list[str], tree: Tree) -> None:
    for name, value in tree.items():
        if isinstance(value, (list, tuple)):
            for item in value:
                _write_element(parts, name, item) if name else _write_tree(parts, item)
        elif isinstance(value, Markup):
            parts.append(value)
        else:
            _write_element(parts, name, value)  # type: ignore[arg-type]  # mypy does not narrow a recursive Sequence


def _write_element(parts: list[str], name: str, value: Leaf | Tree) -> None:
    if isinstance(value, str):
        parts.append(f"<{name}>{escaped(value)}</{name}>")
    elif value is None:
        return
    elif isinstance(value, (bool, int, datetime)):
        parts.append(f"<{name}>{_text(value)}</{name}>")
    else:
        kind = value.get(TYPE)
        if kind is None:
            parts.append(f"<{name}>")
        else:
            parts.append(f'<{name} xmlns:xsi="{INSTANCE}" xsi:type="{str(kind).translate(_ESCAPES)}">')
            value = {child: inner for child, inner in value.items() if child != TYPE}
        _write_tree(parts, value)
        parts.append(f"</{name}>")


def _text(value: int | bool | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return timestamp(value) if isinstance(value, datetime) else str(value)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, cut and not rounded: it must not show a later second than the headers do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(body: bytes, root: str) -> Tree:
    """The document's tree: a child element is text, a tree of its own, or (where it repeats) a list.

    Of attributes only xsi:type is kept, as the tree's TYPE, where an element below the root has children. Raises
    MalformedXML for what is no XML, is too deep, has a DOCTYPE, or has another root than asked for.
    """
    try:
        element = _parse_bounded(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise MalformedXML from None
    if _local(element.tag) != root:
        raise MalformedXML(f"The document should be a {root}.")
    return _children(element)


def _parse_bounded(body: bytes) -> Element:
    if body.count(b'"') + body.count(b"'") > MAX_QUOTES:
        raise MalformedXML
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
    for start in range(0, len(body), FEED):
        parser.feed(body[start : start + FEED])
    root: Element = parser.close()
    return root


class _Bounded(TreeBuilder):
    """Builds no more of a tree than any document of S3 has: too deep or too many ends before it takes memory."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        """An element begins. Raises MalformedXML for one too many."""
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH + 1 or self._elements > MAX_ELEMENTS:
            raise MalformedXML
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Element:
        """An element ends."""
        self._depth -= 1
        return super().end(tag)


def _tree(element: Element) -> str | Tree:
    if not len(element):
        return element.text or ""
    kind = element.get(f"{{{INSTANCE}}}type")
    return _children(element) if kind is None else {TYPE: kind, **_children(element)}


def _children(element: Element) -> Tree:
    found: dict[str, str | Tree | list[str | Tree]] = {}
    for child in element:
        name, value = _local(child.tag), _tree(child)
        before = found.get(name)
        if before is None:
            found[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            found[name] = [before, value]
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
