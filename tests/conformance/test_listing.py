"""What every store promises about lists of versions and uploads."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, Final

import pytest

from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page, collapse
from post3.model.upload import Upload
from post3.storage.listed import listed as listed_as
from post3.storage.protocol import Backend
from tests.conftest import (
    create_upload,
    finish,
    history,
    keys,
    names,
    put,
    put_in_parts,
    put_marker,
    put_part,
    set_versioning,
)

TREE: Final = (
    "a",
    "a/b",
    "a/c/d",
    "a/c/e",
    "ab",
    "b//c",
    "c/",
    "d%",
    "d%2F",
    "d_",
    "dx",
    "é/é",
    "\uffff",
    "🦄/x",
    "🦄/y",
)


async def put_all(backend: Backend, bucket: Bucket, names: tuple[str, ...] = TREE) -> None:
    for name in random.Random(0).sample(names, len(names)):
        await put(backend, bucket, name, name.encode())


async def listed(backend: Backend, bucket: Bucket, **query: Any) -> tuple[list[str], bool]:
    page = await backend.list_versions(bucket, ListQuery(**query))
    return names(page), page.truncated


def is_empty(page: Page[Any]) -> bool:
    return page == Page((), truncated=False)


def versions_on(page: Page[Listed]) -> list[tuple[str, str]]:
    return [(entry.key, entry.version_id) for entry in page.entries if isinstance(entry, Listed)]


# Keys, prefixes, delimiters


async def test_an_empty_bucket_has_an_empty_page(backend: Backend, bucket: Bucket) -> None:
    for query in (ListQuery(), ListQuery(all_versions=True), ListQuery(prefix="a", delimiter="/", after="b")):
        assert is_empty(await backend.list_versions(bucket, query))
        assert is_empty(await backend.list_uploads(bucket, query))


async def test_keys_are_listed_in_the_order_of_their_bytes(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    assert await keys(backend, bucket) == sorted(TREE, key=str.encode)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", TREE),
        ("a", ("a", "a/b", "a/c/d", "a/c/e", "ab")),
        ("a/", ("a/b", "a/c/d", "a/c/e")),
        ("a/c/e", ("a/c/e",)),
        ("a/c/e/", ()),
        ("A", ()),
        ("d%", ("d%", "d%2F")),
        ("d_", ("d_",)),
        ("%", ()),
        ("_", ()),
        ("*", ()),
        ("é", ("é/é",)),
        ("\uffff", ("\uffff",)),
        ("🦄", ("🦄/x", "🦄/y")),
        ("🦄/y", ("🦄/y",)),
        ("\U0010ffff", ()),
        ("x" * 1024, ()),
        ("\0", ()),
        ("'", ()),
    ],
)
async def test_a_prefix_means_itself(backend: Backend, bucket: Bucket, prefix: str, found: tuple[str, ...]) -> None:
    await put_all(backend, bucket)
    assert await listed(backend, bucket, prefix=prefix) == (list(found), False)


async def test_a_prefix_ends_where_the_last_character_does(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket, ("a\U0010ffff", "a\U0010ffff\U0010ffff", "b", "\U0010ffff", "\U0010ffff\U0010ffff"))
    assert await keys(backend, bucket, prefix="a\U0010ffff") == ["a\U0010ffff", "a\U0010ffff\U0010ffff"]
    assert await keys(backend, bucket, prefix="\U0010ffff") == ["\U0010ffff", "\U0010ffff\U0010ffff"]
    assert await keys(backend, bucket, delimiter="\U0010ffff") == ["a\U0010ffff", "b", "\U0010ffff"]


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({"delimiter": "/"}, ["a", "a/", "ab", "b/", "c/", "d%", "d%2F", "d_", "dx", "é/", "\uffff", "🦄/"]),
        ({"delimiter": "/", "prefix": "a"}, ["a", "a/", "ab"]),
        ({"delimiter": "/", "prefix": "a/"}, ["a/b", "a/c/"]),
        ({"delimiter": "/", "prefix": "b/"}, ["b//"]),
        ({"delimiter": "/", "prefix": "c/"}, ["c/"]),
        ({"delimiter": "//", "prefix": "b"}, ["b//"]),
        ({"delimiter": "/c", "prefix": "a"}, ["a", "a/b", "a/c", "ab"]),
        ({"delimiter": "c/d", "prefix": "a/"}, ["a/b", "a/c/d", "a/c/e"]),
        ({"delimiter": "%", "prefix": "d"}, ["d%", "d_", "dx"]),
        ({"delimiter": "é", "after": "d_"}, ["dx", "é", "\uffff", "🦄/x", "🦄/y"]),
        ({"delimiter": "🦄", "after": "z"}, ["é/é", "\uffff", "🦄"]),
        ({"delimiter": "x", "prefix": "d"}, ["d%", "d%2F", "d_", "dx"]),
        ({"delimiter": "nowhere", "prefix": "a"}, ["a", "a/b", "a/c/d", "a/c/e", "ab"]),
    ],
)
async def test_a_delimiter_makes_common_prefixes(
    backend: Backend, bucket: Bucket, query: dict[str, Any], page: list[str]
) -> None:
    await put_all(backend, bucket)
    assert await listed(backend, bucket, **query) == (page, False)


async def test_a_common_prefix_is_none_of_the_keys(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    page = await backend.list_versions(bucket, ListQuery(prefix="a", delimiter="/"))
    a, common, ab = page.entries
    assert isinstance(a, Listed)
    assert common == CommonPrefix("a/")
    assert isinstance(ab, Listed)


# Pages


async def test_a_page_is_truncated_when_more_follow(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    assert await listed(backend, bucket, limit=len(TREE)) == (list(TREE), False)
    assert await listed(backend, bucket, limit=len(TREE) - 1) == (list(TREE[:-1]), True)
    assert await listed(backend, bucket, limit=1) == (["a"], True)
    assert await listed(backend, bucket, prefix="a/c/", limit=2) == (["a/c/d", "a/c/e"], False)


async def test_a_limit_of_nothing_gives_nothing(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    await create_upload(backend, bucket, "key")
    for query in (ListQuery(limit=0), ListQuery(limit=0, delimiter="/"), ListQuery(limit=0, all_versions=True)):
        assert is_empty(await backend.list_versions(bucket, query))
        assert is_empty(await backend.list_uploads(bucket, query))


async def test_a_common_prefix_counts_once(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    assert await listed(backend, bucket, delimiter="/", limit=2) == (["a", "a/"], True)
    assert await listed(backend, bucket, delimiter="/", limit=12) == (
        ["a", "a/", "ab", "b/", "c/", "d%", "d%2F", "d_", "dx", "é/", "\uffff", "🦄/"],
        False,
    )
    assert await listed(backend, bucket, delimiter="/", prefix="🦄", limit=1) == (["🦄/"], False)


async def test_a_page_begins_behind_its_marker(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    for marker in ("", *TREE, "a/bb", "aa", "zzz", "\0", "a/c/d\0", "🦄", "🦄/z", "\U0010ffff"):
        left = [name for name in TREE if name > marker]
        assert await listed(backend, bucket, after=marker) == (left, False)
        assert await listed(backend, bucket, after=marker, limit=2) == (left[:2], len(left) > 2)
        inside = [name for name in left if name.startswith("a/")]
        assert await listed(backend, bucket, after=marker, prefix="a/") == (inside, False)


async def test_a_common_prefix_as_marker_skips_all_that_it_hides(backend: Backend, bucket: Bucket) -> None:
    await put_all(backend, bucket)
    assert (await keys(backend, bucket, delimiter="/", after="a/"))[:3] == ["ab", "b/", "c/"]
    assert (await keys(backend, bucket, delimiter="/", after="a/b"))[:3] == ["a/", "ab", "b/"]
    assert (await keys(backend, bucket, delimiter="/", after="a/z"))[:3] == ["ab", "b/", "c/"]
    assert await keys(backend, bucket, delimiter="/", prefix="a/", after="a/c/") == []
    assert await keys(backend, bucket, delimiter="/", prefix="a/", after="a/c/d") == ["a/c/"]
    assert (await keys(backend, bucket, after="a/"))[:2] == ["a/b", "a/c/d"]
    assert await keys(backend, bucket, delimiter="/", after="🦄/") == []
    assert await keys(backend, bucket, delimiter="/c", prefix="a", after="a/c") == ["ab"]


@pytest.mark.parametrize("delimiter", ["", "/", "1", "/1"])
@pytest.mark.parametrize("limit", [1, 3, 7, 50])
async def test_pages_one_after_another_give_everything_once(
    backend: Backend, bucket: Bucket, delimiter: str, limit: int
) -> None:
    await put_all(backend, bucket, tuple(f"{folder}/{name}" for folder in ("a", "b", "b1", "c") for name in range(12)))
    everything = await keys(backend, bucket, delimiter=delimiter)
    given: list[str] = []
    while True:
        page, truncated = await listed(
            backend, bucket, delimiter=delimiter, limit=limit, after=given[-1] if given else ""
        )
        given += page
        assert truncated == (len(given) < len(everything))
        assert not truncated or len(page) == limit
        if not truncated:
            break
    assert given == everything


async def test_many_keys_are_listed(backend: Backend, bucket: Bucket) -> None:
    names = tuple(f"folder-{number % 7}/{number:04}" for number in range(1100))
    await put_all(backend, bucket, names)
    first, truncated = await listed(backend, bucket)
    assert truncated
    assert first == sorted(names)[:1000]
    assert await listed(backend, bucket, after=first[-1]) == (sorted(names)[1000:], False)
    assert await keys(backend, bucket, delimiter="/") == [f"folder-{number}/" for number in range(7)]


# Versions


async def test_a_list_shows_what_lists_show(backend: Backend, versioned: Bucket) -> None:
    checksums = {"crc32": "AAAAAA==", "sha256": "x"}
    first = await put(
        backend, versioned, "key", b"data", checksums=checksums, checksum_type="FULL_OBJECT", storage_class="GLACIER_IR"
    )
    second = await put_in_parts(backend, versioned, "key", b"a", b"bc", owner="carol", checksum_type="COMPOSITE")
    marker = await put_marker(backend, versioned, "key", owner="dave")
    other = await put(backend, versioned, "other", b"")

    page = await backend.list_versions(versioned, ListQuery(all_versions=True))
    everything = [(marker, True), (second, False), (first, False), (other, True)]
    assert list(page.entries) == [listed_as(version, is_latest=is_latest) for version, is_latest in everything]
    page = await backend.list_versions(versioned, ListQuery())
    assert list(page.entries) == [listed_as(other, is_latest=True)]


async def test_a_list_of_objects_shows_only_current_ones(backend: Backend, versioned: Bucket) -> None:
    for _ in range(3):
        await put(backend, versioned, "many", b"data")
    await put(backend, versioned, "hidden", b"data")
    await put_marker(backend, versioned, "hidden")
    await put_marker(backend, versioned, "never there")
    shown = await put(backend, versioned, "shown again", b"data")
    marker = await put_marker(backend, versioned, "shown again")
    await backend.delete_version(versioned, "shown again", marker.version_id)
    page = await backend.list_versions(versioned, ListQuery())
    assert names(page) == ["many", "shown again"]
    assert versions_on(page) == [
        ("many", (await history(backend, versioned, "many"))[0]),
        ("shown again", shown.version_id),
    ]


async def test_hidden_keys_make_no_common_prefix(backend: Backend, versioned: Bucket) -> None:
    await put(backend, versioned, "a/b", b"data")
    await put_marker(backend, versioned, "a/b")
    await put(backend, versioned, "b/c", b"data")
    assert await keys(backend, versioned, delimiter="/") == ["b/"]
    assert await keys(backend, versioned, delimiter="/", all_versions=True) == ["a/", "b/"]
    assert await listed(backend, versioned, limit=1) == (["b/c"], False)


async def test_versions_are_listed_by_key_and_newest_first(backend: Backend, versioned: Bucket) -> None:
    stored = {name: [await put(backend, versioned, name, b"") for _ in range(3)] for name in ("b", "a", "a/b")}
    marker = await put_marker(backend, versioned, "a")
    expected = [
        *[("a", version.version_id) for version in (marker, *reversed(stored["a"]))],
        *[("a/b", version.version_id) for version in reversed(stored["a/b"])],
        *[("b", version.version_id) for version in reversed(stored["b"])],
    ]
    page = await backend.list_versions(versioned, ListQuery(all_versions=True))
    assert versions_on(page) == expected
    assert versions_on(await backend.list_versions(versioned, ListQuery(all_versions=True, prefix="a"))) == expected[:7]
    for size in (1, 2, 3, 5):
        given: list[tuple[str, str]] = []
        query = ListQuery(all_versions=True, limit=size)
        while len(given) < len(expected):
            page = await backend.list_versions(versioned, query)
            given += versions_on(page)
            last = page.entries[-1]
            assert isinstance(last, Listed)
            query = replace(query, after=last.key, after_sequence=last.sequence)
            assert page.truncated == (len(given) < len(expected))
        assert given == expected


async def test_a_page_goes_on_behind_a_version_that_is_gone(backend: Backend, versioned: Bucket) -> None:
    """s3-tests delete a page and then ask for the next one."""
    stored = [await put(backend, versioned, "key", b"") for _ in range(5)]
    later = await put(backend, versioned, "later", b"")
    page = await backend.list_versions(versioned, ListQuery(all_versions=True, limit=2))
    last = page.entries[-1]
    assert isinstance(last, Listed)
    for key, version_id in versions_on(page):
        await backend.delete_version(versioned, key, version_id)
    query = ListQuery(all_versions=True, after=last.key, after_sequence=last.sequence)
    left = [*[("key", version.version_id) for version in reversed(stored[:3])], ("later", later.version_id)]
    assert versions_on(await backend.list_versions(versioned, query)) == left
    for version in stored[:3]:
        await backend.delete_version(versioned, "key", version.version_id)
    assert versions_on(await backend.list_versions(versioned, query)) == left[3:]
    between = replace(query, after="key", after_sequence=1)
    assert versions_on(await backend.list_versions(versioned, between)) == left[3:]


async def test_a_key_as_marker_skips_all_its_versions(backend: Backend, versioned: Bucket) -> None:
    for name in ("a", "b", "c"):
        for _ in range(2):
            await put(backend, versioned, name, b"")
    assert await keys(backend, versioned, all_versions=True, after="a") == ["b", "b", "c", "c"]
    assert await keys(backend, versioned, all_versions=True, after="aa") == ["b", "b", "c", "c"]
    assert await keys(backend, versioned, all_versions=True, after="c") == []


async def test_a_page_of_versions_may_mix_prefixes_and_markers(backend: Backend, versioned: Bucket) -> None:
    for name in ("a", "b/1", "b/2", "c"):
        await put(backend, versioned, name, b"")
        await put_marker(backend, versioned, name)
    query = {"all_versions": True, "delimiter": "/"}
    assert await listed(backend, versioned, **query) == (["a", "a", "b/", "c", "c"], False)
    assert await listed(backend, versioned, **query, limit=3) == (["a", "a", "b/"], True)
    assert await listed(backend, versioned, **query, after="b/") == (["c", "c"], False)
    assert await listed(backend, versioned, **query, after="b/", after_sequence=5) == (["c", "c"], False)
    assert await listed(backend, versioned, all_versions=True, prefix="b/") == (["b/1", "b/1", "b/2", "b/2"], False)


async def test_a_replaced_null_version_is_listed_at_its_new_place(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"null")
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    named = await put(backend, enabled, "key", b"named")
    assert await history(backend, enabled, "key") == [named.version_id, "null"]
    suspended = await set_versioning(backend, bucket.name, "Suspended")
    await put(backend, suspended, "key", b"null again")
    page = await backend.list_versions(suspended, ListQuery(all_versions=True))
    assert versions_on(page) == [("key", "null"), ("key", named.version_id)]
    assert (await keys(backend, suspended)) == ["key"]


# Uploads


def uploads_on(page: Page[Upload]) -> list[tuple[str, str]]:
    return [(entry.key, entry.upload_id) for entry in page.entries if isinstance(entry, Upload)]


async def test_open_uploads_are_listed_by_key_and_birth(backend: Backend, bucket: Bucket) -> None:
    born = [
        await create_upload(backend, bucket, key, number)
        for number, key in enumerate(("b", "a", "a/b", "a", "b", "🦄"), 1)
    ]
    done = await create_upload(backend, bucket, "a", 7)
    await finish(backend, bucket, done, [await put_part(backend, bucket, done, 1, b"data")])
    gone = await create_upload(backend, bucket, "a", 8)
    await backend.abort_upload(bucket, gone)
    await put(backend, bucket, "object", b"data")
    expected = sorted((upload.key, upload.upload_id) for upload in born)
    page = await backend.list_uploads(bucket, ListQuery())
    assert uploads_on(page) == expected
    assert page.entries[0] == born[1]
    for limit in (1, 2, 4):
        given: list[tuple[str, str]] = []
        query = ListQuery(limit=limit)
        while len(given) < len(expected):
            page = await backend.list_uploads(bucket, query)
            given += uploads_on(page)
            query = replace(query, after=given[-1][0], after_id=given[-1][1])
            assert page.truncated == (len(given) < len(expected))
        assert given == expected


async def test_uploads_have_prefixes_and_markers_too(backend: Backend, bucket: Bucket) -> None:
    for number, key in enumerate(("a", "a/b", "a/b", "a/c/d", "b%", "b_", "bx", "c"), 1):
        await create_upload(backend, bucket, key, number)

    async def page(**query: Any) -> tuple[list[str], bool]:
        found = await backend.list_uploads(bucket, ListQuery(**query))
        return names(found), found.truncated

    assert await page(prefix="a/") == (["a/b", "a/b", "a/c/d"], False)
    assert await page(prefix="b_") == (["b_"], False)
    assert await page(delimiter="/") == (["a", "a/", "b%", "b_", "bx", "c"], False)
    assert await page(delimiter="/", prefix="a/") == (["a/b", "a/b", "a/c/"], False)
    assert await page(delimiter="/", limit=2) == (["a", "a/"], True)
    assert await page(delimiter="/", after="a/") == (["b%", "b_", "bx", "c"], False)
    assert await page(after="a/b") == (["a/c/d", "b%", "b_", "bx", "c"], False)
    assert await page(after="a/a", limit=1) == (["a/b"], True)
    second = f"{2:016x}{2:016x}"
    assert await page(after="a/b", after_id=second, prefix="a/") == (["a/b", "a/c/d"], False)
    await backend.abort_upload(bucket, await backend.get_upload(bucket, "a/b", second))
    assert await page(after="a/b", after_id=second, prefix="a/") == (["a/b", "a/c/d"], False)


# Everything


async def test_any_query_gives_the_page_that_collapse_makes(backend: Backend, versioned: Bucket) -> None:
    choose = random.Random(42)
    some_keys = ["".join(choose.choices("ab/%_é🦄", k=choose.randint(1, 5))) for _ in range(60)]
    for key in some_keys:
        for _ in range(choose.choice((1, 1, 3))):
            await (put_marker if choose.random() < 0.3 else put)(backend, versioned, key)
    everything = await backend.list_versions(versioned, ListQuery(all_versions=True))
    versions = [entry for entry in everything.entries if isinstance(entry, Listed)]
    assert versions == sorted(versions, key=lambda version: (version.key, -version.sequence))
    for _ in range(400):
        after = choose.choice(["", "a", "a/", "é", "~", *(version.key for version in versions)])
        behind = choose.choice([0, *(version.sequence for version in versions if version.key == after)])
        query = ListQuery(
            prefix=choose.choice(["", "", "a", "a/", "%", "_", "é", "🦄", "/"]),
            delimiter=choose.choice(["", "/", "/", "a", "a/", "é", "%", "_a"]),
            after=after,
            after_sequence=choose.choice([behind, behind + 1]) if behind else 0,
            limit=choose.choice([0, 1, 2, 5, 20, 1000]),
            all_versions=choose.random() < 0.5,
        )
        shown = [
            version
            for version in versions
            if version.key.startswith(query.prefix)
            and (query.all_versions or (version.is_latest and not version.is_delete_marker))
        ]
        if not query.all_versions:
            query = replace(query, after_sequence=0)
        page = await backend.list_versions(versioned, query)
        expected = collapse(shown, query)
        assert names(page) == names(expected), query
        assert versions_on(page) == versions_on(expected), query
        assert page.truncated == expected.truncated, query


async def test_lists_that_are_given_up_hold_nothing_back(backend: Backend, bucket: Bucket) -> None:
    for number in range(20):
        await put(backend, bucket, f"key-{number:02}", b"data")
    for turns in range(100):
        listing = asyncio.ensure_future(backend.list_versions(bucket, ListQuery()))
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        listing.cancel()
        await asyncio.wait([listing])
    async with asyncio.timeout(10):
        await put(backend, bucket, "one more", b"data")
        assert len((await backend.list_versions(bucket, ListQuery())).entries) == 21
