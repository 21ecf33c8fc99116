"""What is done with a key, where copies come from and go to, and which ids foreign versions get: without any store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from post3.model.names import is_version_id
from post3.model.object import ObjectVersion
from post3.moving.listing import placed, read_versions
from post3.moving.location import Location, LocationError, parse_location
from post3.moving.opening import keys_from
from post3.moving.planning import Act, Key, Wishes, plan_by_id, plan_by_order, side_by_side
from post3.storage.documents import microseconds

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def a_version(number: int, etag: str = "", *, key: str = "key", marker: bool = False, later: int = 0) -> ObjectVersion:
    """A version that was made so many minutes after noon."""
    modified = NOON + timedelta(minutes=number + later)
    return ObjectVersion("bucket", key, f"{number:032x}", modified, "owner", etag=etag, is_delete_marker=marker)


FIRST, SECOND, THIRD = a_version(1, "a" * 32), a_version(2, "b" * 32), a_version(3, marker=True)
LATER = [a_version(1, "a" * 32, later=9), a_version(2, "b" * 32, later=9), a_version(3, marker=True, later=9)]
OTHER = a_version(2, "c" * 32, later=9)
ALL = [FIRST, SECOND, THIRD]


def acts(steps: Sequence[object]) -> list[Act]:
    return [getattr(step, "act") for step in steps]  # noqa: B009 - steps of either plan


@pytest.mark.parametrize(
    ("target", "wishes", "expected"),
    [
        ([], Wishes(), [Act.COPY, Act.COPY, Act.COPY]),
        (ALL, Wishes(), [Act.CHECK, Act.CHECK, Act.CHECK]),
        (ALL, Wishes(check=False), [Act.SKIP, Act.SKIP, Act.SKIP]),
        ([THIRD], Wishes(), [Act.COPY, Act.COPY, Act.CHECK]),
        ([replace(SECOND, etag="c" * 32)], Wishes(), [Act.COPY, Act.REFUSE, Act.COPY]),
        ([replace(SECOND, modified=NOON)], Wishes(), [Act.COPY, Act.REFUSE, Act.COPY]),
        ([replace(SECOND, etag="c" * 32)], Wishes(overwrite=True), [Act.COPY, Act.REPLACE, Act.COPY]),
        ([a_version(9)], Wishes(), [Act.COPY, Act.COPY, Act.COPY, Act.LEAVE]),
        ([a_version(9)], Wishes(delete=True), [Act.COPY, Act.COPY, Act.COPY, Act.DELETE]),
    ],
)
def test_versions_are_found_by_their_ids(target: list[ObjectVersion], wishes: Wishes, expected: list[Act]) -> None:
    assert acts(plan_by_id(ALL, target, wishes)) == expected


@pytest.mark.parametrize(
    ("target", "wishes", "expected"),
    [
        ([], Wishes(), [Act.COPY, Act.COPY, Act.COPY]),
        (LATER[:1], Wishes(), [Act.SKIP, Act.COPY, Act.COPY]),
        (LATER, Wishes(), [Act.SKIP, Act.SKIP, Act.SKIP]),
        ([LATER[0], OTHER], Wishes(), [Act.SKIP, Act.REFUSE, Act.REFUSE]),
        ([LATER[0], OTHER], Wishes(overwrite=True), [Act.SKIP, Act.DELETE, Act.REPLACE, Act.REPLACE]),
        ([*LATER, OTHER], Wishes(), [Act.SKIP, Act.SKIP, Act.SKIP, Act.LEAVE]),
        ([*LATER, OTHER], Wishes(delete=True), [Act.SKIP, Act.SKIP, Act.SKIP, Act.DELETE]),
    ],
)
def test_else_a_history_is_the_beginning_of_the_other(
    target: list[ObjectVersion], wishes: Wishes, expected: list[Act]
) -> None:
    assert acts(plan_by_order(ALL, target, wishes, versioned=True)) == expected


def test_an_object_without_versions_is_replaced_by_a_put() -> None:
    assert acts(plan_by_order([FIRST], [OTHER], Wishes(overwrite=True), versioned=False)) == [Act.REPLACE]


def test_a_copy_is_no_older_than_what_it_is_of() -> None:
    older = replace(FIRST, modified=NOON)
    assert acts(plan_by_order([FIRST], [older], Wishes(), versioned=False)) == [Act.REFUSE]


def test_etags_of_different_kinds_are_not_compared() -> None:
    of_parts = replace(LATER[0], etag=f"{'d' * 32}-2")
    assert acts(plan_by_order([FIRST], [of_parts], Wishes(), versioned=False)) == [Act.SKIP]
    assert acts(plan_by_order([FIRST], [replace(of_parts, size=1)], Wishes(), versioned=False)) == [Act.REFUSE]


async def of(*keys: str) -> AsyncIterator[list[ObjectVersion]]:
    for key in keys:
        yield [a_version(1, key=key)]


async def test_keys_are_laid_side_by_side() -> None:
    def names(key: Key) -> tuple[list[str], list[str]]:
        return [one.key for one in key.source], [one.key for one in key.target]

    seen = [names(key) async for key in side_by_side(of("a", "b", "é"), of("b", "c", "é", "\U00010400"))]
    assert seen == [(["a"], []), (["b"], ["b"]), ([], ["c"]), (["é"], ["é"]), ([], ["\U00010400"])]
    assert [names(key) async for key in side_by_side(of(), of())] == []


# Locations


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("fs:data", Location("fs", "data")),
        ("pg:/srv/a:b", Location("pg", "/srv/a:b")),
        ("postgresql://me@host/db?sslmode=require", Location("database", "postgresql://me@host/db?sslmode=require")),
        ("postgres:///db", Location("database", "postgres:///db")),
        ("http://127.0.0.1:9000/", Location("endpoint", "http://127.0.0.1:9000")),
        ("https://s3.eu-central-1.amazonaws.com", Location("endpoint", "https://s3.eu-central-1.amazonaws.com")),
    ],
)
def test_a_location_is_what_it_begins_with(text: str, location: Location) -> None:
    assert parse_location(text) == location


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("data", "names no store"),
        ("fs:", "names no directory"),
        ("s3://bucket", "--bucket"),
        ("http://", "is no URL"),
        ("http://host:99999", "is no URL"),
        ("http://host/bucket", "--bucket"),
        ("https://key:secret@host", "Keys do not go into"),
        ("ftp://host", "names no store"),
    ],
)
def test_what_is_no_location_is_told(text: str, why: str) -> None:
    with pytest.raises(LocationError, match=why):
        parse_location(text)


def test_a_password_is_not_shown() -> None:
    assert str(parse_location("postgresql://me:secret@host/db")) == "postgresql://me@host/db"


def test_half_a_key_is_refused() -> None:
    whole = {"POST3_FROM_ACCESS_KEY": "a", "POST3_FROM_SECRET_KEY": "b", "POST3_FROM_REGION": "r"}
    assert keys_from(whole, "FROM", None).region == "r"
    assert keys_from(whole, "TO", "work").profile == "work"
    with pytest.raises(ValueError, match="go together"):
        keys_from({"POST3_TO_ACCESS_KEY": "a"}, "TO", None)
    with pytest.raises(ValueError, match="leave one out"):
        keys_from(whole, "FROM", "work")


# Versions of others


def foreign(id: str, second: int) -> ObjectVersion:
    return ObjectVersion("bucket", "key", id, NOON + timedelta(seconds=second), "owner", content=id)


def test_foreign_ids_become_ids_of_ours_again_and_again() -> None:
    versions = [foreign("3sL4kqtJlcpXroDTDmJ", 0), foreign("null", 0), foreign("uuid-1", 0), foreign("uuid-2", 7)]
    made = placed(versions)
    assert made == placed(versions)
    assert all(is_version_id(one.version_id) for one in made)
    assert [one.content for one in made] == [one.content for one in versions]
    assert [one.sequence for one in made] == sorted({one.sequence for one in made})
    assert [int(one.version_id[:16], 16) for one in made if one.version_id != "null"] == [
        one.sequence for one in made if one.version_id != "null"
    ]
    assert made[3].sequence == microseconds(made[3].modified)


def test_ids_of_post3_stay_and_null_finds_its_place_between_them() -> None:
    first, last = (f"{microseconds(NOON) + at:016x}{7:016x}" for at in (400_000, 900_000))
    made = placed([foreign(first, 0), foreign("null", 0), foreign(last, 0)])
    assert [one.version_id for one in made] == [first, "null", last]
    assert [one.sequence for one in made] == sorted(one.sequence for one in made)


def test_an_id_that_only_looks_like_one_of_post3_is_foreign() -> None:
    looks = "0123456789abcdef0123456789abcdef"
    assert placed([foreign(looks, 0)])[0].version_id != looks


def test_versions_and_markers_are_read_in_the_order_of_the_list() -> None:
    xml = b"""<?xml version="1.0"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
    <EncodingType>url</EncodingType>
    <DeleteMarker><Key>a%2Bb+c</Key><VersionId>2</VersionId><LastModified>2026-01-02T12:00:00.000Z</LastModified>
      <Owner><ID>me</ID></Owner></DeleteMarker>
    <Version><Key>a%2Bb+c</Key><VersionId>1</VersionId><LastModified>2026-01-02T12:00:00.000Z</LastModified>
      <ETag>&quot;e&quot;</ETag><Size>3</Size><StorageClass>GLACIER</StorageClass></Version>
    <DeleteMarker><Key>b</Key><VersionId>null</VersionId><LastModified>2026-01-02T12:00:01.000Z</LastModified>
      </DeleteMarker>
    </ListVersionsResult>"""
    marker, version, last = read_versions(xml, "bucket")
    assert (marker.key, marker.is_delete_marker, marker.owner, marker.modified) == ("a+b c", True, "me", NOON)
    assert (version.key, version.etag, version.size, version.storage_class) == ("a+b c", "e", 3, "GLACIER")
    assert (last.key, last.content) == ("b", "null")
