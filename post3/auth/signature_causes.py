"""Why a signature does not match: what the client may have signed instead of what arrived.

A signature tells nothing of what was signed. But the usual accidents are few: a proxy that rewrites Host, or a header;
a client that encodes a path once too often; a secret that was pasted with a line's end. So each is undone in turn, and
the one under which the signature verifies is the cause. Whoever signed that holds the secret, so the answer may say it.

A variant is what may have been signed, with the sentence that tells what happened to it. The likely ones come first, so
that whoever tries them may stop after some dozens.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote

from post3.auth import sigv2, sigv4
from post3.auth.sent import Sent, as_bytes

S = TypeVar("S", sigv4.Canonical, sigv2.Signed)
Variants: TypeAlias = Iterator[tuple[str, S]]

MAX_NAMES: Final = 8
"""Names of the server that are tried as Host, and other signed headers that are tried as empty."""

_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")
_USUAL: Final = {
    "accept-encoding": ("identity", "gzip", "gzip, deflate", "gzip,deflate", "gzip, deflate, br", "*"),
    "connection": ("keep-alive", "close"),
    "content-length": ("0",),
    "content-type": (
        "binary/octet-stream",
        "application/octet-stream",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
    ),
    "expect": ("100-continue",),
    "te": ("trailers",),
}
"""What clients send in headers that proxies rewrite or drop."""
_CHARSETS: Final = ("; charset=utf-8", "; charset=UTF-8", ";charset=utf-8", ";charset=UTF-8")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def v4_variants(canonical: sigv4.Canonical, sent: Sent, names: Iterable[str] = ()) -> Variants[sigv4.Canonical]:
    """What a client may have signed by Version 4; `names` are those by which the server is known."""
    for host in _hosts(sent, names):
        told = (
            f"The request was signed for Host {host!r}, but arrived for Host {sent.headers.get('host', '')!r}: a proxy "
            "may have rewritten it (pass Host on unchanged)."
        )
        yield told, canonical._replace(headers={**canonical.headers, "host": host})
    yield from _methods(canonical)
    yield from _paths(canonical, sent)
    yield from _queries(canonical, sent)
    yield from _payloads(canonical)
    yield from _headers(canonical, sent)


def v2_variants(signed: sigv2.Signed, sent: Sent) -> Variants[sigv2.Signed]:
    """What a client may have signed by Version 2."""
    yield from _methods(signed)
    for value in _content_types(signed.content_type):
        yield _rewritten("content-type", value, signed.content_type), signed._replace(content_type=value)
    if signed.md5:
        yield _rewritten("content-md5", "", signed.md5), signed._replace(md5="")
    if sent.is_virtual_host:
        resource = signed.resource.removeprefix(f"/{sent.bucket}")
        yield "The request was signed without the bucket, which the Host names.", signed._replace(resource=resource)


def secret_variants(secret: str) -> Iterator[tuple[str, str]]:
    """The secret as it may stand in the client's configuration."""
    for other in dict.fromkeys(
        (f"{secret}\n", f"{secret} ", f" {secret}", f"{secret}\r\n", f"{secret}\r", f"{secret}\t")
    ):
        yield (
            "The request was signed with the secret key and white space around it, in the client's configuration.",
            other,
        )
    if secret.strip() != secret:
        told = "The request was signed with the secret key, but the server knows it with white space around it."
        yield told, secret.strip()


def _hosts(sent: Sent, names: Iterable[str]) -> list[str]:
    """Hosts that the client may have named, without the one that arrived."""
    host = sent.headers.get("host", "")
    forwarded = [name.strip() for name in sent.headers.get("x-forwarded-host", "").split(",")[:2]]
    name, port = _split(host)
    ports = [port, f":{sent.headers.get('x-forwarded-port', '')}".removesuffix(":"), "", ":80", ":443", ":9000"]
    known = [*forwarded, sent.headers.get("x-original-host", ""), *list(names)[:MAX_NAMES], name]
    if name in _LOOPBACK:
        known.extend(_LOOPBACK)
    bare = [f"{name}{port}" for name in dict.fromkeys(_split(one)[0] for one in known if one) for port in ports]
    hosts = dict.fromkeys([*filter(None, known), *bare])
    hosts.pop(host, None)
    return list(hosts)[: 6 * MAX_NAMES]


