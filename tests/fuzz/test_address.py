"""Paths and queries under random text: every key can be asked for, and nothing is decoded twice."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import InvalidURI
from post3.s3.address import Address, parse_address, parse_path, parse_query, valueless_names
from tests.fuzz.bounds import bounded

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
buckets = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=20)
urls = st.text("abc/%+&=?25FfCc3\0é\udcff", max_size=30) | st.text(max_size=30)


@bounded
@given(buckets, texts)
@example("b", "/../%2F//.")
@example("b", "\0")
@example("b", "+")
def test_every_key_can_be_asked_for(bucket: str, key: str) -> None:
    assert parse_path(f"/{quote(bucket, safe='')}/{quote(key, safe='/')}") == Address(bucket, key)
    assert parse_path(f"/{quote(bucket, safe='')}/{quote(key, safe='')}") == Address(bucket, key)


@bounded
@given(
    st.lists(st.text("abz09-", min_size=1, max_size=8), min_size=1, max_size=4).map(".".join),
    texts,
    st.sampled_from(["localhost", "s3.example.com", "example.com"]),
    st.sampled_from(["", ":1", ":65535", "."]),
)
def test_host_and_path_name_what_the_path_alone_names(bucket: str, key: str, domain: str, port: str) -> None:
    domains = ("example.com", "localhost", "s3.example.com")
    sent = quote(key, safe="/")
    for host in (f"{bucket}.{domain}{port}", f"{bucket}.{domain}{port}".upper()):
        assert parse_address(host, f"/{sent}", domains) == Address(bucket, key)
    for host in (f"{domain}{port}", f"127.0.0.1{port}", bucket):
        assert parse_address(host, f"/{bucket}/{sent}", domains) == Address(bucket, key)


@bounded
@given(st.text(max_size=30), urls)
def test_any_host_and_path_are_an_address_or_an_invalid_uri(host: str, path: str) -> None:
    try:
        address = parse_address(f"{host}.example.com", path, ("example.com",))
    except InvalidURI:
        return
    assert address.level in ("root", "bucket", "object")


@bounded
@given(st.dictionaries(texts, texts, max_size=5))
def test_every_query_can_be_sent(query: dict[str, str]) -> None:
    for encode in (quote, quote_plus):
        sent = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in query.items())
        assert parse_query(sent) == query
        assert valueless_names(sent) == {name for name, value in query.items() if not value}


@bounded
@given(urls)
def test_any_path_is_an_address_or_an_invalid_uri(path: str) -> None:
    try:
        address = parse_path(path)
    except InvalidURI:
        return
    address.key.encode()
    assert address.level in ("root", "bucket", "object")


@bounded
@given(urls)
def test_any_query_is_read_or_an_invalid_uri(query: str) -> None:
    try:
        found = parse_query(query)
        names = valueless_names(query)
    except InvalidURI:
        return
    for text in [*found, *found.values(), *names]:
        text.encode()
