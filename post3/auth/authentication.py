"""Who signed a request, proven by its signature: in a header, in the query, or in the fields of a form."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from post3.auth import sigv2, sigv4
from post3.auth.request_time import basic, parse_time
from post3.auth.sent import Pair, Sent, as_bytes, parse_parameters
from post3.auth.signature_causes import secret_variants, v2_variants, v4_variants
from post3.auth.sigv4 import ChunkChain
from post3.errors import (
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    OperationNotImplemented,
    S3Error,
    SignatureDoesNotMatch,
)
from post3.model.identity import ANONYMOUS, Identity

logger = logging.getLogger("post3")

LOG_PAUSE: Final = timedelta(minutes=1)
"""Between two lines of the log that say the same."""
MAX_VARIANTS: Final = 128
"""Of a request whose signature does not match: each costs a few microseconds."""
MAX_LOGGED: Final = 256
"""Causes that are told in a minute, and remembered."""
TOKEN: Final = "x-amz-security-token"  # noqa: S105  # a header's name


class Key(Protocol):
    """What signatures need to know of a key."""

    @property
    def secret_key(self) -> str:
        """What the client signs with."""

    @property
    def identity(self) -> Identity:
        """Whose it is."""


class Keys(Protocol):
    """All keys there are."""

    def find(self, access_key: str) -> Key | None:
        """The key of that name."""


@dataclass(slots=True)  # made for every request, as Request is, and so not frozen
class Proof:
    """Who asks, and what their signature covers."""

    identity: Identity
    """ANONYMOUS when nothing was signed."""
    payload: str = ""
    """The x-amz-content-sha256 that the signature covers: the body must be held to it. Empty when none is covered."""
    chunks: ChunkChain | None = None
    """For bodies with a signature on every chunk."""
    kind: str = ""
    """`header`, `query` or `form`; empty when nothing was signed."""
    version: str = ""
    """`AWS` or `AWS4-HMAC-SHA256`."""
    age: timedelta | None = None
    """How long ago it was signed, by Version 4."""
    only_bucket: str = ""
    """The one bucket that it is good for; empty for all."""


UNSIGNED: Final = Proof(ANONYMOUS)


class Authenticator:
    """Proves who asks, by the keys there are."""

    def __init__(
        self, credentials: Keys, *, sigv2_links: bool = True, sigv2_headers: bool = False, names: Iterable[str] = ()
    ) -> None:
        """Version 2 is taken in links and forms, and in headers, as told.

        `names` are those by which the server is known, to say which of them a request was signed for.
        """
        self._keys = credentials
        self._sigv2_links = sigv2_links
        self._sigv2_headers = sigv2_headers
        self._names = tuple(names)
        self._logged: dict[str, datetime] = {}

    def authenticate(self, sent: Sent, now: datetime) -> Proof:
        """Who sent the request, in whatever way it is signed; ANONYMOUS when it is not.

        Raises the S3 errors of a signature that is wrong, incomplete, out of its time, of an unknown key or kind.
        """
        proof = self._prove(sent, now) if sent.query else self._prove_without_query(sent, now)
        _check_chain_begins(sent, proof)
        return proof

    def _prove_without_query(self, sent: Sent, now: datetime) -> Proof:
        return self._prove_header(sent, [], now) if "authorization" in sent.headers else UNSIGNED

    def _prove(self, sent: Sent, now: datetime) -> Proof:
        pairs = parse_parameters(sent.query)
        names = {name for name, _, _ in pairs}
        is_presigned, is_link = not names.isdisjoint(sigv4.PRESIGNED), not names.isdisjoint(sigv2.LINK)
        if ("authorization" in sent.headers) + is_presigned + is_link > 1:
            raise _argument(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                "Authorization",
                sent.headers.get("authorization", ""),
            )
        if is_presigned:
            return self._prove_v4(sent, sigv4.parse_query(sent, pairs, now), "query", pairs, now)
        if is_link:
            return self._prove_v2(sent, self._claim_of_link(pairs, now), "query", pairs, now)
        return self._prove_header(sent, pairs, now) if "authorization" in sent.headers else UNSIGNED

    def authenticate_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        """Who signed a form's policy; ANONYMOUS when there is neither policy nor signature. Field names are lower case.

        The signature covers the policy and the day, and no other field: the policy must be held against those.
        Raises InvalidArgument when a field is missing or malformed, and the errors of a wrong signature.
        """
        is_v4 = any(name in fields for name in ("x-amz-signature", "x-amz-credential", "x-amz-algorithm"))
        required = _V4_FIELDS if is_v4 else _V2_FIELDS
        if not is_v4 and not any(name in fields for name in required):
            return UNSIGNED
        for name, spelling in required.items():
            if not fields.get(name):
                raise _argument(
                    f"Bucket POST must contain a field named '{spelling}'.  If it is specified, please check the order "
                    "of the fields.",
                    spelling,
                    "",
                )
        if fields.get(TOKEN):
            raise InvalidToken
        return self._prove_v4_form(fields, now) if is_v4 else self._prove_v2_form(fields, now)

    def _prove_header(self, sent: Sent, pairs: list[Pair], now: datetime) -> Proof:
        value = sent.headers["authorization"]
        algorithm = value.partition(" ")[0]
        if algorithm == sigv4.ALGORITHM:
            return self._prove_v4(sent, sigv4.parse_header(sent, now), "header", pairs, now)
        if algorithm == sigv4.ASYMMETRIC:
            raise OperationNotImplemented(Algorithm=algorithm)
        if algorithm != "AWS":
            raise _argument("Unsupported Authorization Type", "Authorization", value)
        if not self._sigv2_headers:
            raise _unsupported_version()
        return self._prove_v2(sent, sigv2.parse_header(sent, now), "header", pairs, now)

    def _claim_of_link(self, pairs: list[Pair], now: datetime) -> sigv2.Claim:
        if not self._sigv2_links:
            raise _unsupported_version()
        return sigv2.parse_query(pairs, now)

    def _prove_v4(self, sent: Sent, claim: sigv4.Claim, kind: str, pairs: list[Pair], now: datetime) -> Proof:
        _refuse_token(sent, pairs)
        key = self._find(claim.credential.access_key)
        signing = sigv4.signing(key.secret_key, claim)
        try:
            is_signed = signing.signs(sigv4.canonical_text(sent, claim), claim.signature)
        except KeyError:
            is_signed = False
        if not is_signed:
            self._check_otherwise(sent, claim, key.secret_key, now)
        sigv4.check_all_signed(sent, claim.signed_headers)
        if pairs:
            sigv4.check_order_is_nothing(pairs)
        chunks = ChunkChain(signing, claim.signature) if claim.payload in sigv4.SIGNED_STREAMS else None
        return Proof(key.identity, claim.payload, chunks, kind, sigv4.ALGORITHM, now - claim.moment)

    def _check_otherwise(self, sent: Sent, claim: sigv4.Claim, secret: str, now: datetime) -> None:
        """Raise SignatureDoesNotMatch unless the client signed its path or query as it sent them."""
        signing, request = sigv4.signing(secret, claim), sigv4.canonical_request(sent, claim)
        absent = [name for name in claim.signed_headers if name not in sent.headers]
        if not absent and any(signing.signs(other.text(), claim.signature) for other in sigv4.as_sent(request, sent)):
            return
        cause = _absence(absent) or self._cause_v4(sent, claim, secret, request)
        text = request.text()
        raise self._mismatch(
            claim.credential.access_key, signing.string_to_sign(text), claim.signature, cause, now, canonical=text
        )

    def _cause_v4(self, sent: Sent, claim: sigv4.Claim, secret: str, request: sigv4.Canonical) -> str:
        signing = sigv4.signing(secret, claim)
        for told, variant in islice(v4_variants(request, sent, self._names), MAX_VARIANTS):
            if signing.signs(variant.text(), claim.signature):
                return told
        for told, other in secret_variants(secret):
            if sigv4.signing(other, claim).signs(request.text(), claim.signature):
                return told
        return ""

    def _prove_v2(self, sent: Sent, claim: sigv2.Claim, kind: str, pairs: list[Pair], now: datetime) -> Proof:
        _refuse_token(sent, pairs)
        key = self._find(claim.access_key)
        strings = sigv2.signed_strings(sent, claim, pairs)
        if not any(_signs_v2(key.secret_key, signed.text(), claim.signature) for signed in strings):
            cause = self._cause_v2(sent, claim, key.secret_key, strings[0])
            raise self._mismatch(claim.access_key, strings[0].text(), claim.signature, cause, now)
        return Proof(key.identity, kind=kind, version="AWS")

    @staticmethod
    def _cause_v2(sent: Sent, claim: sigv2.Claim, secret: str, signed: sigv2.Signed) -> str:
        for told, variant in v2_variants(signed, sent):
            if _signs_v2(secret, variant.text(), claim.signature):
                return told
        for told, other in secret_variants(secret):
            if _signs_v2(other, signed.text(), claim.signature):
                return told
        return ""

    def _prove_v4_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        if fields["x-amz-algorithm"] != sigv4.ALGORITHM:
            raise _argument(
                f'X-Amz-Algorithm only supports "{sigv4.ALGORITHM}"', "x-amz-algorithm", fields["x-amz-algorithm"]
            )
        credential = sigv4.parse_credential(
            fields["x-amz-credential"], lambda why: _argument(why, "x-amz-credential", fields["x-amz-credential"])
        )
        timestamp = fields["x-amz-date"]
        moment = parse_time(timestamp)
        if moment is None or basic(moment) != timestamp or credential.date != timestamp[:8]:
            raise _argument(
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\", of the Credential's date",
                "x-amz-date",
                timestamp,
            )
        key = self._find(credential.access_key)
        signing = sigv4.Signing(
            sigv4.signing_key(key.secret_key, credential.date, credential.region), timestamp, credential.scope
        )
        if not sigv4.is_same(signing.sign(fields["policy"]), fields["x-amz-signature"]):
            raise self._mismatch(credential.access_key, fields["policy"], fields["x-amz-signature"], "", now)
        return Proof(key.identity, kind="form", version=sigv4.ALGORITHM, age=now - moment)

    def _prove_v2_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        if not self._sigv2_links:
            raise _unsupported_version()
        access_key = fields["awsaccesskeyid"]
        key = self._find(access_key)
        if not _signs_v2(key.secret_key, fields["policy"], fields["signature"]):
            raise self._mismatch(access_key, fields["policy"], fields["signature"], "", now)
        return Proof(key.identity, kind="form", version="AWS")

    def _find(self, access_key: str) -> Key:
        key = self._keys.find(access_key)
        if key is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
        return key

    def _mismatch(
        self,
        access_key: str,
        string_to_sign: str,
        signature: str,
        cause: str,
        now: datetime,
        canonical: str | None = None,
    ) -> S3Error:
        """The error, with all that the client needs to find the difference, and the cause if it is known."""
        if cause:
            self._log(f"A signature by key {access_key!r} does not match. {cause}", now)
        return SignatureDoesNotMatch(
            " ".join(filter(None, (SignatureDoesNotMatch.__doc__, cause))),
            AWSAccessKeyId=access_key,
            StringToSign=string_to_sign,
            SignatureProvided=signature,
            StringToSignBytes=as_bytes(string_to_sign).hex(" "),
            CanonicalRequest=canonical,
            CanonicalRequestBytes=None if canonical is None else as_bytes(canonical).hex(" "),
        )

    def _log(self, line: str, now: datetime) -> None:
        """Warn once a minute of the same, and of no more than some hundred things a minute."""
        for told in [told for told, moment in self._logged.items() if now - moment >= LOG_PAUSE]:
            del self._logged[told]
        if line not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged[line] = now
            logger.warning("%s", line)


_V2_FIELDS: Final = {"policy": "policy", "awsaccesskeyid": "AWSAccessKeyId", "signature": "signature"}
_V4_FIELDS: Final = {
    "policy": "policy",
    "x-amz-algorithm": "X-Amz-Algorithm",
    "x-amz-credential": "X-Amz-Credential",
    "x-amz-date": "X-Amz-Date",
    "x-amz-signature": "X-Amz-Signature",
}
"""What a signed form has, by lower-case name, as S3's errors spell it."""


