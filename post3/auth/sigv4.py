"""Signature Version 4: what is signed, by which key, and the chain of signatures along a body.

A client proves that it holds a secret by signing a summary of its request:

    canonical request = method, path, query, headers, names of those headers, hash of the body; one a line
    string to sign    = algorithm, time, scope, SHA-256 of the canonical request
    signing key       = HMAC of HMAC of HMAC of HMAC: secret, date, region, service, "aws4_request"
    signature         = HMAC of the string to sign by the signing key, in hexadecimal

It travels in the Authorization header, or in the query (a presigned URL), or in the fields of a form. Then:

- The path is decoded once and encoded once; nothing is normalised, as `//` and `..` are parts of keys. The query is
  treated alike, and sorted; a plus sign is a space, as it is for whoever reads the parameters. Some clients sign path
  or query as they send them, when those could be written otherwise (`%2F` in a path, a plus sign). No other request has
  such a text as its canonical one, so it is taken too.
- Host, Content-MD5 and every x-amz-… header must be among the signed ones, or somebody on the way could add one. Only
  x-amz-content-sha256 need not, because its value is a line of its own.
- A body that is signed while it is sent carries a signature with every chunk, each over the one before; the request's
  own signature is the seed of the chain.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from post3.auth.request_time import MAX_SKEW, basic, check_skew, extended, is_basic, parse_time, required_time
from post3.auth.sent import Pair, Sent, as_bytes
from post3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    OperationNotImplemented,
    S3Error,
    SignatureDoesNotMatch,
)

ALGORITHM: Final = "AWS4-HMAC-SHA256"
ASYMMETRIC: Final = "AWS4-ECDSA-P256-SHA256"
"""Version 4A, which post3 does not know."""
ASYMMETRIC_STREAMS: Final = "STREAMING-AWS4-ECDSA-"
"""How the values of x-amz-content-sha256 begin that go with it."""
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
SIGNED_STREAMS: Final = frozenset({"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
"""Values of x-amz-content-sha256 by which every chunk carries a signature."""
PRESIGNED: Final = frozenset({"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"})
"""Any of these in the query means that the request is presigned."""
MAX_EXPIRES: Final = 604_800
"""Seconds that a presigned URL may be valid: seven days."""

_PAYLOADS: Final = frozenset({UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", *SIGNED_STREAMS})
_USUAL_PAYLOADS: Final = _PAYLOADS | {EMPTY_SHA256}
_BLOCK: Final = 64
"""Bytes that SHA-256 takes at a time; a signing key has half as many."""
_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_EXPIRES: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._~-]*")
_SPACES: Final = re.compile(r"[ \t]{2,}|\t")
_REQUIRED: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)

Malformed = Callable[[str], S3Error]
"""Makes the error of the place where a credential stands."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who signs, and for when and where the signing key is good."""

    access_key: str
    date: str
    """As in `20261122`."""
    region: str
    """Any; may be empty."""

    @property
    def scope(self) -> str:
        """As it stands in the string to sign."""
        return f"{self.date}/{self.region}/s3/aws4_request"


class Claim(NamedTuple):
    """What a request says of its own signature."""

    credential: Credential
    timestamp: str
    """As it stands in the string to sign."""
    moment: datetime
    signed_headers: tuple[str, ...]
    """No name twice."""
    signature: str
    payload: str
    """The last line of the canonical request."""


class Canonical(NamedTuple):
    """A request in the one way that client and server write it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """The signed ones, in the order of their names as sent."""
    payload: str

    def text(self) -> str:
        """The canonical request."""
        headers = "".join([f"{name}:{value}\n" for name, value in self.headers.items()])
        return f"{self.method}\n{self.path}\n{self.query}\n{headers}\n{';'.join(self.headers)}\n{self.payload}"


class Signing:
    """A signing key at work at one time."""

    def __init__(self, key: bytes, timestamp: str, scope: str) -> None:
        self.timestamp = timestamp
        self.scope = scope
        # HMAC's two hashes, each with its key in it (RFC 2104): copies of them sign in less than half the time.
        block = key.ljust(_BLOCK, b"\0")
        self._inner, self._outer = hashlib.sha256(block.translate(_IPAD)), hashlib.sha256(block.translate(_OPAD))

    def string_to_sign(self, canonical: str) -> str:
        """What of a canonical request is signed."""
        return f"{ALGORITHM}\n{self.timestamp}\n{self.scope}\n{hashlib.sha256(as_bytes(canonical)).hexdigest()}"

    def sign(self, text: str) -> str:
        """The signature, in hexadecimal."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(as_bytes(text))
        outer.update(inner.digest())
        return outer.hexdigest()

    def signs(self, canonical: str, signature: str) -> bool:
        """Whether this is the signature of that canonical request."""
        return is_same(self.sign(self.string_to_sign(canonical)), signature)


