"""The one shape of an S3 document between wire and store: what XML becomes, and what XML is made of again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, Union

Leaf: TypeAlias = str | int | bool | datetime | None
Tree: TypeAlias = Mapping[str, Union[Leaf, "Tree", Sequence[Union[Leaf, "Tree"]]]]
"""Element names to values; a list is an element that repeats, None one that is left out."""
