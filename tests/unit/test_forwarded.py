"""Who the client is behind proxies: those that are trusted are believed, and nobody else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from post3.server import TrustedProxies
from post3.server.forwarded import parse_node

PROXIES = TrustedProxies(map(ip_network, ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32")))


def remote(forwarded_for: str, peer: str = "127.0.0.1") -> str:
    """The client's address by this X-Forwarded-For."""
    return PROXIES.client(peer, {"x-forwarded-for": forwarded_for}, is_secure=False).remote


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db9::1]:4711", "2001:db9::1"),
        ("2001:DB9:0::1", "2001:db9::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.66, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.66,192.0.2.1,10.1.2.3 ,\t2001:db8::7", "192.0.2.1"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("192.0.2.66, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.66, , 10.0.0.2", "10.0.0.2"),
        ("192.0.2.66, unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
        (",", "127.0.0.1"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(forwarded_for: str, client: str) -> None:
    assert remote(forwarded_for) == client


def test_a_peer_that_is_not_trusted_speaks_for_itself_alone() -> None:
    headers = {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "elsewhere",
        "forwarded": "for=127.0.0.1;proto=https",
    }

    for proxies in (PROXIES, TrustedProxies()):
        assert proxies.client("192.0.2.1", headers, is_secure=False) == ("192.0.2.1", False)
        assert proxies.client("192.0.2.1", {**headers, "x-forwarded-proto": "http"}, is_secure=True).is_secure
    assert PROXIES.client("", headers, is_secure=False) == ("", False)
    assert TrustedProxies().client("127.0.0.1", headers, is_secure=False) == ("127.0.0.1", False)


def test_a_peer_by_its_ipv6_form_is_the_same_peer() -> None:
    assert remote("192.0.2.1", peer="::ffff:127.0.0.1") == "192.0.2.1"
    assert PROXIES.client("::ffff:192.0.2.9", {}, is_secure=False).remote == "192.0.2.9"


@pytest.mark.parametrize(
    ("headers", "over_tls", "is_secure"),
    [
        ({"x-forwarded-proto": "https"}, False, True),
        ({"x-forwarded-proto": "HTTPS"}, False, True),
        ({"x-forwarded-proto": "http, https"}, False, True),
        ({"x-forwarded-proto": "https, http"}, False, False),
        ({"x-forwarded-proto": "http"}, True, False),
        ({"x-forwarded-proto": "wss"}, True, False),
        ({"x-forwarded-for": "192.0.2.1"}, True, True),
        ({"x-forwarded-proto": "https,"}, False, False),
        ({"forwarded": "proto=https"}, False, True),
        ({"forwarded": "proto=https, for=192.0.2.1"}, False, False),
        ({"forwarded": "proto=https", "x-forwarded-for": "192.0.2.1"}, False, False),
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_the_nearest_proxy_says_whether_the_client_speaks_tls(
    headers: dict[str, str], over_tls: bool, is_secure: bool
) -> None:
    assert PROXIES.client("10.0.0.1", headers, is_secure=over_tls).is_secure is is_secure


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ('For="[2001:db9::1]:4711";proto=https;by=10.0.0.1', "2001:db9::1"),
        ('for=192.0.2.66, host="a"; for="192.0.2.1:80" ;proto=http', "192.0.2.1"),
        ('for="192.0.2.66, for=192.0.2.1', "192.0.2.1"),
        ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ("for=192.0.2.66, for=_hidden", "127.0.0.1"),
        ("for=192.0.2.66, proto=https", "127.0.0.1"),
    ],
)
def test_forwarded_says_the_same_in_one_header(forwarded: str, client: str) -> None:
    assert PROXIES.client("127.0.0.1", {"forwarded": forwarded}, is_secure=False).remote == client


def test_forwarded_is_read_only_alone() -> None:
    headers = {"forwarded": "for=192.0.2.66;proto=https", "x-forwarded-for": "192.0.2.1"}

    assert PROXIES.client("127.0.0.1", headers, is_secure=False) == ("192.0.2.1", False)


@pytest.mark.parametrize("text", ["", "unknown", "_a", "192.0.2", "192.0.2.1:80:80", "[192.0.2.1", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_node(text) is None
