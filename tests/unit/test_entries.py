"""Entries of lists are written as their trees would be, byte for byte."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from post3.model.listing import CommonPrefix, Listed
from post3.model.tree import Tree
from post3.s3.entries import Encode, Entries, common_prefixes
from post3.s3.xml import render
from post3.storage.documents import moment

texts = st.text(st.characters() | st.sampled_from("&<>\"'\0\t\r\n]\x1f\x7f\ud800\uffff/% é🦄"), max_size=8)
entries = st.builds(
    Listed,
    key=texts,
    sequence=st.just(1),
    version_id=st.sampled_from(["null", "0" * 32]) | texts,
    modified=st.integers(-(10**15), 10**16),
    size=st.integers(0, 5 * 2**40),
    etag=st.sampled_from(["d41d8cd98f00b204e9800998ecf8427e", "abc-2"]) | texts,
    owner=st.sampled_from(["alice", "bob"]) | texts,
    storage_class=st.sampled_from(["STANDARD", "GLACIER_IR"]) | texts,
    checksums=st.sampled_from(["", "crc32", "crc64nvme", "crc32,sha256", "<"]),
    checksum_type=st.sampled_from(["", "FULL_OBJECT", "COMPOSITE"]),
    is_delete_marker=st.booleans() | st.integers(0, 1),  # as SQLite has them
    is_latest=st.booleans() | st.integers(0, 1),
)
pages = st.lists(entries | st.builds(CommonPrefix, texts), max_size=12)
encodes = st.sampled_from([str, lambda text: quote(text, safe="/", errors="replace")])


def owner_of(id: str) -> Tree:
    return {"ID": id, "DisplayName": f"{id} & Co."}


def object_of(entry: Listed, encode: Encode, *, with_owner: bool) -> Tree:
    return {
        "Key": encode(entry.key),
        "LastModified": moment(entry.modified),
        "ETag": f'"{entry.etag}"',
        "ChecksumAlgorithm": [name.upper() for name in entry.checksums.split(",") if name],
        "ChecksumType": entry.checksum_type or None,
        "Size": entry.size,
        "StorageClass": entry.storage_class,
        "Owner": owner_of(entry.owner) if with_owner else None,
    }


def version_of(entry: Listed, encode: Encode) -> Tree:
    place: Tree = {"VersionId": entry.version_id, "IsLatest": bool(entry.is_latest)}
    if not entry.is_delete_marker:
        return {"Version": {**object_of(entry, encode, with_owner=True), **place}}
    told: Tree = {"LastModified": moment(entry.modified), "Owner": owner_of(entry.owner)}
    return {"DeleteMarker": {"Key": encode(entry.key), **place, **told}}


@settings(deadline=None, max_examples=300)
@given(pages, encodes, st.booleans())
def test_objects_are_written_as_their_trees(
    page: list[Listed | CommonPrefix], encode: Encode, with_owner: bool
) -> None:
    trees = [object_of(entry, encode, with_owner=with_owner) for entry in page if isinstance(entry, Listed)]
    written = Entries(encode, owner_of if with_owner else None).contents(page)
    assert render("List", {"Contents": written}) == render("List", {"Contents": trees})


@settings(deadline=None, max_examples=300)
@given(pages, encodes)
def test_versions_and_markers_are_written_as_their_trees(page: list[Listed | CommonPrefix], encode: Encode) -> None:
    trees = [version_of(entry, encode) for entry in page if isinstance(entry, Listed)]
    written = Entries(encode, owner_of).versions(page)
    assert render("List", {"Versions": written}) == render("List", {"": trees})


@settings(deadline=None)
@given(pages, encodes)
def test_common_prefixes_are_written_as_their_trees(page: list[Listed | CommonPrefix], encode: Encode) -> None:
    trees: list[Tree] = [{"Prefix": encode(entry.prefix)} for entry in page if isinstance(entry, CommonPrefix)]
    written = common_prefixes(page, encode)
    assert render("List", {"CommonPrefixes": written}) == render("List", {"CommonPrefixes": trees})
