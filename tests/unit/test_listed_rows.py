"""What lists show of a row, whose document is not read as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from post3.model.listing import Listed
from post3.model.object import Blob
from post3.storage.listed import listed
from post3.storage.postgres import rows
from tests.conftest import AN_ENVELOPE, a_bucket, a_version, part_of

words = st.text(st.characters(exclude_categories=()) | st.sampled_from('"\\{}:,'), max_size=6) | st.sampled_from(
    ["checksums", '"checksums":{', '"checksums":{},"checksum_type":"X"', "checksum_type", '{"checksums":{"a":"b"}}']
)
names = st.sampled_from(["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
described = st.dictionaries(words, words, max_size=3)


@settings(deadline=None, max_examples=400)
@given(
    headers=described,
    metadata=described,
    tags=described,
    checksums=st.dictionaries(names, st.from_regex(r"[A-Za-z0-9+/]{2,8}={0,2}(-[0-9])?", fullmatch=True), max_size=3),
    checksum_type=st.sampled_from(["", "FULL_OBJECT", "COMPOSITE"]),
    is_one_body=st.booleans(),
)
def test_the_checksums_of_a_listed_row_are_those_of_its_document(
    headers: dict[str, str],
    metadata: dict[str, str],
    tags: dict[str, str],
    checksums: dict[str, str],
    checksum_type: str,
    is_one_body: bool,
) -> None:
    body = replace(part_of(Blob("id", 3), b"abc"), checksums={"md5": "another"}, encryption=AN_ENVELOPE)
    version = replace(
        a_version(a_bucket("photos"), "key", checksums=checksums, checksum_type=checksum_type),
        headers=headers,
        metadata=metadata,
        tags=tags,
        body=body if is_one_body else None,
    )
    shown = listed(version, is_latest=True)
    assert rows.load_listed("photos", row_of(shown, rows.version_document(version))) == shown


def test_a_row_without_checksums_shows_none() -> None:
    shown = listed(a_version(a_bucket("photos"), "key"), is_latest=False)
    assert rows.load_listed("photos", row_of(shown, "{}")) == shown


def row_of(shown: Listed, document: str) -> Any:
    """As the statements select it, with the revision of its bucket."""
    key, *told, _, _, is_marker, is_latest = shown
    return 1, key.encode(), *told, document, is_marker, is_latest
