"""Lists over HTTP: objects in both ways, versions, uploads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest

from tests.api.asking import Answer, ask, begin, checksum, complete, lacks, md5, refusal, send, set_versioning
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TREE = ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"]
ODD = ["a b", "a+b", "a%b", "a&b", "a<b>", 'a"b', "a'b", "a=b", "a?b#c", "ä/ö", "a\nb", "a\x01b", "*-._~", "日本"]


def fill(s3: S3Client, bucket: str, *keys: str) -> None:
    """Put an object of each key, in an order that is none."""
    for key in sorted(keys, key=hash):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def keys(page: Any) -> list[str]:
    """The keys on a page."""
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes(page: Any) -> list[str]:
    """The common prefixes on a page."""
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def names(page: Any) -> list[str]:
    """Keys and common prefixes of a page in order."""
    return sorted(keys(page) + prefixes(page))


def pages(s3: S3Client, way: str, bucket: str, **query: Any) -> Iterator[Any]:
    """All pages of a list, each begun where the one before says."""
    following: dict[str, Any] = {}
    while True:
        if way == "v1":
            page: Any = s3.list_objects(Bucket=bucket, **query, **following)
            following = {"Marker": page.get("NextMarker") or (keys(page) or [""])[-1]}
        else:
            page = s3.list_objects_v2(Bucket=bucket, **query, **following)
            following = {"ContinuationToken": page.get("NextContinuationToken", "")}
        yield page
        if not page["IsTruncated"]:
            return


both = pytest.mark.parametrize("way", ["v1", "v2"])


# Both ways


@both
def test_an_empty_bucket_is_an_empty_list(s3: S3Client, s3_bucket: str, way: str) -> None:
    (page,) = pages(s3, way, s3_bucket)
    assert lacks(page, "Contents", "CommonPrefixes", "NextMarker", "NextContinuationToken", "Delimiter")
    assert (page["Name"], page["Prefix"], page["MaxKeys"], page["IsTruncated"]) == (s3_bucket, "", 1000, False)


@both
def test_an_entry_tells_what_the_object_is(s3: S3Client, s3_bucket: str, way: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"abc", ChecksumAlgorithm="SHA1", StorageClass="STANDARD_IA")
    (page,) = pages(s3, way, s3_bucket)
    (entry,) = page["Contents"]
    assert (entry["Size"], entry["ETag"], entry["StorageClass"]) == (3, md5(b"abc"), "STANDARD_IA")
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == (["SHA1"], "FULL_OBJECT")
    modified = s3.head_object(Bucket=s3_bucket, Key="key")["LastModified"]
    assert entry["LastModified"].replace(microsecond=0) == modified


@both
def test_keys_stand_in_the_order_of_their_bytes(s3: S3Client, s3_bucket: str, way: str) -> None:
    some = [
        "a",
        "B",
        "b",
        "1999#",
        "1999+",
        "2000",
        " ",
        '"',
        "$",
        "%",
        "&",
        "'",
        "<",
        ">",
        "_",
        "_ ",
        "é",
        "z",
        "😀",
        "\ufffd",
    ]
    fill(s3, s3_bucket, *some)
    (page,) = pages(s3, way, s3_bucket)
    assert keys(page) == sorted(some, key=str.encode)


@both
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_go_on_where_the_last_one_ended(s3: S3Client, s3_bucket: str, way: str, limit: int) -> None:
    fill(s3, s3_bucket, *TREE)
    found = list(pages(s3, way, s3_bucket, MaxKeys=limit))
    assert [key for page in found for key in keys(page)] == sorted(TREE)
    assert [len(keys(page)) for page in found] == [limit] * (5 // limit) + [5 % limit] * (5 % limit > 0)
    assert all(page["MaxKeys"] == limit for page in found)


@both
@pytest.mark.parametrize(
    ("prefix", "delimiter", "found_keys", "found_prefixes"),
    [
        ("", "/", ["asdf"], ["boo/", "cquux/"]),
        ("boo/", "/", ["boo/bar"], ["boo/baz/"]),
        ("boo", "/", [], ["boo/"]),
        ("boo/", "", ["boo/bar", "boo/baz/xyzzy"], []),
        ("", "a", ["cquux/thud"], ["a", "boo/ba", "cquux/bla"]),
        ("", "/b", ["asdf", "cquux/thud"], ["boo/b", "cquux/b"]),
        ("", "%", sorted(TREE), []),
        ("nothing", "/", [], []),
        ("asdf", "/", ["asdf"], []),
        ("asdf/", "/", [], []),
        ("c", "quux/", [], ["cquux/"]),
    ],
)
def test_a_delimiter_collapses_what_lies_behind_it(
    s3: S3Client,
    s3_bucket: str,
    way: str,
    prefix: str,
    delimiter: str,
    found_keys: list[str],
    found_prefixes: list[str],
) -> None:
    fill(s3, s3_bucket, *TREE)
    (page,) = pages(s3, way, s3_bucket, Prefix=prefix, Delimiter=delimiter)
    assert (keys(page), prefixes(page)) == (found_keys, found_prefixes)
    assert page["Prefix"] == prefix
    assert page.get("Delimiter", "") == delimiter


@both
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_common_prefix_is_told_once_across_pages(s3: S3Client, s3_bucket: str, way: str, limit: int) -> None:
    fill(s3, s3_bucket, "a/1", "a/2", "a/3", "b", "c/1", "c/2", "d")
    found = list(pages(s3, way, s3_bucket, Delimiter="/", MaxKeys=limit))
    assert [name for page in found for name in names(page)] == ["a/", "b", "c/", "d"]
    assert all(len(names(page)) == limit for page in found[:-1])


@both
def test_boto3_sees_the_names_that_it_asked_with(s3: S3Client, s3_bucket: str, way: str) -> None:
    fill(s3, s3_bucket, "ä +/1%2F", "ä +/2")
    (page,) = pages(s3, way, s3_bucket, Prefix="ä +", Delimiter="/")
    assert (page["Prefix"], page["Delimiter"], prefixes(page)) == ("ä +", "/", ["ä +/"])


@both
def test_keys_without_a_place_in_xml_come_encoded(s3: S3Client, s3_bucket: str, way: str) -> None:
    fill(s3, s3_bucket, *ODD)
    # boto3 asks for the encoding by itself, and undoes it.
    (page,) = pages(s3, way, s3_bucket)
    assert keys(page) == sorted(ODD)
    assert lacks(page, "EncodingType") or page["EncodingType"] == "url"


@both
def test_every_name_of_a_list_is_encoded(server: Server, s3: S3Client, s3_bucket: str, way: str) -> None:
    fill(s3, s3_bucket, "ä +/1", "ä +/2 +", "ä +/3/4")
    kind = "" if way == "v1" else "list-type=2&"
    begins = "marker" if way == "v1" else "start-after"
    query = f"{kind}encoding-type=url&prefix={quote('ä +/')}&delimiter=/&{begins}={quote('ä +/1')}&max-keys=1"
    answer = ask(server, "GET", f"/{s3_bucket}?{query}")
    assert answer.text("EncodingType") == "url"
    assert answer.text("Key") == "%C3%A4%20%2B/2%20%2B"
    # The first way tells the prefix as it came: s3-tests, test_bucket_list_prefix_unreadable.
    assert answer.texts("Prefix") == ["ä +/" if way == "v1" else "%C3%A4%20%2B/"]
    assert answer.text("Marker" if way == "v1" else "StartAfter") == "%C3%A4%20%2B/1"
    if way == "v1":
        assert answer.text("NextMarker") == "%C3%A4%20%2B/2%20%2B"
    rest = ask(server, "GET", f"/{s3_bucket}?{kind}encoding-type=url&prefix={quote('ä +/3')}&delimiter=/")
    assert rest.texts("Prefix") == ["ä +/3" if way == "v1" else "%C3%A4%20%2B/3", "%C3%A4%20%2B/3/"]
    odd = ask(server, "GET", f"/{s3_bucket}?{kind}encoding-type=url&delimiter=%2B")
    assert odd.text("Delimiter") == "%2B"
    assert odd.texts("Prefix") == ["", "%C3%A4%20%2B"]


@both
def test_without_encoding_names_are_escaped_for_xml(server: Server, s3: S3Client, s3_bucket: str, way: str) -> None:
    fill(s3, s3_bucket, "<a>&\"'", "ä b")
    kind = "" if way == "v1" else "list-type=2"
    answer = ask(server, "GET", f"/{s3_bucket}?{kind}")
    assert answer.texts("Key") == ["<a>&\"'", "ä b"]
    assert answer.texts("EncodingType") == []


LISTS = ["", "list-type=2&", "versions&", "uploads&"]


@pytest.mark.parametrize("encoding", ["xml", "", "URL2"])
@pytest.mark.parametrize("kind", LISTS)
def test_another_encoding_is_refused(server: Server, s3_bucket: str, kind: str, encoding: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}?{kind}encoding-type={encoding}")
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "encoding-type")


@pytest.mark.parametrize("limit", ["-1", "blah", "1.5", "2147483648", "99999999999", "%C2%B2", "0x10"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_limit_that_is_none_is_refused(server: Server, s3_bucket: str, kind: str, limit: str) -> None:
    name = "max-uploads" if kind == "uploads&" else "max-keys"
    answer = ask(server, "GET", f"/{s3_bucket}?{kind}{name}={limit}")
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", name)


@both
@pytest.mark.parametrize(
    ("asked", "given"), [("", "1000"), ("0", "0"), ("1000", "1000"), ("1001", "1000"), ("2147483647", "1000")]
)
def test_a_limit_is_cut_to_a_thousand(
    server: Server, s3: S3Client, s3_bucket: str, way: str, asked: str, given: str
) -> None:
    fill(s3, s3_bucket, "a")
    answer = ask(server, "GET", f"/{s3_bucket}?{'' if way == 'v1' else 'list-type=2&'}max-keys={asked}")
    assert answer.text("MaxKeys") == given
    assert answer.text("IsTruncated") == "false"
    assert answer.texts("Key") == ([] if asked == "0" else ["a"])


@both
def test_a_thousand_hidden_keys_count_as_one(s3: S3Client, s3_bucket: str, way: str) -> None:
    fill(s3, s3_bucket, *(f"0/{number:04}" for number in range(60)), "1999", "1999#", "1999+", "2000")
    (page,) = pages(s3, way, s3_bucket, Delimiter="/", MaxKeys=5)
    assert names(page) == ["0/", "1999", "1999#", "1999+", "2000"]


@both
def test_a_marker_hides_its_key_from_the_list(s3: S3Client, s3_bucket: str, way: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    fill(s3, s3_bucket, "a", "b", "dir/c")
    s3.delete_object(Bucket=s3_bucket, Key="b")
    s3.delete_object(Bucket=s3_bucket, Key="dir/c")
    s3.delete_object(Bucket=s3_bucket, Key="never/was")
    s3.put_object(Bucket=s3_bucket, Key="a", Body=b"newer")
    (page,) = pages(s3, way, s3_bucket, Delimiter="/")
    assert names(page) == ["a"]
    assert page["Contents"][0]["Size"] == 5


# The first way


def test_a_marker_need_not_be_a_key(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "bar", "baz", "foo", "quxx")
    for marker, found in (
        ("blah", ["foo", "quxx"]),
        ("foo", ["quxx"]),
        ("zzz", []),
        ("", ["bar", "baz", "foo", "quxx"]),
    ):
        page = s3.list_objects(Bucket=s3_bucket, Marker=marker)
        assert (keys(page), page["Marker"], page["IsTruncated"]) == (found, marker, False)


def test_the_next_marker_is_told_with_a_delimiter_only(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a", "b/1", "c")
    assert lacks(s3.list_objects(Bucket=s3_bucket, MaxKeys=1), "NextMarker")
    page = s3.list_objects(Bucket=s3_bucket, MaxKeys=2, Delimiter="/")
    assert (names(page), page["NextMarker"]) == (["a", "b/"], "b/")
    rest = s3.list_objects(Bucket=s3_bucket, Delimiter="/", Marker=page["NextMarker"])
    assert names(rest) == ["c"]


def test_a_marker_within_a_common_prefix_keeps_it_in_the_list(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a/1", "a/2", "b")
    assert names(s3.list_objects(Bucket=s3_bucket, Delimiter="/", Marker="a/1")) == ["a/", "b"]


def test_the_first_way_always_tells_the_owner(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a")
    owner: Any = s3.list_buckets(Prefix=s3_bucket)["Owner"]
    assert s3.list_objects(Bucket=s3_bucket)["Contents"][0]["Owner"] == owner


# The second way


def test_the_owner_is_told_on_demand(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a")
    assert lacks(s3.list_objects_v2(Bucket=s3_bucket)["Contents"][0], "Owner")
    assert lacks(s3.list_objects_v2(Bucket=s3_bucket, FetchOwner=False)["Contents"][0], "Owner")
    assert s3.list_objects_v2(Bucket=s3_bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]


def test_the_count_is_of_keys_and_common_prefixes(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, *TREE)
    page = s3.list_objects_v2(Bucket=s3_bucket, Delimiter="/")
    assert page["KeyCount"] == 3
    assert s3.list_objects_v2(Bucket=s3_bucket, MaxKeys=2)["KeyCount"] == 2
    assert s3.list_objects_v2(Bucket=s3_bucket, MaxKeys=0)["KeyCount"] == 0


def test_a_list_starts_after_a_key(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "bar", "baz", "foo")
    page = s3.list_objects_v2(Bucket=s3_bucket, StartAfter="bar")
    assert (keys(page), page["StartAfter"]) == (["baz", "foo"], "bar")
    assert keys(s3.list_objects_v2(Bucket=s3_bucket, StartAfter="blah")) == ["foo"]
    assert keys(s3.list_objects_v2(Bucket=s3_bucket, StartAfter="zoo")) == []


def test_a_token_outdoes_the_start(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "bar", "baz", "foo", "quxx")
    token = s3.list_objects_v2(Bucket=s3_bucket, MaxKeys=1)["NextContinuationToken"]
    page = s3.list_objects_v2(Bucket=s3_bucket, StartAfter="foo", ContinuationToken=token)
    assert (keys(page), page["ContinuationToken"]) == (["baz", "foo", "quxx"], token)


def test_an_empty_token_means_the_start(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "bar")
    page = s3.list_objects_v2(Bucket=s3_bucket, ContinuationToken="")
    assert (keys(page), page["ContinuationToken"]) == (["bar"], "")


@pytest.mark.parametrize("token", ["wrong", "%21", "aGVsbG8=", "ä"])
def test_a_token_that_is_none_is_refused(server: Server, s3_bucket: str, token: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}?list-type=2&continuation-token={quote(token)}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_token_can_stand_in_a_url_as_it_is(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, *ODD)
    for page in pages(s3, "v2", s3_bucket, MaxKeys=1):
        token = page.get("NextContinuationToken", "")
        assert unquote(token) == token
        assert set(token).isdisjoint("+/ &?#")


def test_a_list_of_a_type_that_does_not_exist_is_of_the_first(server: Server, s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a")
    assert ask(server, "GET", f"/{s3_bucket}?list-type=3").texts("Marker") == [""]


# Versions


def versions(page: Any) -> list[tuple[str, str]]:
    """Keys and ids of versions and markers, as botocore sorts them: versions first."""
    return [(one["Key"], one["VersionId"]) for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]]


def in_order(answer: Answer) -> list[tuple[str, str]]:
    """Keys and ids in the order of the document."""
    return list(zip(answer.texts("Key"), answer.texts("VersionId"), strict=True))


@pytest.fixture
def many(s3: S3Client, s3_bucket: str) -> list[tuple[str, str]]:
    """Three keys with versions and markers; in the order of their list."""
    set_versioning(s3, s3_bucket, "Enabled")
    made: dict[str, list[str]] = {"a": [], "b": [], "c/d": []}
    for round_ in range(3):
        for key, ids in made.items():
            if round_ == 1:
                ids.append(s3.delete_object(Bucket=s3_bucket, Key=key)["VersionId"])
            else:
                ids.append(s3.put_object(Bucket=s3_bucket, Key=key, Body=bytes(round_))["VersionId"])
    return [(key, version_id) for key, ids in made.items() for version_id in reversed(ids)]


def test_versions_stand_newest_first_markers_among_them(
    server: Server, s3_bucket: str, many: list[tuple[str, str]]
) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}?versions")
    assert in_order(answer) == many
    assert answer.texts("IsLatest") == ["true", "false", "false"] * 3


def test_a_version_tells_what_it_is(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    put = s3.put_object(Bucket=s3_bucket, Key="a", Body=b"abc", ChecksumSHA256=checksum("SHA256", b"abc"))
    marker = s3.delete_object(Bucket=s3_bucket, Key="a")
    page = s3.list_object_versions(Bucket=s3_bucket)
    (version,) = page["Versions"]
    assert (version["VersionId"], version["IsLatest"], version["ETag"]) == (put["VersionId"], False, put["ETag"])
    assert (version["Size"], version["StorageClass"], version["ChecksumAlgorithm"]) == (3, "STANDARD", ["SHA256"])
    (hidden,) = page["DeleteMarkers"]
    assert (hidden["VersionId"], hidden["IsLatest"]) == (marker["VersionId"], True)
    assert version["Owner"] == hidden["Owner"]
    assert lacks(hidden, "ETag", "Size", "StorageClass")
    assert (page["KeyMarker"], page["VersionIdMarker"], page["Prefix"], page["MaxKeys"]) == ("", "", "", 1000)


def test_objects_without_versioning_are_versions_called_null(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "b", "a")
    page = s3.list_object_versions(Bucket=s3_bucket)
    assert versions(page) == [("a", "null"), ("b", "null")]
    assert all(version["IsLatest"] for version in page["Versions"])


@pytest.mark.parametrize("limit", [1, 2, 4, 8])
def test_pages_of_versions_follow_each_other(
    server: Server, s3: S3Client, s3_bucket: str, many: list[tuple[str, str]], limit: int
) -> None:
    found: list[tuple[str, str]] = []
    query = ""
    while True:
        page = ask(server, "GET", f"/{s3_bucket}?versions&max-keys={limit}{query}")
        found += in_order(page)
        if page.text("IsTruncated") == "false":
            break
        assert (page.text("NextKeyMarker"), page.text("NextVersionIdMarker")) == found[-1]
        query = f"&key-marker={quote(found[-1][0])}&version-id-marker={found[-1][1]}"
    assert found == many
    assert page.texts("NextKeyMarker") == page.texts("NextVersionIdMarker") == []


def test_a_page_goes_on_behind_versions_that_are_gone(
    s3: S3Client, s3_bucket: str, many: list[tuple[str, str]]
) -> None:
    left = list(many)
    following: dict[str, Any] = {}
    while left:
        page: Any = s3.list_object_versions(Bucket=s3_bucket, MaxKeys=2, **following)
        assert sorted(versions(page)) == sorted(left[:2])
        del left[:2]
        for key, version_id in versions(page):
            s3.delete_object(Bucket=s3_bucket, Key=key, VersionId=version_id)
        if left:
            following = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert page["IsTruncated"] is False
    s3.delete_bucket(Bucket=s3_bucket)


def test_a_page_goes_on_behind_a_null_version_that_is_gone(s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "a")
    set_versioning(s3, s3_bucket, "Enabled")
    newer = s3.put_object(Bucket=s3_bucket, Key="a", Body=b"newer")["VersionId"]
    set_versioning(s3, s3_bucket, "Suspended")
    fill(s3, s3_bucket, "a")
    page = s3.list_object_versions(Bucket=s3_bucket, MaxKeys=1)
    assert versions(page) == [("a", "null")]
    s3.delete_object(Bucket=s3_bucket, Key="a", VersionId="null")
    rest = s3.list_object_versions(
        Bucket=s3_bucket, KeyMarker=page["NextKeyMarker"], VersionIdMarker=page["NextVersionIdMarker"]
    )
    assert versions(rest) == [("a", newer)]


def test_a_key_marker_alone_skips_all_versions_of_the_key(
    s3: S3Client, s3_bucket: str, many: list[tuple[str, str]]
) -> None:
    page = s3.list_object_versions(Bucket=s3_bucket, KeyMarker="b")
    assert sorted(versions(page)) == sorted(many[6:])
    assert page["KeyMarker"] == "b"
    assert versions(s3.list_object_versions(Bucket=s3_bucket, KeyMarker="zzz")) == []
    null_marker = s3.list_object_versions(Bucket=s3_bucket, KeyMarker="a", VersionIdMarker=many[1][1])
    assert versions(null_marker)[0] == many[2]


@pytest.mark.parametrize("marker", ["nonsense", "-1", "0" * 31, "null", "null.zz", "%00"])
def test_a_version_marker_that_is_none_is_refused(server: Server, s3_bucket: str, marker: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}?versions&key-marker=a&version-id-marker={marker}")
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "version-id-marker")


def test_a_version_marker_needs_a_key_marker(s3: S3Client, s3_bucket: str, many: list[tuple[str, str]]) -> None:
    refused = refusal(s3.list_object_versions, Bucket=s3_bucket, VersionIdMarker=many[0][1])
    assert refused == (400, "InvalidArgument")


def test_versions_collapse_behind_a_delimiter(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    for key in ("a/1", "a/1", "a/2", "b", "b", "c/1"):
        s3.put_object(Bucket=s3_bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=s3_bucket, Key="c/1")
    found = []
    following: dict[str, Any] = {}
    while True:
        page: Any = s3.list_object_versions(Bucket=s3_bucket, Delimiter="/", MaxKeys=1, **following)
        found += prefixes(page) + [key for key, _ in versions(page)]
        if not page["IsTruncated"]:
            break
        following = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            following["VersionIdMarker"] = page["NextVersionIdMarker"]
    assert found == ["a/", "b", "b", "c/"]
    below = s3.list_object_versions(Bucket=s3_bucket, Prefix="a/", Delimiter="/")
    assert [key for key, _ in versions(below)] == ["a/1", "a/1", "a/2"]


def test_names_of_versions_are_encoded(server: Server, s3: S3Client, s3_bucket: str) -> None:
    fill(s3, s3_bucket, "ä +/1", "ä +/2")
    query = f"versions&encoding-type=url&prefix={quote('ä +')}&key-marker={quote('ä +/')}&max-keys=1"
    answer = ask(server, "GET", f"/{s3_bucket}?{query}")
    assert answer.texts("Key") == ["%C3%A4%20%2B/1"]
    assert answer.text("NextKeyMarker") == "%C3%A4%20%2B/1"
    assert (answer.text("Prefix"), answer.text("KeyMarker")) == ("%C3%A4%20%2B", "%C3%A4%20%2B/")


# Uploads


def uploads(page: Any) -> list[tuple[str, str]]:
    return [(one["Key"], one["UploadId"]) for one in page.get("Uploads", [])]


@pytest.fixture
def under_way(s3: S3Client, s3_bucket: str) -> list[tuple[str, str]]:
    """Five uploads of three keys, in the order of their list."""
    made = [(key, begin(s3, s3_bucket, key)) for key in ("b", "a", "c/d", "a", "a")]
    return sorted(made, key=lambda upload: (upload[0], made.index(upload)))


def test_uploads_stand_by_key_then_by_their_beginning(
    s3: S3Client, s3_bucket: str, under_way: list[tuple[str, str]]
) -> None:
    page = s3.list_multipart_uploads(Bucket=s3_bucket)
    assert uploads(page) == under_way
    assert (page["Bucket"], page["MaxUploads"], page["IsTruncated"]) == (s3_bucket, 1000, False)
    assert (page["KeyMarker"], page["UploadIdMarker"]) == ("", "")
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == under_way[-1]
    first = page["Uploads"][0]
    assert first["StorageClass"] == "STANDARD"
    assert first["Owner"] == first["Initiator"] == s3.list_buckets(Prefix=s3_bucket)["Owner"]


def test_no_uploads_are_an_empty_list(server: Server, s3_bucket: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}?uploads")
    assert (answer.texts("Upload"), answer.text("IsTruncated")) == ([], "false")
    assert (answer.text("NextKeyMarker"), answer.text("NextUploadIdMarker")) == ("", "")


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_of_uploads_follow_each_other(
    s3: S3Client, s3_bucket: str, under_way: list[tuple[str, str]], limit: int
) -> None:
    found: list[tuple[str, str]] = []
    following: dict[str, Any] = {}
    while True:
        page: Any = s3.list_multipart_uploads(Bucket=s3_bucket, MaxUploads=limit, **following)
        found += uploads(page)
        if not page["IsTruncated"]:
            break
        following = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert found == under_way


def test_markers_of_uploads_work_alone_and_together(
    s3: S3Client, s3_bucket: str, under_way: list[tuple[str, str]]
) -> None:
    assert uploads(s3.list_multipart_uploads(Bucket=s3_bucket, KeyMarker="a")) == under_way[3:]
    both_markers = s3.list_multipart_uploads(Bucket=s3_bucket, KeyMarker="a", UploadIdMarker=under_way[0][1])
    assert uploads(both_markers) == under_way[1:]
    # Without a key it has no place in the order, and S3 ignores it.
    assert uploads(s3.list_multipart_uploads(Bucket=s3_bucket, UploadIdMarker=under_way[2][1])) == under_way


def test_a_page_goes_on_behind_an_upload_that_is_gone(
    s3: S3Client, s3_bucket: str, under_way: list[tuple[str, str]]
) -> None:
    page = s3.list_multipart_uploads(Bucket=s3_bucket, MaxUploads=2)
    for key, upload_id in uploads(page):
        s3.abort_multipart_upload(Bucket=s3_bucket, Key=key, UploadId=upload_id)
    rest = s3.list_multipart_uploads(
        Bucket=s3_bucket, KeyMarker=page["NextKeyMarker"], UploadIdMarker=page["NextUploadIdMarker"]
    )
    assert uploads(rest) == under_way[2:]


def test_uploads_collapse_behind_a_delimiter(s3: S3Client, s3_bucket: str) -> None:
    for key in ("a/1", "a/2", "b", "c/1", "c/1"):
        begin(s3, s3_bucket, key)
    page = s3.list_multipart_uploads(Bucket=s3_bucket, Delimiter="/")
    assert (prefixes(page), [key for key, _ in uploads(page)]) == (["a/", "c/"], ["b"])
    below = s3.list_multipart_uploads(Bucket=s3_bucket, Delimiter="/", Prefix="c/")
    assert ([key for key, _ in uploads(below)], below["Prefix"]) == (["c/1", "c/1"], "c/")
    first = s3.list_multipart_uploads(Bucket=s3_bucket, Delimiter="/", MaxUploads=1)
    assert (prefixes(first), first["IsTruncated"], first["NextKeyMarker"]) == (["a/"], True, "a/")
    second = s3.list_multipart_uploads(Bucket=s3_bucket, Delimiter="/", MaxUploads=1, KeyMarker="a/")
    assert [key for key, _ in uploads(second)] == ["b"]


def test_an_upload_that_has_ended_is_not_listed(s3: S3Client, s3_bucket: str) -> None:
    done, aborted = begin(s3, s3_bucket, "done"), begin(s3, s3_bucket, "aborted")
    complete(s3, s3_bucket, "done", done, send(s3, s3_bucket, "done", done, b"all"))
    s3.abort_multipart_upload(Bucket=s3_bucket, Key="aborted", UploadId=aborted)
    assert uploads(s3.list_multipart_uploads(Bucket=s3_bucket)) == []
    assert keys(s3.list_objects_v2(Bucket=s3_bucket)) == ["done"]


def test_names_of_uploads_are_encoded(server: Server, s3: S3Client, s3_bucket: str) -> None:
    begin(s3, s3_bucket, "ä +/1")
    answer = ask(server, "GET", f"/{s3_bucket}?uploads&encoding-type=url&prefix={quote('ä +')}")
    assert (answer.text("Key"), answer.text("Prefix")) == ("%C3%A4%20%2B/1", "%C3%A4%20%2B")