def _signs_v2(secret: str, text: str, signature: str) -> bool:
    return sigv4.is_same(sigv2.sign(secret, text), signature)


def _refuse_token(sent: Sent, pairs: list[Pair]) -> None:
    """Raise InvalidToken for temporary credentials: there are none."""
    if sent.headers.get(TOKEN) or (pairs and any(value and name.lower() == TOKEN for name, value, _ in pairs)):
        raise InvalidToken


def _check_chain_begins(sent: Sent, proof: Proof) -> None:
    """Raise InvalidRequest for a body whose chunks' signatures begin with none that could be verified.

    NotImplemented for asymmetric ones.
    """
    payload = sent.headers.get("x-amz-content-sha256", "")
    if payload.startswith(sigv4.ASYMMETRIC_STREAMS):
        raise OperationNotImplemented(Payload=payload)
    if payload in sigv4.SIGNED_STREAMS and payload != proof.payload:
        raise InvalidRequest(f"x-amz-content-sha256 {payload} needs a signature of Version 4 that covers it.")


def _absence(names: list[str]) -> str:
    if not names:
        return ""
    return f"Signed headers did not arrive: {', '.join(map(repr, names))}. A proxy may have removed them."


def _argument(message: str, name: str, value: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=value)


def _unsupported_version() -> InvalidRequest:
    return InvalidRequest(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
