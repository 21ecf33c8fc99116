"""What was signed is done as it was signed, or not at all: whatever is changed on the way, from the head to the last
trailer, the request is refused and the store stays as it was.

Requests are signed as SDKs do, by botocore; where botocore does not sign (chunks, trailers, hashes in links), by the
few lines here that follow AWS's pages. They go through the gate and the dispatcher to a store in memory. Of each, the
untampered request succeeds. A change that leaves the meaning as it was, such as another way to write the same path, may
pass; then what is done is the same. Nothing is an error of the server's own.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from post3.auth.access import Admission
from post3.auth.authentication import Authenticator, Proof
from post3.auth.credentials import Key, StaticCredentials
from post3.auth.sent import parse_parameters
from post3.auth.sigv2 import SUBRESOURCES
from post3.dispatch import Dispatcher
from post3.errors import S3Error
from post3.model.identity import ANONYMOUS, Identity
from post3.model.listing import Listed, ListQuery
from post3.s3.address import parse_path, parse_query, valueless_names
from post3.s3.gate import Gate, Invites
from post3.s3.message import Request, Response, error_response
from post3.storage.memory import MemoryBackend
from tests import signing
from tests.bodies import SIGNED, SIGNED_TRAILER, UNSIGNED, cut, stream
from tests.conftest import content_of, create_bucket, put
from tests.forms import BOUNDARY, encode_form
from tests.fuzz.bounds import bounded
from tests.memories import everything
from tests.signing import ALICE, KEY, SECRET, signed, signed_form

OTHER_KEY: Final = "AKIAOTHEREXAMPLE"
"""Somebody else's; its secret is known to the server as well."""
KEYS: Final = (Key(KEY, SECRET, ALICE), Key(OTHER_KEY, "the-secret-of-the-other", Identity("bob", "Bob")))
TEXT: Final = "aA0/+%=&;,. _-~"
HEX: Final = "0123456789abcdefABCDEF"


# The wire, and what comes of it


@dataclass(frozen=True, slots=True)
class Wire:
    """A request as it is sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    def with_body(self, body: bytes) -> Wire:
        """With another body; its length is told, as whoever changes it can do that."""
        return replace(self, body=body, headers={**self.headers, "content-length": str(len(body))})

    def request(self) -> Request:
        """As the edge reads it. Raises InvalidURI."""
        return Request(
            id="1",
            method=self.method,
            path=self.path,
            address=parse_path(self.path),
            query=parse_query(self.query),
            headers=self.headers,
            body=stream(cut(self.body, 5000)),
            valueless=valueless_names(self.query),
            raw_query=self.query,
        )


class WatchedGate(Gate):
    """Remembers who was let in."""

    def __init__(self) -> None:
        credentials = StaticCredentials(KEYS)
        super().__init__(credentials, Authenticator(credentials, sigv2_headers=True), Admission())
        self.proven: list[Proof] = []

    async def identify(self, request: Request, now: datetime, invites: Invites, *, asks_in_form: bool = False) -> Proof:
        """See Gate."""
        return self._remember(await super().identify(request, now, invites, asks_in_form=asks_in_form))

    def identify_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        """See Gate."""
        return self._remember(super().identify_form(fields, now))

    def _remember(self, proof: Proof) -> Proof:
        if proof.identity != ANONYMOUS:
            self.proven.append(proof)
        return proof


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request."""

    status: int
    code: str
    body: bytes
    store: tuple[Any, ...]
    """What can be seen in the store."""
    has_changed: bool
    """Whether anything at all is other than before."""
    is_proven: bool
    """Whether somebody was taken to have signed it."""

    @property
    def is_refused(self) -> bool:
        """Whether it came to nothing."""
        return 400 <= self.status < 500 and not self.has_changed


def ask(wire: Wire) -> Outcome:
    """Send the request to a new server with two buckets and an object."""
    return asyncio.run(_ask(wire))


