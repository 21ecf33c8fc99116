"""The one shape of an S3 document between wire and store: what XML becomes, and what XML is made of again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias, Union

from post3.errors import MalformedXML

Leaf: TypeAlias = str | int | bool | datetime | None
Tree: TypeAlias = Mapping[str, Union[Leaf, "Tree", Sequence[Union[Leaf, "Tree"]]]]
"""Element names to values; a list is an element that repeats, None one that is left out."""
TYPE: Final = "@xsi:type"
"""The name under which a tree keeps its element's attribute xsi:type, the only one that S3 gives a meaning."""


def each(tree: Tree, name: str) -> Iterator[Tree]:
    """The child elements of this name, each as a tree, be there none or many. Raises MalformedXML for text."""
    value = tree.get(name)
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, Mapping):
            raise MalformedXML(f"The element {name} is empty or not what it should be.")
        yield item


def one(tree: Tree, name: str) -> Tree:
    """The child element of this name, as a tree. Raises MalformedXML for text, and unless it stands just once."""
    found = list(each(tree, name))
    if len(found) != 1:
        raise MalformedXML(f"The element {name} should stand once.")
    return found[0]


def text(tree: Tree, name: str) -> str | None:
    """The text of a child element, None when there is none. Raises MalformedXML when it repeats or has children."""
    value = tree.get(name)
    if value is None or isinstance(value, str):
        return value
    raise MalformedXML(f"The element {name} should stand once and be plain text.")


def texts(tree: Tree, name: str) -> list[str]:
    """The texts of the child elements of this name, be there none or many. Raises MalformedXML for other than text."""
    value = tree.get(name)
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    found = [item for item in items if isinstance(item, str)]
    if len(found) < len(items):
        raise MalformedXML(f"The element {name} should be plain text.")
    return found
