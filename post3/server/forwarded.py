"""Who the client behind a proxy is, by the headers of proxies that are trusted to say so.

Anyone can send these headers, so they count only from a peer that is trusted. A proxy adds the address of its own peer
at the right of X-Forwarded-For; what stands left of the first address that is not trusted was written by that very
client, and means nothing. X-Forwarded-Proto counts by its last value, the one that the nearest proxy wrote. `Forwarded`
says the same in one header; it is read only without the other two. X-Forwarded-Host has no effect: signatures cover
Host, so a proxy has to pass that on unchanged.
Source: https://www.rfc-editor.org/rfc/rfc7239 (Forwarded)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_WITH_PORT: Final = re.compile(r"\[([^\[\]]*)\](?::\w*)?|([^:]*):\w*")


class Client(NamedTuple):
    """Who asks."""

    remote: str
    """An address without a port; empty where there is none."""
    is_secure: bool


class TrustedProxies:
    """The networks whose word about their clients counts."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def client(self, peer: str, headers: Mapping[str, str], *, is_secure: bool) -> Client:
        """The client of a request that came from this peer; `is_secure`: over TLS. Header names are lower case."""
        address = parse_node(peer) if self._networks else None
        if address is None or not self._trust(address):
            return Client(canonical_node(peer), is_secure)
        addresses, scheme = _told(headers)
        return Client(str(self._client_address(address, addresses)), scheme == "https" if scheme else is_secure)

    def _client_address(self, peer: Address, told: list[str]) -> Address:
        """The first address from the right that is not trusted; beyond one that cannot be read, nothing is known."""
        client = peer
        for text in reversed(told):
            address = parse_node(text)
            if address is None:
                break
            client = address
            if not self._trust(client):
                break
        return client

    def _trust(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=1024)
def parse_node(text: str) -> Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; None for anything else."""
    match = _WITH_PORT.fullmatch(text)
    for candidate in (text, (match[1] or match[2] or "") if match else ""):
        try:
            address = ipaddress.ip_address(candidate.partition("%")[0])
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    return None


@lru_cache(maxsize=1024)
def canonical_node(text: str) -> str:
    """The address of a node as it is usually written, without a port; the same text for what has none."""
    address = parse_node(text)
    return text if address is None else str(address)


def _told(headers: Mapping[str, str]) -> tuple[list[str], str]:
    """The addresses that the headers tell, the nearest proxy's last, and the scheme, or ""."""
    if "x-forwarded-for" in headers or "x-forwarded-proto" in headers:
        addresses = _listed(headers.get("x-forwarded-for", ""), ",")
        return addresses, _listed(headers.get("x-forwarded-proto", ""), ",")[-1].lower()
    elements = [_pairs(element) for element in headers.get("forwarded", "").split(",")]
    return [pairs.get("for", "") for pairs in elements], elements[-1].get("proto", "").lower()


def _pairs(element: str) -> dict[str, str]:
    """The names and values of one element of a Forwarded header.

    Quotes are taken off, but separate nothing: one that a client left open must not hide what a proxy wrote behind it.
    """
    pairs = (part.partition("=") for part in _listed(element, ";"))
    return {name.lower(): value.strip('"') for name, _, value in pairs}


def _listed(text: str, separator: str) -> list[str]:
    return [part.strip(" \t") for part in text.split(separator)]
