"""Who is served without credentials."""

from __future__ import annotations

import pytest

from post3.auth.access import Admission, foreign_page
from post3.errors import AccessDenied

LOCAL = {"host": "localhost:9000"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9000",
        "LOCALHOST:9000",
        "localhost.",
        "bucket.localhost:9000",
        "127.0.0.1",
        "127.0.0.1:9000",
        "127.1.2.3:80",
        "[::1]",
        "[::1]:9000",
    ],
)
def test_a_loopback_host_is_served(host: str) -> None:
    Admission().check_host({"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "example.com:9000",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.example.com",
        "128.0.0.1",
        "10.0.0.1:9000",
        "[::2]:9000",
        "[::1].example.com",
        "[::1",
        "::1",
        "localhost:port",
        "localhost@example.com",
        "localhost, example.com",
        "example.com:80:localhost",
    ],
)
def test_another_host_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(AccessDenied, match="loopback Host") as refused:
        Admission().check_host({"host": host})

    assert repr(host) in refused.value.message


def test_a_request_without_a_host_is_refused() -> None:
    with pytest.raises(AccessDenied):
        Admission().check_host({})


def test_a_name_that_the_server_was_told_is_served() -> None:
    admission = Admission(frozenset({"S3.example.com"}))

    admission.check_host({"host": "s3.Example.com:9000"})
    admission.check_host({"host": "my.bucket.s3.example.com"})
    for host in ("other.example.com", "example.com", "nots3.example.com", "s3.example.com.elsewhere.org"):
        with pytest.raises(AccessDenied):
            admission.check_host({"host": host})


def test_every_host_is_served_when_a_person_said_so() -> None:
    Admission(any_host=True).check_host({"host": "example.com"})
    Admission(any_host=True).check_host({})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9000", "localhost:9000"),
        ("http://LocalHost:9000", "localhost:9000"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://[::1]:9000", "[::1]:9000"),
        ("https://localhost", "localhost:443"),
    ],
)
def test_a_page_of_the_server_s_own_is_not_foreign(origin: str, host: str) -> None:
    assert not foreign_page({"host": host, "origin": origin})


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://example.com",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:9000",
        "file://localhost:9000",
        "http://localhost:9000.example.com",
        "http://localhost:90000",
        "localhost:9000",
    ],
)
def test_a_page_from_elsewhere_is_foreign(origin: str) -> None:
    assert foreign_page({**LOCAL, "origin": origin}) == f"Origin is {origin!r}"


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_browser_that_asks_by_itself_is_not_foreign(site: str) -> None:
    assert not foreign_page({**LOCAL, "sec-fetch-site": site})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "nonsense"])
def test_a_browser_that_asks_for_another_site_is_foreign(site: str) -> None:
    assert foreign_page({**LOCAL, "sec-fetch-site": site}) == f"Sec-Fetch-Site is {site!r}"
