"""Pages of listings, held to a second way of saying what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post3.model.listing import CommonPrefix, Listed, ListQuery, Page, collapse
from post3.model.upload import Upload
from tests.conftest import LONG_AGO

Name = tuple[str, int | str]


def version(key: str, sequence: int = 1) -> Listed:
    return Listed(key, sequence, f"{sequence:032x}", 0, 0, "", "alice", "STANDARD", "", "", False, True)


def upload(key: str, upload_id: str) -> Upload:
    return Upload("bucket", key, upload_id, LONG_AGO, "alice")


def names(page: Page[Any]) -> list[str]:
    return [entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in page.entries]


def page_of(keys: list[str], **query: Any) -> tuple[list[str], bool]:
    """Names and truncation of the page of these keys, each of one version."""
    asked = ListQuery(**query)
    page = collapse((version(key) for key in sorted(keys) if key.startswith(asked.prefix)), asked)
    return names(page), page.truncated


def expected(found: list[Name], query: ListQuery) -> tuple[list[Name], bool]:
    """The same page in steps that each look at everything: leave out what was given, name, make unique, cut.

    What is found are pairs of a key and the place within it: minus the sequence of a version, or the id of an upload.
    """
    left = [(key, place) for key, place in found if key.startswith(query.prefix) and not _was_given(key, place, query)]
    named: list[Name] = []
    for key, place in left:
        before, delimiter, _ = key[len(query.prefix) :].partition(query.delimiter or "\0\0")
        name: Name = (query.prefix + before + delimiter, "common") if delimiter else (key, place)
        if name not in named:
            named.append(name)
    return named[: query.limit], 0 < query.limit < len(named)


def _was_given(key: str, place: int | str, query: ListQuery) -> bool:
    told = query.after[len(query.prefix) :]
    names_a_prefix = (
        query.delimiter
        and told.endswith(query.delimiter)
        and told.index(query.delimiter) + len(query.delimiter) == len(told)
    )
    if query.after.startswith(query.prefix) and names_a_prefix and key.startswith(query.after):
        return True
    if key != query.after:
        return key < query.after
    if isinstance(place, str):
        return not query.after_id or place <= query.after_id
    return not query.after_sequence or place <= -query.after_sequence


def seen(page: Page[Any]) -> tuple[list[Name], bool]:
    return [_name(entry) for entry in page.entries], page.truncated


def _name(entry: Listed | Upload | CommonPrefix) -> Name:
    if isinstance(entry, CommonPrefix):
        return entry.prefix, "common"
    return entry.key, entry.upload_id if isinstance(entry, Upload) else -entry.sequence


texts = st.text(alphabet="ab/", max_size=4)
keys = st.text(alphabet="ab/é🦄", min_size=1, max_size=6)
queries = st.builds(
    ListQuery,
    prefix=texts,
    delimiter=st.sampled_from(["", "/", "a", "//", "ab", "/a", "é"]),
    after=texts,
    after_sequence=st.integers(0, 5),
    after_id=st.sampled_from(["", "1", "3", "5"]),
    limit=st.integers(0, 5) | st.just(1000),
)


@settings(deadline=None, max_examples=500)
@given(st.sets(st.tuples(keys, st.integers(1, 5))), queries)
def test_a_page_of_versions_is_what_it_says(found: set[tuple[str, int]], query: ListQuery) -> None:
    ordered = sorted((key, -sequence) for key, sequence in found)
    candidates = [version(key, -place) for key, place in ordered if key.startswith(query.prefix)]
    assert seen(collapse(candidates, query)) == expected([*ordered], query)


@settings(deadline=None, max_examples=300)
@given(st.sets(st.tuples(keys, st.sampled_from("12345"))), queries)
def test_a_page_of_uploads_is_what_it_says(found: set[tuple[str, str]], query: ListQuery) -> None:
    candidates = [upload(key, upload_id) for key, upload_id in sorted(found) if key.startswith(query.prefix)]
    assert seen(collapse(candidates, query)) == expected([*sorted(found)], query)


@settings(deadline=None, max_examples=300)
@given(st.sets(st.tuples(keys, st.integers(1, 5))), queries, st.integers(1, 4))
def test_pages_one_after_another_give_everything_once(
    found: set[tuple[str, int]], query: ListQuery, limit: int
) -> None:
    candidates = [version(key, sequence) for key, sequence in sorted(found, key=lambda pair: (pair[0], -pair[1]))]
    candidates = [candidate for candidate in candidates if candidate.key.startswith(query.prefix)]
    everything = collapse(candidates, replace(query, limit=1000, after="", after_sequence=0))
    query = replace(query, limit=limit, after="", after_sequence=0)
    given_so_far: list[Listed | CommonPrefix] = []
    truncated = True
    while truncated:
        page = collapse(candidates, query)
        assert len(page.entries) == limit or not page.truncated
        given_so_far += page.entries
        truncated = page.truncated
        query = _after(query, given_so_far[-1]) if given_so_far else query
    assert tuple(given_so_far) == everything.entries
    assert not everything.truncated


def _after(query: ListQuery, last: Listed | CommonPrefix) -> ListQuery:
    if isinstance(last, CommonPrefix):
        return replace(query, after=last.prefix, after_sequence=0)
    return replace(query, after=last.key, after_sequence=last.sequence)


def test_candidates_are_read_no_further_than_needed() -> None:
    candidates = iter([version("a"), version("b"), version("c"), version("d")])
    assert collapse(candidates, ListQuery(limit=2)).truncated
    assert next(candidates).key == "d"


def test_a_limit_of_nothing_reads_nothing() -> None:
    candidates = iter([version("a")])
    assert collapse(candidates, ListQuery(limit=0)) == Page((), truncated=False)
    assert next(candidates).key == "a"


def test_keys_are_in_the_order_of_their_bytes() -> None:
    keys = ["a", "B", "é", "\uffff", "🦄", "a\0", "a/", "a!"]
    assert page_of(keys) == (sorted(keys, key=str.encode), False)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({}, (["a", "a/b", "a/c/d", "ab", "b//c", "c/"], False)),
        ({"limit": 6}, (["a", "a/b", "a/c/d", "ab", "b//c", "c/"], False)),
        ({"limit": 5}, (["a", "a/b", "a/c/d", "ab", "b//c"], True)),
        ({"delimiter": "/"}, (["a", "a/", "ab", "b/", "c/"], False)),
        ({"delimiter": "/", "limit": 2}, (["a", "a/"], True)),
        ({"delimiter": "/", "limit": 5}, (["a", "a/", "ab", "b/", "c/"], False)),
        ({"delimiter": "/", "after": "a/"}, (["ab", "b/", "c/"], False)),
        ({"delimiter": "/", "after": "a/b"}, (["a/", "ab", "b/", "c/"], False)),
        ({"delimiter": "/", "after": "a/z"}, (["ab", "b/", "c/"], False)),
        ({"after": "a/"}, (["a/b", "a/c/d", "ab", "b//c", "c/"], False)),
        ({"delimiter": "/", "prefix": "a"}, (["a", "a/", "ab"], False)),
        ({"delimiter": "/", "prefix": "a/"}, (["a/b", "a/c/"], False)),
        ({"delimiter": "/", "prefix": "a/", "after": "a/"}, (["a/b", "a/c/"], False)),
        ({"delimiter": "/", "prefix": "a/", "after": "a/b"}, (["a/c/"], False)),
        ({"delimiter": "/", "prefix": "b/"}, (["b//"], False)),
        ({"delimiter": "//"}, (["a", "a/b", "a/c/d", "ab", "b//", "c/"], False)),
        ({"delimiter": "/", "prefix": "c/"}, (["c/"], False)),
        ({"delimiter": "b"}, (["a", "a/b", "a/c/d", "ab", "b", "c/"], False)),
        ({"delimiter": "x"}, (["a", "a/b", "a/c/d", "ab", "b//c", "c/"], False)),
        ({"prefix": "x"}, ([], False)),
        ({"after": "c/"}, ([], False)),
        ({"delimiter": "/", "after": "c/"}, ([], False)),
    ],
)
def test_prefix_delimiter_and_marker_make_the_page(query: dict[str, Any], page: tuple[list[str], bool]) -> None:
    assert page_of(["a", "a/b", "a/c/d", "ab", "b//c", "c/"], **query) == page


def test_a_page_goes_on_behind_a_version_that_is_gone() -> None:
    versions = [version("a", 9), version("a", 5), version("a", 1), version("b", 3)]
    page = collapse(versions, ListQuery(after="a", after_sequence=6))
    assert [entry for entry in page.entries if isinstance(entry, Listed)] == versions[1:]


def test_a_page_goes_on_behind_an_upload_that_is_gone() -> None:
    uploads = [upload("a", "1"), upload("a", "5"), upload("b", "0")]
    assert collapse(uploads, ListQuery(after="a", after_id="3")).entries == tuple(uploads[1:])
    assert collapse(uploads, ListQuery(after="a")).entries == tuple(uploads[2:])
