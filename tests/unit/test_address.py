"""Which bucket and key a path names: decoded once, and never tidied up."""

from __future__ import annotations

import pytest

from post3.errors import InvalidURI
from post3.s3.address import Address, bucket_in_host, parse_address, parse_path, parse_query, valueless_names


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/", Address()),
        ("/b", Address("b")),
        ("/b/", Address("b")),
        ("/b/k", Address("b", "k")),
        ("/b/a/b", Address("b", "a/b")),
        ("/b/a%2Fb", Address("b", "a/b")),
        ("/b//a", Address("b", "/a")),
        ("/b/a//b/", Address("b", "a//b/")),
        ("/b/a/../c", Address("b", "a/../c")),
        ("/b/./a", Address("b", "./a")),
        ("/b/a+b", Address("b", "a+b")),
        ("/b/a%20b", Address("b", "a b")),
        ("/b/a%2520b", Address("b", "a%20b")),
        ("/b/%C3%A9", Address("b", "é")),
        ("/b/é", Address("b", "é")),
        ("/b/%00", Address("b", "\0")),
        ("/b/%", Address("b", "%")),
        ("/b/%zz", Address("b", "%zz")),
    ],
)
def test_a_path_names_a_bucket_and_a_key(path: str, address: Address) -> None:
    assert parse_path(path) == address


@pytest.mark.parametrize("path", ["", "b/k", "//k", "/b/%FF%FE", "/b/%C3", "/%FF", "/b/\udcff", "/b/%41\udcff"])
def test_a_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(InvalidURI):
        parse_path(path)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("photos.example.com", "photos"),
        ("Photos.EXAMPLE.com:9000", "photos"),
        ("photos.example.com.", "photos"),
        ("my.own.photos.example.com", "my.own.photos"),
        ("photos.s3.example.com", "photos"),
        ("s3.example.com", ""),
        ("example.com:80", ""),
        ("photos.localhost", "photos"),
        ("localhost:9000", ""),
        ("127.0.0.1:9000", ""),
        ("photos.127.0.0.1", ""),
        ("[::1]:9000", ""),
        ("photos.example.org", ""),
        ("photosexample.com", ""),
        (".example.com", ""),
        ("photos.example.com:port", ""),
        ("a b.example.com", ""),
        ("", ""),
    ],
)
def test_a_host_below_a_domain_names_a_bucket(host: str, bucket: str) -> None:
    assert bucket_in_host(host, ("example.com", "s3.example.com", "localhost")) == bucket
    assert bucket_in_host(host, ()) == ""


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/", Address("b")),
        ("/k", Address("b", "k")),
        ("/b/k", Address("b", "b/k")),
        ("//k", Address("b", "/k")),
        ("/a/../k%2F+%20%C3%A9", Address("b", "a/../k/+ é")),
    ],
)
def test_the_whole_path_is_the_key_when_the_host_names_the_bucket(path: str, address: Address) -> None:
    assert parse_address("b.example.com", path, ("example.com",)) == address


def test_other_hosts_leave_the_bucket_to_the_path() -> None:
    for host in ("example.com", "example.org", "127.0.0.1"):
        assert parse_address(host, "/b/k", ("example.com",)) == Address("b", "k")
    assert parse_address("b.example.com", "/b/k", ()) == Address("b", "k")


@pytest.mark.parametrize("path", ["", "k", "/%FF"])
def test_a_host_makes_no_address_of_a_path_that_is_none(path: str) -> None:
    with pytest.raises(InvalidURI):
        parse_address("b.example.com", path, ("example.com",))


def test_an_address_has_a_level() -> None:
    assert [Address().level, Address("b").level, Address("b", "k").level] == ["root", "bucket", "object"]


def test_a_query_is_decoded_and_the_first_of_a_name_counts() -> None:
    assert parse_query("prefix=a%2Fb+c&max-keys=5&acl&&x=1&x=2&a=b=c") == {
        "prefix": "a/b c",
        "max-keys": "5",
        "acl": "",
        "x": "1",
        "a": "b=c",
    }
    assert parse_query("") == {}


def test_a_query_that_is_not_utf_8_is_refused() -> None:
    for query in ("prefix=%FF", "%FF=1", "prefix=\udcff"):
        with pytest.raises(InvalidURI):
            parse_query(query)


def test_names_without_a_value_are_known() -> None:
    assert valueless_names("acl&prefix=x&tagging=&%61bc") == {"acl", "tagging", "abc"}
    assert valueless_names("") == frozenset()


@pytest.mark.parametrize("path", ["/bucket%2Fkey", "/bucket%2fkey/more", "/%2F"])
def test_a_bucket_has_no_slash_however_it_is_written(path: str) -> None:
    with pytest.raises(InvalidURI):
        parse_path(path)
