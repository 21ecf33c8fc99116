"""What a bucket and a key may be called."""

from __future__ import annotations

import pytest

from post3.errors import InvalidBucketName, KeyTooLongError
from post3.model.names import MAX_KEY, check_bucket_name, check_key


@pytest.mark.parametrize("name", ["abc", "a" * 63, "1abc", "a.b-c", "a1.b2.c3", "192.168.5.example", "x--y"])
def test_a_bucket_may_be_called(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "aa",
        "a" * 64,
        "Abc",
        "_x",
        "foo_bar",
        "foo-",
        "-foo",
        "foo.",
        ".foo",
        "foo..bar",
        "foo.-bar",
        "foo-.bar",
        "192.168.5.123",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-abc",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "abc\n",
        "äbc",
        "a/b",
        "abc def",
        "a\u0661b",
    ],
)
def test_a_bucket_may_not_be_called(name: str) -> None:
    with pytest.raises(InvalidBucketName):
        check_bucket_name(name)


def test_a_key_has_a_thousand_and_twenty_four_bytes() -> None:
    for key in ("k", "x" * MAX_KEY, "é" * (MAX_KEY // 2), "𝄞" * (MAX_KEY // 4), "//../\0"):
        check_key(key)
    for key in ("x" * (MAX_KEY + 1), "é" * (MAX_KEY // 2) + "x", "𝄞" * (MAX_KEY // 4) + "x"):
        with pytest.raises(KeyTooLongError) as caught:
            check_key(key)
        assert caught.value.details == {"Size": str(MAX_KEY + 1), "MaxSizeAllowed": str(MAX_KEY)}