async def _ask(wire: Wire) -> Outcome:
    backend, gate = MemoryBackend(), WatchedGate()
    for name in ("bucket", "other"):
        bucket = await create_bucket(backend, name)
        for key in ("key", "source"):
            await put(backend, bucket, key, f"{name} {key}".encode(), owner="alice")
    before = everything(backend)
    try:
        response = await Dispatcher(backend, gate).handle(wire.request())
    except S3Error as error:  # as the edge answers it
        response = error_response(error, "1", wire.path)
    body = await _body(response)
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode() if response.status >= 400 else ""
    has_changed = everything(backend) != before
    return Outcome(response.status, code, body, await _seen(backend), has_changed, bool(gate.proven))


async def _body(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join([piece async for piece in response.body])


async def _seen(backend: MemoryBackend) -> tuple[Any, ...]:
    seen: list[Any] = []
    for bucket in await backend.list_buckets():
        seen.append((bucket.name, bucket.acl, bucket.configurations))
        for entry in (await backend.list_versions(bucket, ListQuery(all_versions=True))).entries:
            assert isinstance(entry, Listed)
            version = await backend.get_version(bucket, entry.key, entry.version_id)
            content = await content_of(backend, bucket, version)
            told = (version.acl, version.headers, version.metadata, version.checksums)
            seen.append((entry.key, entry.owner, *told, content))
    return tuple(seen)


def check(original: Wire, tampered: Wire, *, means_the_same: bool, is_head: bool) -> None:
    """The tampered request is refused; or else it is what the original is. A head must not even be taken for signed."""
    outcome = ask(tampered)
    assert outcome.status < 500 or outcome.code == "NotImplemented", outcome
    if outcome.is_refused or outcome.code == "NotImplemented":
        assert not outcome.has_changed
        assert means_the_same or not is_head or not outcome.is_proven, outcome
        return
    assert means_the_same, outcome
    expected = ask(original)
    assert (outcome.status, outcome.store) == (expected.status, expected.store)
    assert without_times(outcome.body) == without_times(expected.body) or original.method != "GET"


def without_times(body: bytes) -> bytes:
    """An answer without what two servers that are alike tell differently."""
    return re.sub(rb"<LastModified>[^<]*", b"", body)


# Signing what botocore does not sign


def signing_key(timestamp: str) -> bytes:
    parts = (timestamp[:8], "us-east-1", "s3", "aws4_request")
    return reduce(lambda key, part: hmac.digest(key, part.encode(), "sha256"), parts, f"AWS4{SECRET}".encode())


def signature(timestamp: str, *lines: str) -> str:
    return hmac.digest(signing_key(timestamp), "\n".join(lines).encode(), "sha256").hex()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def scope(timestamp: str) -> str:
    return f"{timestamp[:8]}/us-east-1/s3/aws4_request"


def seed(timestamp: str, method: str, path: str, query: str, headers: Mapping[str, str], payload: str) -> str:
    """The signature of a head, whose headers are in the order of their names."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join([method, path, query, lines, ";".join(headers), payload])
    return signature(timestamp, "AWS4-HMAC-SHA256", timestamp, scope(timestamp), sha256(canonical.encode()))


def reference(method: str, path: str, headers: Mapping[str, str], payload: str) -> tuple[Wire, str, str]:
    """A request signed in its header, its signature and its time."""
    timestamp = signing.now().strftime("%Y%m%dT%H%M%SZ")
    told = {**headers, "host": "s3.example", "x-amz-content-sha256": payload, "x-amz-date": timestamp}
    told = dict(sorted(told.items()))
    signed_head = seed(timestamp, method, path, "", told, payload)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope(timestamp)}, SignedHeaders={';'.join(told)}, Signature={signed_head}"
    )
    return Wire(method, path, "", {**told, "authorization": authorization}), signed_head, timestamp


def link_with_hash(body: bytes) -> Wire:
    """A presigned link for one body alone."""
    timestamp = signing.now().strftime("%Y%m%dT%H%M%SZ")
    told = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Content-Sha256": sha256(body),
        "X-Amz-Credential": f"{KEY}/{scope(timestamp)}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in told.items())
    signed_head = seed(timestamp, "PUT", "/bucket/key", query, {"host": "s3.example"}, sha256(body))
    return Wire("PUT", "/bucket/key", f"{query}&X-Amz-Signature={signed_head}", {"host": "s3.example"}).with_body(body)


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


# Requests


def of_sdk(signer: Callable[[], Any], method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Wire:
    is_link = signer in (signing.v4_query, signing.v2_query)  # which botocore makes without a body
    sent = signed(signer(), method, target, headers, body=b"" if is_link else body)
    return Wire(sent.method, sent.path, sent.query, sent.headers).with_body(body)


ACL: Final = (
    b'<AccessControlPolicy xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Owner><ID>alice</ID></Owner>'
    b'<AccessControlList><Grant><Grantee xsi:type="CanonicalUser"><ID>bob</ID></Grantee>'
    b"<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
)
DESCRIBED: Final = {"content-type": "text/plain", "x-amz-meta-a": "1", "x-amz-acl": "private"}
Asked: TypeAlias = tuple[str, str, Mapping[str, str], bytes]
ASKED: Final[dict[str, Asked]] = {
    "put": ("PUT", "/bucket/key", DESCRIBED, b"the body"),
    "put of a key to encode": ("PUT", "/bucket/a%20b/%C3%BC%2B", DESCRIBED, b"the body"),
    "get": ("GET", "/bucket/key", {}, b""),
    "get as something else": ("GET", "/bucket/key?response-content-type=text%2Fhtml&versionId=null", {}, b""),
    "delete": ("DELETE", "/bucket/key", {}, b""),
    "delete of a version": ("DELETE", "/bucket/key?versionId=null", {"x-amz-expected-bucket-owner": "alice"}, b""),
    "copy": ("PUT", "/bucket/key", {"x-amz-copy-source": "other/source", "x-amz-acl": "public-read"}, b""),
    "acl": ("PUT", "/bucket/key?acl", {}, ACL),
    "acl of the bucket": ("PUT", "/bucket?acl", {"x-amz-acl": "authenticated-read"}, b""),
    "deletes": ("POST", "/bucket?delete", {}, b"<Delete><Object><Key>key</Key></Object></Delete>"),
    "upload": ("POST", "/bucket/key?uploads", {"x-amz-meta-a": "1"}, b""),
}
LISTED: Final[dict[str, Asked]] = {"list": ("GET", "/bucket?list-type=2&prefix=k&max-keys=7", {}, b"")}
"""What Version 2 does not cover."""
places = st.integers(0, 2**16)
by_v4 = st.sampled_from(sorted((ASKED | LISTED).values(), key=repr))
by_v2 = st.sampled_from(sorted(ASKED.values(), key=repr))


@pytest.mark.parametrize("signer", [signing.v4_header, signing.v4_query, signing.v2_header, signing.v2_query])
@pytest.mark.parametrize("name", sorted(ASKED | LISTED))
def test_what_is_not_tampered_with_is_done(signer: Callable[[], Any], name: str) -> None:
    outcome = ask(of_sdk(signer, *(ASKED | LISTED)[name]))

    assert 200 <= outcome.status < 300, outcome
    assert outcome.has_changed == (not name.startswith(("get", "list")))


# The head


def changed(text: str, data: st.DataObject, alphabet: str = TEXT) -> str:
    """The text with one character changed, left out or put in."""
    at = data.draw(places) % (len(text) + 1)  # not of a length that the time of signing decides
    new: str = data.draw(st.sampled_from(["", *alphabet]))
    return text[:at] + new + text[at + data.draw(st.integers(0, 1)) :]


ADDED: Final = {
    "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==",
    "x-amz-acl": "public-read-write",
    "x-amz-copy-source": "other/source",
    "x-amz-date": "20260101T000000Z",
    "x-amz-expected-bucket-owner": "alice",
    "x-amz-grant-read": "id=bob",
    "x-amz-meta-b": "2",
    "x-amz-metadata-directive": "REPLACE",
    "x-amz-security-token": "token",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-website-redirect-location": "/elsewhere",
}


Headers: TypeAlias = list[str]
"""The names of those that the signature covers."""


def other_line(wire: Wire, _covered: Headers, data: st.DataObject) -> Wire:
    """Another method, path or query."""
    what = data.draw(st.sampled_from(["method", "path", "query"]))
    if what == "method":
        return replace(wire, method=data.draw(st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])))
    if what == "path":
        return replace(wire, path="/" + changed(wire.path[1:], data))
    return replace(wire, query=changed(wire.query, data, TEXT + HEX))


def other_value(wire: Wire, covered: Headers, data: st.DataObject) -> Wire:
    name = data.draw(st.sampled_from(covered))
    return replace(wire, headers={**wire.headers, name: changed(wire.headers[name], data, TEXT + HEX).strip()})


def other_name(wire: Wire, covered: Headers, data: st.DataObject) -> Wire:
    """A header under another name, or gone."""
    name = data.draw(st.sampled_from(covered))
    rest = {one: value for one, value in wire.headers.items() if one != name}
    called = data.draw(st.sampled_from(["", f"{name}x", "x-amz-meta-z"]))
    return replace(wire, headers={**rest, called: wire.headers[name]} if called else rest)


def one_more(wire: Wire, _covered: Headers, data: st.DataObject) -> Wire:
    """A header that should have been signed."""
    name = data.draw(st.sampled_from(sorted(ADDED)))
    return replace(wire, headers={**wire.headers, name: ADDED[name]})


def other_key(wire: Wire, _covered: Headers, _data: st.DataObject) -> Wire:
    """In the name of somebody else."""
    headers = {name: value.replace(KEY, OTHER_KEY) for name, value in wire.headers.items()}
    return replace(wire, query=wire.query.replace(KEY, OTHER_KEY), headers=headers)


def moved(wire: Wire, covered: Headers, data: st.DataObject) -> Wire:
    """A header that stands in the query instead."""
    name = data.draw(st.sampled_from(covered))
    rest = {one: value for one, value in wire.headers.items() if one != name}
    query = [wire.query] if wire.query else []
    return replace(wire, query="&".join([*query, f"{name}={quote(wire.headers[name], safe='')}"]), headers=rest)


def with_other_head(wire: Wire, covered: Headers, data: st.DataObject) -> Wire:
    """One thing of the head changed that is signed."""
    of_any = [other_line, other_line, one_more, other_key]
    change = data.draw(st.sampled_from([*of_any, other_value, other_name, moved] if covered else of_any))
    return change(wire, covered, data)


def components(authorization: str) -> dict[str, tuple[str, ...]]:
    """What an Authorization header says, however it is spaced."""
    kind, _, rest = authorization.partition(" ")
    pairs = [component.strip().partition("=") for component in rest.split(",")]
    known = {name: tuple(dict.fromkeys(value.split(";"))) for name, _, value in pairs if name and value}
    named = {name: known.get(name, ()) for name in ("Credential", "SignedHeaders", "Signature")}
    return {"": (kind,), **named} if kind.startswith("AWS4") else {"": (kind, rest.strip())}


def means_v4(wire: Wire, covered: Headers) -> Any:
    """What a request says by Version 4."""
    try:
        address = parse_path(wire.path)
    except S3Error:
        return None
    pairs = sorted((name, value) for name, value, _ in parse_parameters(wire.query))
    counted = {name for name in wire.headers if name in covered or name.startswith("x-amz-") or name == "content-md5"}
    headers = {name: " ".join(wire.headers[name].split()) for name in counted}
    headers["authorization"] = repr(components(wire.headers.get("authorization", "")))
    return wire.method, address, pairs, headers


@bounded
@given(st.sampled_from([signing.v4_header, signing.v4_query]), by_v4, st.data())
def test_a_head_signed_by_version_4_is_taken_as_it_was_signed(
    signer: Callable[[], Any], asked: Asked, data: st.DataObject
) -> None:
    original = of_sdk(signer, *asked)
    covered = [name for name in original.headers if name != "content-length"]
    tampered = with_other_head(original, covered, data)
    assume(tampered != original)

    same = means_v4(tampered, covered) == means_v4(original, covered)
    check(original, tampered, means_the_same=same, is_head=True)


def means_v2(wire: Wire) -> Any:
    """What a request says by Version 2, which covers neither the host nor every parameter."""
    pairs = parse_parameters(wire.query)
    named = ("AWSAccessKeyId", "Signature", "Expires")
    chosen = sorted((name, value) for name, value, _ in pairs if name in SUBRESOURCES or name in named)
    covered = ("content-md5", "content-type", "authorization")
    headers = {name: {value} for name, value in wire.headers.items() if name in covered or name.startswith("x-amz-")}
    for name, value, _ in pairs:
        if name.lower().startswith("x-amz-"):
            headers.setdefault(name.lower(), set()).add(value)
    if "AWSAccessKeyId" not in dict.fromkeys(name for name, _, _ in pairs) and "x-amz-date" not in headers:
        headers["date"] = {wire.headers.get("date", "")}
    if "authorization" in wire.headers:
        headers["authorization"] = {" ".join(wire.headers["authorization"].split())}
    return wire.method, wire.path.removesuffix("/"), chosen, headers


@bounded
@given(st.sampled_from([signing.v2_header, signing.v2_query]), by_v2, st.data())
def test_a_head_signed_by_version_2_is_taken_as_it_was_signed(
    signer: Callable[[], Any], asked: Asked, data: st.DataObject
) -> None:
    original = of_sdk(signer, *asked)
    covered = [name for name in original.headers if name not in ("content-length", "host")]
    tampered = with_other_head(original, covered, data)
    assume(tampered != original)

    check(original, tampered, means_the_same=means_v2(tampered) == means_v2(original), is_head=True)


# The body


def with_other_body(wire: Wire, data: st.DataObject) -> Wire:
    """The body with a byte or a few changed, left out, put in or put behind."""
    body = wire.body
    at = data.draw(places) % (len(body) + 1)
    stop = at + data.draw(st.sampled_from([0, 1, 2, len(body)]))
    return wire.with_body(body[:at] + data.draw(st.sampled_from([b"", b"x", b"\0", b"ab", b"<"])) + body[stop:])


def of_hash(body: bytes) -> Wire:
    return of_sdk(signing.v4_header, "PUT", "/bucket/key", {}, body)


def of_checksum(body: bytes) -> Wire:
    return reference("PUT", "/bucket/key", {"x-amz-checksum-crc32": crc32(body)}, "UNSIGNED-PAYLOAD")[0].with_body(body)


def of_md5_in_link(body: bytes) -> Wire:
    told = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    wire = of_sdk(signing.v4_query, "PUT", "/bucket/key", {"content-md5": told})
    return wire.with_body(body)


def of_md5_by_v2(body: bytes) -> Wire:
    told = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return of_sdk(signing.v2_header, "PUT", "/bucket/key", {"content-md5": told}, body)


def of_document(_body: bytes) -> Wire:
    return of_sdk(signing.v4_header, "PUT", "/bucket/key?acl", {}, ACL)


def of_batch(_body: bytes) -> Wire:
    return of_sdk(signing.v4_header, *ASKED["deletes"])


OF_BODIES: Final = (of_hash, of_checksum, link_with_hash, of_md5_in_link, of_md5_by_v2, of_document, of_batch)
"""Each signs its body, or a digest of it."""
bodies = st.sampled_from([b"", b"the body", bytes(range(256)) * 80])


@pytest.mark.parametrize("sign", OF_BODIES)
@bounded
@given(bodies, st.data())
def test_a_signed_body_is_stored_as_it_was_signed(
    sign: Callable[[bytes], Wire], body: bytes, data: st.DataObject
) -> None:
    original = sign(body)
    tampered = with_other_body(original, data)
    assume(tampered.body != original.body)

    assert ask(original).has_changed
    check(original, tampered, means_the_same=False, is_head=False)


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", sha256(b"another")])
def test_a_header_does_not_outdo_the_hash_that_a_link_signs(claimed: str) -> None:
    original = link_with_hash(b"the body")
    tampered = replace(original, headers={**original.headers, "x-amz-content-sha256": claimed}).with_body(b"another")

    check(original, tampered, means_the_same=False, is_head=False)


# Chunks


@dataclass(frozen=True, slots=True)
class Chunk:
    size: str
    signature: str
    data: bytes

    def wire(self) -> bytes:
        extension = f";chunk-signature={self.signature}" if self.signature else ""
        return f"{self.size}{extension}\r\n".encode() + self.data + (b"\r\n" if self.data else b"")


@dataclass(frozen=True, slots=True)
class Stream:
    """A framed body, and the head that it belongs to."""

    head: Wire
    chunks: tuple[Chunk, ...]
    trailers: tuple[tuple[str, str], ...] = ()
    cut: int = 0
    """How many bytes of its end are missing."""
    behind: bytes = b""

    def wire(self) -> Wire:
        lines = b"".join(f"{name}:{value}\r\n".encode() for name, value in self.trailers)
        body = b"".join(chunk.wire() for chunk in self.chunks) + lines + b"\r\n"
        return self.head.with_body(body[: len(body) - self.cut] + self.behind)


def streamed(form: str, pieces: list[bytes]) -> Stream:
    """The pieces as chunks of a PUT, signed one after the other, with a checksum behind them where the form has it."""
    body = b"".join(pieces)
    has_trailer, is_signed = form != SIGNED, form != UNSIGNED
    headers = {"x-amz-decoded-content-length": str(len(body)), "content-encoding": "aws-chunked", "x-amz-meta-a": "1"}
    if has_trailer:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    head, previous, timestamp = reference("PUT", "/bucket/key", headers, form)
    chunks = []
    for piece in [*pieces, b""]:
        if is_signed:
            hashes = (sha256(b""), sha256(piece))
            previous = signature(timestamp, "AWS4-HMAC-SHA256-PAYLOAD", timestamp, scope(timestamp), previous, *hashes)
        chunks.append(Chunk(f"{len(piece):x}", previous if is_signed else "", piece))
    trailers = [("x-amz-checksum-crc32", crc32(body))] if has_trailer else []
    if has_trailer and is_signed:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers)
        told = sha256(lines.encode())
        last = signature(timestamp, "AWS4-HMAC-SHA256-TRAILER", timestamp, scope(timestamp), previous, told)
        trailers.append(("x-amz-trailer-signature", last))
    return Stream(head, tuple(chunks), tuple(trailers))


def with_other_chunk(stream: Stream, data: st.DataObject) -> Stream:
    chunks = list(stream.chunks)
    at, other = (data.draw(st.integers(0, len(chunks) - 1)) for _ in range(2))
    chunk = chunks[at]
    match data.draw(
        st.sampled_from(["size", "data", "signature", "swap", "swap signatures", "drop", "again", "merge"])
    ):
        case "size":
            more = data.draw(st.sampled_from([1, -1, 16, -16, 1 << 20]))
            chunks[at] = replace(chunk, size=f"{max(0, int(chunk.size, 16) + more):x}")
        case "data":
            place = data.draw(places) % (len(chunk.data) + 1)
            kept = chunk.data[place + data.draw(st.integers(0, 1)) :]
            new = chunk.data[:place] + data.draw(st.sampled_from([b"", b"?"])) + kept
            size = data.draw(st.sampled_from([chunk.size, f"{len(new):x}"]))
            chunks[at] = replace(chunk, data=new, size=size)
        case "signature":
            chunks[at] = replace(chunk, signature=changed(chunk.signature, data, HEX + "*"))
        case "swap":
            chunks[at], chunks[other] = chunks[other], chunks[at]
        case "swap signatures":
            chunks[at] = replace(chunk, signature=chunks[other].signature)
            chunks[other] = replace(chunks[other], signature=chunk.signature)
        case "drop":
            del chunks[at]
        case "again":
            chunks.insert(other, chunk)
        case "merge":
            merged = chunk.data + chunks[other].data
            chunks[at] = replace(chunk, data=merged, size=f"{len(merged):x}")
            del chunks[other]
    return replace(stream, chunks=tuple(chunks))


def with_other_trailers(stream: Stream, data: st.DataObject) -> Stream:
    trailers = list(stream.trailers)
    added = ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="), ("x-amz-meta-b", "2"), ("x-amz-acl", "public-read")
    what = data.draw(st.sampled_from(["value", "name", "drop", "add"])) if trailers else "add"
    if what == "add":
        trailers.insert(data.draw(st.integers(0, len(trailers))), data.draw(st.sampled_from(added)))
        return replace(stream, trailers=tuple(trailers))
    at = data.draw(st.integers(0, len(trailers) - 1))
    name, value = trailers[at]
    if what == "drop":
        del trailers[at]
    elif what == "name":
        trailers[at] = changed(name, data, "ax-1"), value
    else:
        trailers[at] = name, changed(value, data, TEXT + HEX)
    return replace(stream, trailers=tuple(trailers))


def other_end(stream: Stream, data: st.DataObject) -> Stream:
    """The body cut anywhere, or going on."""
    behind = data.draw(st.sampled_from([b"", b"", b"\r\n", b"x", b"0\r\n\r\n"]))
    size = len(stream.wire().body)
    return replace(stream, behind=behind) if behind else replace(stream, cut=1 + data.draw(places) % (size - 1))


def other_length(stream: Stream, data: st.DataObject) -> Stream:
    name = "x-amz-decoded-content-length"
    told = int(stream.head.headers[name]) + data.draw(st.sampled_from([-1, 1, 100]))
    return replace(stream, head=replace(stream.head, headers={**stream.head.headers, name: str(max(0, told))}))


def other_form(stream: Stream, data: st.DataObject) -> Stream:
    """Another word for how the body is signed."""
    forms = [UNSIGNED, SIGNED, SIGNED_TRAILER, "UNSIGNED-PAYLOAD", sha256(stream.wire().body)]
    headers = {**stream.head.headers, "x-amz-content-sha256": data.draw(st.sampled_from(forms))}
    return replace(stream, head=replace(stream.head, headers=headers))


def with_other_stream(stream: Stream, data: st.DataObject) -> Wire:
    changes = [with_other_chunk, with_other_chunk, with_other_trailers, other_end, other_length, other_form, None]
    change = data.draw(st.sampled_from(changes))
    return with_other_body(stream.wire(), data) if change is None else change(stream, data).wire()


def means_stream(wire: Wire) -> Any:
    """A framed body without what may be written in several ways: digits' case and leading zeros, white space."""
    sent = wire.headers
    told = {name: value for name, value in sent.items() if name != "content-length"}
    return told, wire.body.lower().replace(b" ", b"").replace(b"\t", b"").replace(b"0", b"")


some_pieces = st.lists(st.sampled_from([b"a" * 8192, b"b" * 8192, b"c" * 9000]), max_size=3).flatmap(
    lambda whole: st.sampled_from([b"the end", b""]).map(lambda rest: whole + ([rest] if rest else []))
)


@pytest.mark.parametrize("form", [SIGNED, SIGNED_TRAILER, UNSIGNED])
@bounded
@given(some_pieces, st.data())
def test_chunks_and_trailers_are_taken_as_they_were_sent(form: str, pieces: list[bytes], data: st.DataObject) -> None:
    original = streamed(form, pieces)
    tampered = with_other_stream(original, data)
    assume(tampered != original.wire())

    done = ask(original.wire())
    assert (done.status, done.has_changed) == (200, True), done
    outcome = ask(tampered)
    if outcome.is_refused:
        return
    # What passes has been cut, spaced or written otherwise, and is what was sent all the same.
    assert (outcome.status, outcome.store) == (200, done.store)
    assert form == UNSIGNED or means_stream(tampered) == means_stream(original.wire()), tampered


# Forms

CONDITIONS: Final = [
    {"bucket": "bucket"},
    {"key": "key"},
    {"acl": "private"},
    {"content-type": "text/plain"},
    {"x-amz-meta-a": "1"},
    {"success_action_status": "201"},
    ["content-length-range", 3, 10],
]


def form_fields(signer: Callable[[], Any]) -> dict[str, str]:
    expires = "2099-01-01T00:00:00Z"
    proof = signed_form(signer(), {"expiration": expires, "conditions": list(CONDITIONS)})
    given_fields = {"key": "key", "acl": "private", "content-type": "text/plain", "x-amz-meta-a": "1"}
    return {**given_fields, "success_action_status": "201", **proof}


def form_of(fields: Mapping[str, str], content: bytes = b"content", path: str = "/bucket") -> Wire:
    headers = {"host": "s3.example", "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    return Wire("POST", path, "", headers).with_body(encode_form(fields.items(), content))


def other_field(fields: dict[str, str], data: st.DataObject) -> Wire:
    """A field with another value or name, or gone."""
    name = data.draw(st.sampled_from(list(fields)))
    called = data.draw(st.sampled_from([name, name, "", changed(name, data, "ax-1")]))
    value = changed(fields[name], data, TEXT + HEX) if called == name else fields[name]
    return form_of({called if one == name else one: value if one == name else fields[one] for one in fields})


def one_field_more(fields: dict[str, str], data: st.DataObject) -> Wire:
    added = ["x-amz-acl", "x-amz-meta-b", "x-amz-storage-class", "content-encoding", "redirect", "tagging", "expires"]
    return form_of({data.draw(st.sampled_from(added)): "public-read", **fields})


def a_field_twice(fields: dict[str, str], data: st.DataObject) -> Wire:
    name = data.draw(st.sampled_from(list(fields)))
    again = (name, data.draw(st.sampled_from(["x", "", fields[name]])))
    return form_of(fields).with_body(encode_form([*fields.items(), again], b"content"))


def other_size(fields: dict[str, str], data: st.DataObject) -> Wire:
    return form_of(fields, b"x" * data.draw(st.sampled_from([0, 2, 11, 20_000])))


def other_place(fields: dict[str, str], data: st.DataObject) -> Wire:
    return form_of(fields, path=data.draw(st.sampled_from(["/other", "/none", "/bucket/key", "/bucket%2Fkey"])))


def other_signer(fields: dict[str, str], _data: st.DataObject) -> Wire:
    return form_of({name: value.replace(KEY, OTHER_KEY) for name, value in fields.items()})


CHANGES: Final = (other_field, other_field, one_field_more, a_field_twice, other_size, other_place, other_signer)


@pytest.mark.parametrize("signer", [signing.v4_form, signing.v2_form])
@bounded
@given(st.data())
def test_a_form_is_taken_as_its_policy_says(signer: Callable[[], Any], data: st.DataObject) -> None:
    fields = form_fields(signer)
    original, tampered = form_of(fields), data.draw(st.sampled_from(CHANGES))(fields, data)
    assume(tampered != original)

    done = ask(original)
    assert (done.status, done.has_changed) == (201, True), done
    check(original, tampered, means_the_same=False, is_head=False)
