"""Which bucket and key a path names: decoded once, and never tidied up."""

from __future__ import annotations

import pytest

from post3.errors import InvalidURI
from post3.s3.address import Address, parse_path, parse_query, valueless_names


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
        ("/b%2Fk", Address("b/k")),
    ],
)
def test_a_path_names_a_bucket_and_a_key(path: str, address: Address) -> None:
    assert parse_path(path) == address


@pytest.mark.parametrize("path", ["", "b/k", "//k", "/b/%FF%FE", "/b/%C3", "/%FF", "/b/\udcff", "/b/%41\udcff"])
def test_a_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(InvalidURI):
        parse_path(path)


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
