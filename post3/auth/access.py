"""Whether a request without credentials may be served at all.

Open to this machine must not mean open to every web page that a browser on it shows: a page can send requests to
loopback, and by its own DNS name (rebinding) even read the answers. Browsers tell on it: by Host, Origin and
Sec-Fetch-Site. A bucket's CORS rules may let pages from elsewhere in; a Host that is not the server's own never is.
Sources: https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from post3.errors import AccessDenied

# `same-site` is foreign too: every port of localhost is one site.
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d*)?")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Admission:
    """Refuses names that are not the server's own."""

    def __init__(self, names: frozenset[str] = frozenset(), *, any_host: bool = False) -> None:
        """`names`, and those below them, are served beside loopback; with `any_host` every name is, as a person allowed
        it."""
        self._names = frozenset(name.lower() for name in names)
        self._any_host = any_host

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise AccessDenied, with the reason, unless its Host is served. Header names are lower case."""
        host = headers.get("host", "")
        if not self._any_host and not self._serves(host):
            raise AccessDenied(
                f"Without credentials, requests are served for a loopback Host only, and this one is for {host!r}; "
                "the server can be started with --allow-anonymous."
            )

    def _serves(self, host: str) -> bool:
        name = host_name(host)
        return is_loopback_name(name) or any(name == own or name.endswith(f".{own}") for own in self._names)


def foreign_page(headers: Mapping[str, str]) -> str:
    """What shows that a request is one of somebody else's web page; empty when nothing does."""
    origin = headers.get("origin")
    if origin is not None and not is_own_origin(origin, headers.get("host", "")):
        return f"Origin is {origin!r}"
    site = headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return f"Sec-Fetch-Site is {site!r}"
    return ""


@lru_cache(maxsize=1024)
def host_name(host: str) -> str:
    """The name or address in a Host header, without port, brackets and the root's dot, in lower case; empty for
    nonsense."""
    match = _HOST.fullmatch(host.lower())
    return (match[1] or match[2]).removesuffix(".") if match else ""


@lru_cache(maxsize=1024)
def is_loopback_name(name: str) -> bool:
    """Whether a host's name or address always means this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin came from the very host and port that it now asks. `null` did not."""
    scheme, separator, authority = origin.lower().partition("://")
    if not separator or scheme not in _DEFAULT_PORTS or not authority:
        return False
    port = _DEFAULT_PORTS[scheme]
    return authority.removesuffix(port) == host.lower().removesuffix(port)