def _split(host: str) -> tuple[str, str]:
    """A host's name, and its port with the colon; brackets stay."""
    name, colon, port = host.rpartition(":")
    return (name, f":{port}") if colon and not port.endswith("]") else (host, "")


def _methods(signed: S) -> Variants[S]:
    for method in _METHODS:
        if method != signed.method:
            told = f"The request was signed for the method {method}, but arrived as {signed.method!r}."
            yield told, signed._replace(method=method)


def _payloads(canonical: sigv4.Canonical) -> Variants[sigv4.Canonical]:
    """The header rewritten, or a client that signs another value than it sends."""
    name = "x-amz-content-sha256"
    for payload in {sigv4.UNSIGNED_PAYLOAD, sigv4.EMPTY_SHA256} - {canonical.payload}:
        told = f"The request was signed for {name} {payload!r}, but arrived with {canonical.payload!r}."
        yield told, canonical._replace(payload=payload)
        if name in canonical.headers:
            yield told, canonical._replace(payload=payload, headers={**canonical.headers, name: payload})


def _headers(canonical: sigv4.Canonical, sent: Sent) -> Variants[sigv4.Canonical]:
    others = [name for name in canonical.headers if name != "host"]
    for name in others[: 4 * MAX_NAMES]:
        value = canonical.headers[name]
        for other in _values(name, value, sent.headers.get(name)):
            yield _rewritten(name, other, value), canonical._replace(headers={**canonical.headers, name: other})


def _values(name: str, value: str, sent: str | None) -> dict[str, None]:
    """What a header may have said before it was rewritten."""
    values = [*_USUAL.get(name, ()), ""]
    if name == "content-type":
        values.extend(_content_types(value))
    if sent is not None:
        values.append(sent)  # not folded
    if "," in value:
        values.extend((",".join(part.strip() for part in value.split(",")), ", ".join(value.split(","))))
    if not value.isascii():
        values.append(as_bytes(value).decode("latin-1"))
    return dict.fromkeys(one for one in values if one != value)


def _content_types(value: str) -> list[str]:
    plain = value.partition(";")[0].rstrip()
    values = dict.fromkeys((*_USUAL["content-type"], plain, "", *(plain + charset for charset in _CHARSETS)))
    values.pop(value, None)
    return list(values)


def _rewritten(name: str, signed: str, arrived: str) -> str:
    return (
        f"The request was signed with the header {name} {signed!r}, but arrived with {arrived!r}: a proxy may have "
        "rewritten it."
    )


def _paths(canonical: sigv4.Canonical, sent: Sent) -> Variants[sigv4.Canonical]:
    path = canonical.path
    normal = posixpath.normpath(path).replace("//", "/") + ("/" if path.endswith("/") and len(path) > 1 else "")
    paths = {
        quote(as_bytes(path), safe="/-_.~"): "encoded twice",
        normal: "normalised",
        path.replace("%2B", "%20"): "where a plus sign is a space",
        path.replace("%20", "+"): "where a space is a plus sign",
        path.rstrip("/"): "without the slash at its end",
        f"{path}/": "with a slash at its end",
    }
    if sent.is_virtual_host:
        paths[f"/{sent.bucket}{path}"] = "with the bucket, which the Host names"
    for other, how in paths.items():
        if other != path:
            yield (
                f"The request was signed for the path {other!r}, {how}; it arrived for {path!r}.",
                canonical._replace(path=other),
            )


def _queries(canonical: sigv4.Canonical, sent: Sent) -> Variants[sigv4.Canonical]:
    pairs = [pair for pair in sent.query.split("&") if pair and not pair.startswith("X-Amz-Signature=")]
    queries = {
        sigv4.canonical_query(sent.query.replace("+", "%2B")): "where a plus sign stands for itself",
        canonical.query.replace("%20", "+"): "where a space is a plus sign",
        "&".join(pairs): "as it was sent, unsorted",
        "": "without its parameters",
    }
    for other, how in queries.items():
        if other != canonical.query:
            yield f"The request was signed for another form of its query: {how}.", canonical._replace(query=other)
