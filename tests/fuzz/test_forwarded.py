"""Spoofed lists of proxies: what a client writes itself never becomes the address that it is known by."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from post3.server import TrustedProxies
from tests.fuzz.bounds import bounded

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")]
PROXIES = TrustedProxies(TRUSTED)

trusted = st.integers(0x0A000000, 0x0AFFFFFF).map(IPv4Address).map(str)


def is_trusted(text: str) -> bool:
    """Whether the address, or that of Version 4 which it maps, is a trusted proxy's."""
    address = ip_address(text)
    return any((getattr(address, "ipv4_mapped", None) or address) in one for one in TRUSTED)


strangers = st.ip_addresses().map(str).filter(lambda text: not is_trusted(text))
spoofed = st.lists(
    st.text('0123456789.:[],;"= for', max_size=12) | trusted | strangers | st.just("127.0.0.1"), max_size=6
)


@bounded
@given(spoofed, strangers, st.lists(trusted, max_size=4))
@example(['"'], "192.0.2.1", ["10.0.0.1"])
def test_a_client_cannot_choose_who_it_is(said: list[str], client: str, chain: list[str]) -> None:
    # Each proxy adds the address of its peer; the last of them is our own peer.
    peer, added = (chain[-1], [client, *chain[:-1]]) if chain else (client, [])
    list_of_nodes = ", ".join([*said, *added])
    elements = ", ".join([*said, *(f'for="[{node}]"' if ":" in node else f"for={node}" for node in added)])

    for headers in ({"x-forwarded-for": list_of_nodes}, {"forwarded": elements}):
        remote = PROXIES.client(peer, headers, is_secure=False).remote
        assert ip_address(remote) == (getattr(ip_address(client), "ipv4_mapped", None) or ip_address(client))


@bounded
@given(strangers, st.dictionaries(st.sampled_from(["x-forwarded-for", "x-forwarded-proto", "forwarded"]), st.text()))
@example("::ffff:c000:201", {"x-forwarded-proto": "http"})
def test_nothing_that_a_stranger_sends_has_an_effect(peer: str, headers: dict[str, str]) -> None:
    assert PROXIES.client(peer, headers, is_secure=True) == PROXIES.client(peer, {}, is_secure=True)


@bounded
@given(st.dictionaries(st.sampled_from(["x-forwarded-for", "x-forwarded-proto", "forwarded"]), st.text()))
def test_whatever_a_proxy_sends_the_client_has_an_address(headers: dict[str, str]) -> None:
    ip_address(PROXIES.client("10.0.0.1", headers, is_secure=False).remote)


@bounded
@given(st.text("htps, ", max_size=20), st.sampled_from(["http", "https"]))
def test_a_client_cannot_say_that_it_speaks_tls(said: str, scheme: str) -> None:
    headers = {"x-forwarded-proto": f"{said},{scheme}"}

    assert PROXIES.client("10.0.0.1", headers, is_secure=False).is_secure is (scheme == "https")
