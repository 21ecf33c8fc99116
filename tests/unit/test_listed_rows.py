"""What lists show of rows, which come as columns and whose documents are not read as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from post3.model.listing import CommonPrefix, Listed
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
    document = rows.version_document(version)
    assert rows.load_page(page_of([shown], [rows.shown_checksums(version)])) == [shown]
    assert rows.load_page(page_of([shown, shown], [document, rows.shown_checksums(version)])) == [shown, shown]


def test_a_row_without_checksums_shows_none() -> None:
    shown = listed(a_version(a_bucket("photos"), "key"), is_latest=False)
    assert rows.load_page(page_of([shown, shown], ["{}", ":"])) == [shown, shown]


told = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)
entries = st.builds(
    Listed,
    key=st.text(st.characters(codec="utf-8"), max_size=4),
    sequence=st.integers(1, 2**63 - 1),
    version_id=told,
    modified=st.integers(-(10**15), 10**16),
    size=st.integers(0, 2**63 - 1),
    etag=told,
    owner=told,
    storage_class=st.just("STANDARD") | told,
    checksums=st.sampled_from(["", "crc32", "crc32,sha256"]),
    checksum_type=st.sampled_from(["", "FULL_OBJECT"]),
    is_delete_marker=st.booleans(),
    is_latest=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(st.tuples(entries, st.sampled_from(["", "prefix/", "ü/"])), min_size=1, max_size=5))
def test_a_page_is_what_its_columns_say(shown: list[tuple[Listed, str]]) -> None:
    versions = [entry for entry, _ in shown]
    page = page_of(versions, [f"{entry.checksums}:{entry.checksum_type}" for entry in versions])
    assert rows.load_page(page) == versions
    page["commons"] = b"\xff".join(prefix.encode() for _, prefix in shown)
    assert rows.load_page(page) == [CommonPrefix(prefix) if prefix else entry for entry, prefix in shown]


def test_a_page_without_versions_is_empty() -> None:
    page: Any = {"keys": None}
    assert rows.load_page(page) == []


def page_of(shown: list[Listed], checksums: list[str]) -> Any:
    """As the statements select it."""

    def texts(column: Iterable[str]) -> bytes:
        return b"\xff".join(text.encode() for text in column)

    def numbers(column: Iterable[int]) -> bytes:
        return b"".join(number.to_bytes(8, "big", signed=True) for number in column)

    return {
        "keys": texts(entry.key for entry in shown),
        "sequences": numbers(entry.sequence for entry in shown),
        "version_ids": texts(entry.version_id for entry in shown),
        "times": numbers(entry.modified - rows.EPOCH for entry in shown),
        "sizes": numbers(entry.size for entry in shown),
        "etags": texts(entry.etag for entry in shown),
        "owners": texts(entry.owner for entry in shown),
        "storage_classes": texts(entry.storage_class for entry in shown),
        "checksums": texts(checksums),
        "markers": bytes(entry.is_delete_marker for entry in shown),
        "latest": bytes(entry.is_latest for entry in shown),
    }
