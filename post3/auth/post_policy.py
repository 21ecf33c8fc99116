"""POST policies: which upload forms somebody with a key has agreed to, as a signed document within the form.

    {"expiration": "2015-12-30T12:00:00.000Z",
     "conditions": [{"bucket": "photos"},                          the field must equal this
                    ["eq", "$acl", "private"],                     the same
                    ["starts-with", "$key", "user/eric/"],         the field must begin so
                    ["content-length-range", 1, 10485760]]}        bytes of the file, both ends included

A form fits when every condition holds and every field is named by one. So what a policy does not mention cannot be
sent, and a policy that forgets the bucket allows none. Conditions are compared with the fields as they are after
`${filename}` was put in.

- The two members of the document are exact in case; names of fields and operators are not; values are.
- A field that is absent fails every condition but `starts-with` nothing. (S3 was seen to fail that too, and is
  tested to pass it by Ceph's suite; nobody gains a right by it.)
- What is wrong with the document is InvalidPolicyDocument, what is wrong with the form is AccessDenied; a condition
  whose name lacks its dollar sign is one that never holds, as on S3.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn, TypeAlias, cast

from post3.errors import AccessDenied, InvalidPolicyDocument

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

FILENAME_VARIABLE: Final = "${filename}"
UNCOVERED: Final = frozenset({"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"})
"""Fields that no condition needs to name: they sign the policy, or are what it is about."""
UNCOVERED_PREFIXES: Final = ("x-ignore-", "x-amz-checksum-")
"""Fields that mean nothing, and those that only say what the file is, which every client may add."""

_EQUALS: Final = "eq"
_STARTS_WITH: Final = "starts-with"
_SIZE_RANGE: Final = "content-length-range"
_EXPIRATION: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_SIZE: Final = re.compile(r"\d{1,18}", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_EXTRA_ESCAPES: Final = {"$": "$", "v": r"\u000b"}
"""AWS has two escapes that JSON has not."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field must be."""

    operator: str
    """`eq` or `starts-with`."""
    field: str
    """Lower case; empty for a condition that names none, and so never holds."""
    value: str
    text: str
    """As S3 tells of it: a list in JSON, in the policy's spelling."""

    def holds(self, value: str | None) -> bool:
        """Whether the field may have this value; None when it is absent."""
        if not self.field:
            return False
        if self.operator == _EQUALS:
            return value == self.value
        return all(item.startswith(self.value) for item in self._items(value or ""))

    def _items(self, value: str) -> list[str]:
        """Of all fields, the content type alone is a list, whose every item has to begin as the condition says."""
        return [item.strip(" \t") for item in value.split(",")] if self.field == "content-type" else [value]


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """Which forms are allowed, and until when."""

    expiration: datetime
    conditions: tuple[Condition, ...]
    size_range: tuple[int, int] | None = None
    """The file's least and greatest number of bytes; None: any. A file outside is EntityTooSmall or EntityTooLarge."""

    def check_time(self, now: datetime) -> None:
        """Raise AccessDenied when the policy has expired."""
        if now > self.expiration:
            raise AccessDenied("Invalid according to Policy: Policy expired.")

    def check_fields(self, fields: Mapping[str, str], bucket: str) -> None:
        """Raise AccessDenied unless every condition holds and every field is covered.

        `fields` by lower-case name, after substitute_filename; `bucket` is the one addressed, which counts as a field.
        """
        # A form may name the bucket too; then its word must hold as the address does.
        for values in ({**fields, "bucket": bucket}, {"bucket": bucket, **fields}):
            for condition in self.conditions:
                if not condition.holds(values.get(condition.field)):
                    raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {condition.text}")
        covered = UNCOVERED.union(condition.field for condition in self.conditions)
        for name in ("bucket", *fields):
            if name not in covered and not name.startswith(UNCOVERED_PREFIXES):
                raise AccessDenied(f"Invalid according to Policy: Extra input fields: {name}")


def substitute_filename(fields: Mapping[str, str], filename: str | None) -> Mapping[str, str]:
    """The fields with the file's name for every `${filename}`.

    Without a name (None) they stay as they are, as S3 was seen to do; an empty one is put in.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html
    """
    if filename is None:
        return fields
    return {name: value.replace(FILENAME_VARIABLE, filename) for name, value in fields.items()}


