"""Tags of any kind: they come through headers and documents as they are, and nothing else does."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from post3.errors import InvalidArgument, InvalidTag, MalformedXML
from post3.model.tagging import MAX_KEY, MAX_VALUE, header_tags, object_tags, to_document, to_header
from post3.s3.xml import parse, render
from tests.fuzz.bounds import bounded

characters = st.characters(categories=["L", "N", "Zs"], include_characters="_.:/=+-@", max_codepoint=0xFFFF)
keys = st.text(characters, min_size=1, max_size=MAX_KEY).filter(lambda key: not key.lower().startswith("aws:"))
tags = st.dictionaries(keys, st.text(characters, max_size=MAX_VALUE), max_size=10)
shapes = st.recursive(
    st.text(max_size=3),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3)
        | st.fixed_dictionaries({"Tag": inner})
        | st.fixed_dictionaries({"Key": inner, "Value": inner}, optional={"Other": inner})
    ),
)
"""What XML can be parsed into."""


@bounded
@given(tags)
def test_tags_come_through_a_header(wanted: dict[str, str]) -> None:
    assert list(header_tags(to_header(wanted)).items()) == sorted(wanted.items())


@bounded
@given(tags)
def test_tags_come_through_a_document(wanted: dict[str, str]) -> None:
    told = parse(render("Tagging", to_document(wanted)), "Tagging")
    assert list(object_tags(told).items()) == sorted(wanted.items())


@bounded
@given(st.text() | st.text("ab=&%+ï4", max_size=12))
def test_any_header_is_tags_or_is_refused(value: str) -> None:
    try:
        found = header_tags(value)
    except (InvalidArgument, InvalidTag):
        return
    assert header_tags(to_header(found)) == found


@bounded
@given(shapes)
def test_any_document_is_tags_or_is_refused(inner: Any) -> None:
    try:
        found = object_tags({"TagSet": inner})
    except (InvalidTag, MalformedXML):
        return
    assert found or not inner.strip()
    assert object_tags(to_document(found)) == found