class ChunkChain:
    """The signatures along one body, to be verified one by one, in order."""

    def __init__(self, signing: Signing, seed: str) -> None:
        self._signing = signing
        self._previous = seed

    def check_chunk(self, sha256_hex: str, signature: str) -> None:
        """Verify the next chunk, also the empty last one, by the hash of its bytes. Raises SignatureDoesNotMatch."""
        self._check("AWS4-HMAC-SHA256-PAYLOAD", f"{EMPTY_SHA256}\n{sha256_hex}", signature)

    def check_trailer(self, trailers: Mapping[str, str], signature: str) -> None:
        """Verify the trailers, in the order sent, behind the last chunk. Raises SignatureDoesNotMatch."""
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        self._check("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(as_bytes(lines)).hexdigest(), signature)

    def _check(self, kind: str, hashes: str, signature: str) -> None:
        text = f"{kind}\n{self._signing.timestamp}\n{self._signing.scope}\n{self._previous}\n{hashes}"
        if not is_same(self._signing.sign(text), signature):
            raise SignatureDoesNotMatch(
                StringToSign=text, SignatureProvided=signature, StringToSignBytes=as_bytes(text).hex(" ")
            )
        self._previous = signature


def is_same(computed: str, given: str) -> bool:
    """Whether two signatures are equal, in constant time."""
    return hmac.compare_digest(computed.encode(), as_bytes(given))


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str) -> bytes:
    """The key that signs for S3 on one day in one region."""
    key = as_bytes(f"AWS4{secret}")
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, as_bytes(part), "sha256")
    return key


def signing(secret: str, claim: Claim) -> Signing:
    """The secret's signing key, at the time and in the scope of the claim."""
    credential = claim.credential
    return _signing(secret, credential.date, credential.region, claim.timestamp)


@lru_cache(maxsize=256)
def _signing(secret: str, date: str, region: str, timestamp: str) -> Signing:
    """One for all that a client asks for in a second."""
    return Signing(signing_key(secret, date, region), timestamp, Credential("", date, region).scope)


# What a request claims


def parse_header(sent: Sent, now: datetime) -> Claim:
    """What the Authorization header claims.

    Raises AuthorizationHeaderMalformed, AccessDenied without a date, RequestTimeTooSkewed, InvalidRequest without
    x-amz-content-sha256, InvalidArgument for a wrong one, NotImplemented for chunks with asymmetric signatures.
    """
    fixed, signature = _split_header(sent.headers["authorization"].removeprefix(ALGORITHM))
    credential, signed_headers = fixed
    text, moment = required_time(sent.headers)
    check_skew(text, moment, now)
    timestamp = text if is_basic(text) else basic(moment)
    if credential.date != timestamp[:8]:
        raise _malformed_header(_other_date(credential.date, timestamp))
    payload = sent.headers.get("x-amz-content-sha256")
    if payload is None:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    return Claim(credential, timestamp, moment, signed_headers, signature, checked_payload(payload))


def _split_header(text: str) -> tuple[tuple[Credential, tuple[str, ...]], str]:
    """What a client says alike in all requests of a day, and the signature, which nearly all put last."""
    fixed, _, last = text.rpartition(",")
    name, _, signature = last.strip().partition("=")
    if name == "Signature" and signature and "Signature" not in fixed:
        return _fixed_part(fixed), signature
    components = _components(text)
    return _signers(components), components["Signature"]


@lru_cache(maxsize=256)
def _fixed_part(text: str) -> tuple[Credential, tuple[str, ...]]:
    return _signers(_components(f"{text},Signature=."))