def parse_post_policy(encoded: str) -> PostPolicy:
    """The policy in a form's field `policy`: base64 of JSON in UTF-8. Raises InvalidPolicyDocument."""
    document = _parse_json(_decode(encoded))
    if not isinstance(document, dict):
        _refuse("Invalid JSON.")
    unknown = document.keys() - {"expiration", "conditions"}
    if unknown:
        _refuse(f"Unexpected: '{min(unknown)}'")
    expiration = _parse_expiration(document)
    conditions: list[Condition] = []
    ranges: list[tuple[int, int]] = []
    for item in _items(document):
        if isinstance(item, list) and _operator(item) == _SIZE_RANGE:
            ranges.append(_parse_size_range(item))
        else:
            conditions.append(_parse_condition(item))
    return PostPolicy(expiration, tuple(conditions), _intersection(ranges))


def _refuse(reason: str) -> NoReturn:
    raise InvalidPolicyDocument(f"Invalid Policy: {reason}")


def _decode(encoded: str) -> str:
    """Line breaks are left out: libraries put them into long base64."""
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode("utf-8")
    except ValueError:
        _refuse("Invalid base64 encoding.")


def _parse_json(text: str) -> Json:
    text = _ESCAPE.sub(lambda match: _EXTRA_ESCAPES.get(match[1], match[0]), text)
    try:
        document = cast(Json, json.loads(text, object_pairs_hook=_members, parse_constant=_not_json))
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        _refuse("Invalid JSON.")
    return document


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands twice")
    return members


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _parse_expiration(document: Mapping[str, Json]) -> datetime:
    if "expiration" not in document:
        _refuse("Policy missing expiration.")
    text = document["expiration"]
    try:
        if isinstance(text, str) and _EXPIRATION.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:  # no such day or hour
        pass
    _refuse(f"Invalid 'expiration' value: '{text}'")


def _items(document: Mapping[str, Json]) -> list[Json]:
    conditions = document.get("conditions", [])
    if not isinstance(conditions, list):
        _refuse("Invalid 'conditions' value: must be a List.")
    if not conditions:
        _refuse("Policy missing conditions.")
    return conditions


def _parse_condition(item: Json) -> Condition:
    if isinstance(item, dict):
        return _parse_simple(item)
    if not isinstance(item, list):
        _refuse("Invalid condition test: must be a List or Object.")
    operator = _operator(item)
    if operator not in (_EQUALS, _STARTS_WITH):
        _refuse(f"Invalid Condition: unknown operation '{operator}'.")
    name, value = _operands(item)
    if not isinstance(name, str) or not isinstance(value, str):
        _refuse(f"Invalid {operator}: its arguments must be strings.")
    field = name[1:].lower() if name.startswith("$") else ""
    return Condition(operator, field, value, _text(item))


def _parse_simple(item: Mapping[str, Json]) -> Condition:
    if len(item) != 1:
        _refuse("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
    ((name, value),) = item.items()
    if not isinstance(value, str):
        _refuse("Invalid Simple-Condition: value must be a string.")
    return Condition(_EQUALS, name.lower(), value, _text([_EQUALS, f"${name}", value]))


def _operator(item: list[Json]) -> str:
    """The operator of a condition that is a list, in lower case."""
    if not item or not isinstance(item[0], str):
        _refuse("Invalid Condition: missing operation identifier.")
    return item[0].lower()


def _operands(item: list[Json]) -> list[Json]:
    if len(item) != 3:
        _refuse(f"Invalid {item[0]}: wrong number of arguments.")
    return item[1:]


def _parse_size_range(item: list[Json]) -> tuple[int, int]:
    low, high = map(_parse_size, _operands(item))
    return low, high


def _parse_size(value: Json) -> int:
    """Numbers are taken as strings too, as S3 does."""
    if not isinstance(value, (int, str)) or not _SIZE.fullmatch(str(value)):
        _refuse(f"Invalid {_SIZE_RANGE}: its arguments must be numbers of bytes.")
    return int(value)


def _intersection(ranges: list[tuple[int, int]]) -> tuple[int, int] | None:
    if not ranges:
        return None
    return max(low for low, _ in ranges), min(high for _, high in ranges)


def _text(condition: list[Json]) -> str:
    return json.dumps(condition, ensure_ascii=False)
