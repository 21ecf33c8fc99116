"""Tags: keys with values that somebody puts on an object or a bucket, as documents and headers tell them.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html,
https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html (which characters)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias
from unicodedata import category
from urllib.parse import unquote_to_bytes, urlencode

from post3.errors import BadRequest, InvalidArgument, InvalidTag, MalformedXML
from post3.model.tree import Tree, each, one, text

Tags: TypeAlias = Mapping[str, str]
"""Keys to values, in the order of their bytes."""
Pair: TypeAlias = tuple[str, str]

HEADER: Final = "x-amz-tagging"
SUBRESOURCE: Final = "tagging"
"""Among a bucket's configurations."""
MAX_OF_OBJECT: Final = 10
MAX_OF_BUCKET: Final = 50
MAX_KEY: Final = 128
"""UTF-16 code units: S3 counts a character beyond U+FFFF twice."""
MAX_VALUE: Final = 256
"""UTF-16 code units."""
_RESERVED: Final = "aws:"
_SIGNS: Final = frozenset("_.:/=+-@")
_CATEGORIES: Final = frozenset("LNZ")
"""Of Unicode, by their first letter: letters, numbers, spaces."""


def object_tags(tree: Tree) -> Tags:
    """The tags of a Tagging document for an object. Raises MalformedXML, and InvalidTag, also for more than ten.

    AWS answers BadRequest to more than ten; the Ceph s3-tests want InvalidTag, of the same status.
    """
    return _few(_unique(_pairs(tree, "TagSet")))


def bucket_tags(tree: Tree, element: str = "TagSet") -> Tags:
    """The tags of a Tagging document for a bucket, or of another tree's element that lists tags.

    Raises MalformedXML, InvalidTag, and BadRequest for more than fifty.
    """
    tags = _unique(_pairs(tree, element))
    if len(tags) > MAX_OF_BUCKET:
        raise BadRequest(f"Bucket tag count cannot be greater than {MAX_OF_BUCKET}")
    return tags


def header_tags(value: str) -> Tags:
    """The tags of x-amz-tagging, `a=b&c=`: form-encoded, an object's. Raises InvalidArgument, InvalidTag."""
    try:
        pairs = [_decoded(part) for part in value.split("&") if part]
    except ValueError:
        raise _ill_encoded(value) from None
    if len(dict(pairs)) < len(pairs):
        raise _ill_encoded(value)
    return _few(_unique(pairs))


def to_document(tags: Tags) -> Tree:
    """A Tagging document."""
    return {"TagSet": {"Tag": [{"Key": key, "Value": value} for key, value in tags.items()]}}


def to_header(tags: Tags) -> str:
    """The value of x-amz-tagging that gives these tags."""
    return urlencode(tags)


def _pairs(tree: Tree, element: str) -> Iterator[Pair]:
    found = tree.get(element)
    if isinstance(found, str) and not found.strip():
        return
    tag_set = one(tree, element)
    if tag_set.keys() != {"Tag"}:
        raise MalformedXML
    for tag in each(tag_set, "Tag"):
        key, value = text(tag, "Key"), text(tag, "Value")
        if key is None or value is None or len(tag) > 2:
            raise MalformedXML
        yield key, value


def _decoded(part: str) -> Pair:
    """A pair of the header. Raises ValueError for two equals signs, and for what is no UTF-8."""
    key, value = part.split("=") if "=" in part else (part, "")
    return _unquoted(key), _unquoted(value)


def _unquoted(part: str) -> str:
    return unquote_to_bytes(part.replace("+", " ")).decode()


def _ill_encoded(value: str) -> InvalidArgument:
    return InvalidArgument(
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates.",
        ArgumentName=HEADER,
        ArgumentValue=value,
    )


def _unique(pairs: Iterable[Pair]) -> Tags:
    tags: dict[str, str] = {}
    for key, value in pairs:
        _check(key, value)
        if key in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        tags[key] = value
    return dict(sorted(tags.items()))


def _few(tags: Tags) -> Tags:
    if len(tags) > MAX_OF_OBJECT:
        raise InvalidTag(f"Object tags cannot be greater than {MAX_OF_OBJECT}")
    return tags


def _check(key: str, value: str) -> None:
    if not key or not _is_plain(key, MAX_KEY):
        raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
    if key.lower().startswith(_RESERVED):
        raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
    if not _is_plain(value, MAX_VALUE):
        raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)


def _is_plain(text: str, limit: int) -> bool:
    if len(text) + sum(character > "\uffff" for character in text) > limit:
        return False
    return all(character in _SIGNS or category(character)[0] in _CATEGORIES for character in text)