def _signers(components: dict[str, str]) -> tuple[Credential, tuple[str, ...]]:
    """Who signs, and which headers."""
    signed_headers = _names(components["SignedHeaders"])
    return parse_credential(components["Credential"], _malformed_header), signed_headers


def _names(text: str) -> tuple[str, ...]:
    """The names of signed headers; one that is there twice is written once."""
    return tuple(dict.fromkeys(text.split(";")))


def _components(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for component in text.split(","):
        name, _, value = component.strip().partition("=")
        if name in found:
            raise _malformed_header(f"{name} is there twice.")
        found[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not found.get(name):
            raise _malformed_header(f"the Authorization header requires the component {name}.")
    return found


def parse_query(sent: Sent, pairs: list[Pair], now: datetime) -> Claim:
    """What a presigned URL claims.

    Raises AuthorizationQueryParametersError, AccessDenied when it is not valid now or claims a wrong time of validity,
    InvalidArgument for a wrong X-Amz-Content-Sha256, NotImplemented for asymmetric signatures.
    """
    given = _presigned_parameters(pairs)
    _check_algorithm(given["X-Amz-Algorithm"])
    credential = parse_credential(given["X-Amz-Credential"], _malformed_query)
    moment = parse_time(given["X-Amz-Date"])
    if moment is None or basic(moment) != given["X-Amz-Date"]:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if credential.date != given["X-Amz-Date"][:8]:
        raise _malformed_query(_other_date(credential.date, given["X-Amz-Date"]))
    _check_validity(moment, given["X-Amz-Expires"], now)
    signed = _names(given["X-Amz-SignedHeaders"])
    payload = given.get("X-Amz-Content-Sha256")
    if payload is None and "x-amz-content-sha256" in signed:
        payload = sent.headers.get("x-amz-content-sha256")
    return Claim(
        credential=credential,
        timestamp=given["X-Amz-Date"],
        moment=moment,
        signed_headers=signed,
        signature=given["X-Amz-Signature"],
        payload=UNSIGNED_PAYLOAD if payload is None else checked_payload(payload),
    )


def _presigned_parameters(pairs: list[Pair]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value, _ in pairs:
        if name in (*_REQUIRED, "X-Amz-Content-Sha256"):
            if name in given:
                raise AuthorizationQueryParametersError(f"{name} is there twice.")
            given[name] = value
    if not all(given.get(name) for name in _REQUIRED):
        names = f"{', '.join(_REQUIRED[:-1])}, and {_REQUIRED[-1]}"
        raise AuthorizationQueryParametersError(
            f"Query-string authentication version 4 requires the {names} parameters."
        )
    return given


def _check_validity(moment: datetime, expires: str, now: datetime) -> None:
    """Raise AccessDenied unless a presigned URL is valid now.

    A time of validity that nobody can mean is AccessDenied too (s3-tests: test_object_raw_get_x_amz_expires_out_…).
    """
    if not _EXPIRES.fullmatch(expires):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    seconds = int(expires)
    if seconds < 0:
        raise AccessDenied("X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRES:
        raise AccessDenied(
            f"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds"
        )
    if moment - now > MAX_SKEW:
        raise AccessDenied("Request is not yet valid", ServerTime=extended(now), RequestTime=extended(moment))
    if seconds == 0 or now - moment > timedelta(seconds=seconds):
        expired = AccessDenied("Request has expired")
        expired.details["X-Amz-Expires"] = expires
        expired.details["Expires"] = extended(moment + timedelta(seconds=seconds))
        expired.details["ServerTime"] = extended(now)
        raise expired


def parse_credential(text: str, malformed: Malformed) -> Credential:
    """Read `KEY/DATE/REGION/s3/aws4_request`; a key may contain slashes, and any region is taken, also none."""
    parts = text.rsplit("/", 4)
    if len(parts) < 5 or not _DATE.fullmatch(parts[1]):
        raise malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    access_key, date, region, service, terminal = parts
    if not access_key:
        raise malformed("a non-empty Access Key (AKID) must be provided in the credential.")
    if service != "s3":
        raise malformed(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminal != "aws4_request":
        raise malformed(f'incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    return Credential(access_key, date, region)


def checked_payload(value: str) -> str:
    """The value of x-amz-content-sha256. Raises InvalidArgument, and NotImplemented for asymmetric signatures."""
    if value in _USUAL_PAYLOADS or _SHA256.fullmatch(value):
        return value
    if value.startswith(ASYMMETRIC_STREAMS):
        raise OperationNotImplemented(Payload=value)
    raise InvalidArgument(
        f"x-amz-content-sha256 must be {', '.join(sorted(_PAYLOADS))}, or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=value,
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm == ASYMMETRIC:
        raise OperationNotImplemented(Algorithm=algorithm)
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM}"')


def _malformed_header(why: str) -> S3Error:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {why}")


def _malformed_query(why: str) -> S3Error:
    return AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {why}")


def _other_date(date: str, timestamp: str) -> str:
    return f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'


# What must have been signed


def check_all_signed(sent: Sent, signed_headers: tuple[str, ...]) -> None:
    """Raise AccessDenied for headers that somebody on the way could have added."""
    unsigned = [name for name in _to_be_signed(tuple(sent.headers)) if name not in signed_headers]
    if "host" not in signed_headers:
        unsigned.append("host")
    if unsigned:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(unsigned)
        )


def check_order_is_nothing(pairs: list[Pair]) -> None:
    """Raise InvalidArgument for a parameter that is there with several values.

    They are signed sorted: somebody on the way could have chosen which comes first, and so which is read.
    """
    told: dict[str, str] = {}
    for name, value, _ in pairs:
        if told.setdefault(name, value) != value:
            raise InvalidArgument(
                "A parameter is there twice, with different values.", ArgumentName=name, ArgumentValue=value
            )


@lru_cache(maxsize=256)
def _to_be_signed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a request's headers that must be signed; kept, as clients send the same ones all day."""
    return tuple(name for name in names if _must_be_signed(name))


def _must_be_signed(name: str) -> bool:
    return name == "content-md5" or (name.startswith("x-amz-") and name != "x-amz-content-sha256")


def canonical_text(sent: Sent, claim: Claim) -> str:
    """The canonical request as text: that of `canonical_request`, sooner. Raises KeyError for a signed header that did
    not arrive.
    """
    names, given = claim.signed_headers, sent.headers
    headers = "".join([f"{name}:{given[name]}\n" for name in names])
    if "  " in headers or "\t" in headers:
        return canonical_request(sent, claim).text()
    path, query = canonical_path(sent.path), canonical_query(sent.query) if sent.query else ""
    return f"{sent.method}\n{path}\n{query}\n{headers}\n{';'.join(names)}\n{claim.payload}"


def canonical_request(sent: Sent, claim: Claim) -> Canonical:
    """The canonical request. Of a signed header that did not arrive, the value is empty."""
    headers = {name: _folded(sent.headers.get(name, "")) for name in claim.signed_headers}
    return Canonical(sent.method, canonical_path(sent.path), canonical_query(sent.query), headers, claim.payload)


def as_sent(request: Canonical, sent: Sent) -> Iterator[Canonical]:
    """The canonical requests of clients that sign path or query as they send them, where those differ from it."""
    path, query = request.path, request.query
    query_as_sent = canonical_query(sent.query, str)
    for other in {(path, query_as_sent), (sent.path, query), (sent.path, query_as_sent)} - {(path, query)}:
        yield request._replace(path=other[0], query=other[1])


def canonical_path(path: str) -> str:
    """The path decoded once and encoded once."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(unquote_to_bytes(as_bytes(path)), safe="/-_.~")


def _encoded(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return quote(unquote_to_bytes(as_bytes(text.replace("+", " "))), safe="-_.~")


def canonical_query(query: str, encoded: Callable[[str], str] = _encoded) -> str:
    """The parameters without X-Amz-Signature, decoded and encoded once, sorted by name and then by value."""
    if not query:
        return ""
    pairs = [pair.partition("=") for pair in query.split("&") if pair and not pair.startswith("X-Amz-Signature=")]
    return "&".join([f"{name}={value}" for name, value in sorted([(encoded(n), encoded(v)) for n, _, v in pairs])])


def _folded(value: str) -> str:
    return _SPACES.sub(" ", value) if "  " in value or "\t" in value else value
