"""Tags: what may be one, and how headers and documents tell them."""

from __future__ import annotations

from typing import Any

import pytest

from post3.errors import BadRequest, InvalidArgument, InvalidTag, MalformedXML
from post3.model.tagging import bucket_tags, header_tags, object_tags, to_document, to_header
from post3.model.tree import Tree


def tag(key: Any, value: Any = "v") -> Tree:
    return {"Key": key, "Value": value}


def tagging(*tags: Tree) -> Tree:
    """A Tagging document as it is parsed: what stands once is no list."""
    return {"TagSet": {"Tag": list(tags) if len(tags) != 1 else tags[0]}}


def numbered(count: int) -> Tree:
    return tagging(*(tag(str(number)) for number in range(count)))


# Headers


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("", {}),
        ("&", {}),
        ("a=b", {"a": "b"}),
        ("foo=bar&bar", {"bar": "", "foo": "bar"}),
        ("a=&b=c&", {"a": "", "b": "c"}),
        ("a%3Db=c%3Dd", {"a=b": "c=d"}),
        ("my+key=a%20b", {"my key": "a b"}),
        ("a%2Bb=%2b", {"a+b": "+"}),
        ("Stra%C3%9Fe=%E6%97%A5%E6%9C%AC", {"Straße": "日本"}),
        ("Straße=ü", {"Straße": "ü"}),
        ("a=1&A=2", {"A": "2", "a": "1"}),
    ],
)
def test_a_header_is_a_form(value: str, tags: dict[str, str]) -> None:
    assert list(header_tags(value).items()) == list(tags.items())


@pytest.mark.parametrize("value", ["a=b=c", "a==", "a=%ff", "%c3=b", "a=b&a=c", "a&a=", "a=1&%61=2", "a=\udcff"])
def test_a_header_that_is_no_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="URLEncoded") as refused:
        header_tags(value)
    assert refused.value.details == {"ArgumentName": "x-amz-tagging", "ArgumentValue": value}


@pytest.mark.parametrize("value", ["=b", "=", "a=b%26c", "a=%zz", "%00=b", "a=b%0a", "aws:a=b"])
def test_a_header_with_a_wrong_tag_is_refused(value: str) -> None:
    with pytest.raises(InvalidTag):
        header_tags(value)


def test_a_header_has_ten_tags_at_most() -> None:
    ten = "&".join(f"{number}=v" for number in range(10))
    assert len(header_tags(ten)) == 10
    with pytest.raises(InvalidTag, match="10"):
        header_tags(f"{ten}&more=v")


@pytest.mark.parametrize("tags", [{}, {"a": ""}, {"a=b": "c d+", "é/@": "日本:_.-"}])
def test_tags_survive_their_header(tags: dict[str, str]) -> None:
    assert header_tags(to_header(tags)) == tags


# Documents


@pytest.mark.parametrize("read", [object_tags, bucket_tags])
def test_a_document_is_read_in_the_order_of_its_keys_bytes(read: Any) -> None:
    keys = ["\U00010400", "é", "b", "B", "a", "\uff21"]
    assert list(read(tagging(*map(tag, keys)))) == sorted(keys, key=str.encode)


@pytest.mark.parametrize("read", [object_tags, bucket_tags])
@pytest.mark.parametrize("tree", [{"TagSet": ""}, {"TagSet": "\n  "}])
def test_a_document_may_have_no_tags(read: Any, tree: Tree) -> None:
    assert read(tree) == {}


@pytest.mark.parametrize("read", [object_tags, bucket_tags])
@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"TagSet": "text"},
        {"TagSet": [{"Tag": tag("a")}, {"Tag": tag("b")}]},
        {"TagSet": ["", ""]},
        {"TagSet": {"Tag": ""}},
        {"TagSet": {"Tag": "text"}},
        {"TagSet": {"Tag": [tag("a"), "text"]}},
        {"TagSet": {"Tg": tag("a")}},
        {"TagSet": {"Tag": tag("a"), "Other": "b"}},
        {"Tags": {"Tag": tag("a")}},
        tagging({"Key": "a"}),
        tagging({"Value": "a"}),
        tagging({"key": "a", "value": "b"}),
        tagging({**tag("a"), "Other": "b"}),
        tagging(tag(["a", "b"])),
        tagging(tag("a", ["b", "c"])),
        tagging(tag("a", {"b": "c"})),
    ],
    ids=str,
)
def test_a_document_of_another_form_is_refused(read: Any, tree: Tree) -> None:
    with pytest.raises(MalformedXML):
        read(tree)


def test_an_object_has_ten_tags_at_most() -> None:
    assert len(object_tags(numbered(10))) == 10
    with pytest.raises(InvalidTag, match="Object tags cannot be greater than 10"):
        object_tags(numbered(11))


def test_a_bucket_has_fifty_tags_at_most() -> None:
    assert len(bucket_tags(numbered(50))) == 50
    with pytest.raises(BadRequest, match="50"):
        bucket_tags(numbered(51))


@pytest.mark.parametrize("read", [object_tags, bucket_tags])
def test_a_key_stands_once(read: Any) -> None:
    with pytest.raises(InvalidTag, match="multiple Tags with the same key") as refused:
        read(tagging(tag("a", "1"), tag("b"), tag("a", "2")))
    assert refused.value.details == {"TagKey": "a"}


def test_the_tags_of_a_new_bucket_stand_in_an_element_of_another_name() -> None:
    assert bucket_tags({"Tags": {"Tag": [tag("b"), tag("a")]}}, "Tags") == {"a": "v", "b": "v"}


def test_a_document_says_what_was_read() -> None:
    assert to_document(object_tags(tagging(tag("b", ""), tag("a")))) == tagging(tag("a"), tag("b", ""))
    assert to_document({}) == {"TagSet": {"Tag": []}}


# What may be a tag


@pytest.mark.parametrize("key", ["k" * 128, "é" * 128, "\U00010400" * 64, "a b", "_.:/=+-@", "٣", "a\u00a0b", "a:aws:"])
def test_such_a_key_may_be(key: str) -> None:
    assert object_tags(tagging(tag(key))) == {key: "v"}


@pytest.mark.parametrize("value", ["", "v" * 256, "日" * 256, "\U00010400" * 128, "_.:/=+-@ ", "aws:a"])
def test_such_a_value_may_be(value: str) -> None:
    assert object_tags(tagging(tag("k", value))) == {"k": value}


NEVER = ["a,b", "a\tb", "a\n", "\0", "a&b", "50%", "[a]", "a*", "😀", "a#", "\ud800", "a\u200d", "value\u0345"]


@pytest.mark.parametrize("key", ["", "k" * 129, "\U00010400" * 65, *NEVER])
def test_such_a_key_may_not_be(key: str) -> None:
    with pytest.raises(InvalidTag, match="The TagKey you have provided is invalid") as refused:
        object_tags(tagging(tag(key)))
    assert refused.value.details == {"TagKey": key}


@pytest.mark.parametrize("value", ["v" * 257, "\U00010400" * 129, *NEVER])
def test_such_a_value_may_not_be(value: str) -> None:
    with pytest.raises(InvalidTag, match="The TagValue you have provided is invalid") as refused:
        object_tags(tagging(tag("k", value)))
    assert refused.value.details == {"TagKey": "k", "TagValue": value}


@pytest.mark.parametrize("key", ["aws:", "aws:a", "AWS:a", "Aws:cloudformation:stack-name"])
@pytest.mark.parametrize("read", [object_tags, bucket_tags])
def test_the_system_s_own_keys_may_not_be(read: Any, key: str) -> None:
    with pytest.raises(InvalidTag, match="System tags"):
        read(tagging(tag(key)))
