"""What botocore signs verifies, and nothing that was changed since; no text makes a verifier fail in another way."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

import pytest
from botocore.auth import BaseSigner, HmacV1Auth
from hypothesis import assume, example, given
from hypothesis import strategies as st

from post3.auth.request_time import parse_time
from post3.auth.sent import Sent, as_bytes, parse_parameters
from post3.auth.signature_causes import v4_variants
from post3.auth.sigv2 import SUBRESOURCES
from post3.auth.sigv4 import (
    ChunkChain,
    Claim,
    Credential,
    Signing,
    as_sent,
    canonical_request,
    canonical_text,
    signing_key,
)
from post3.errors import AccessDenied, S3Error, SignatureDoesNotMatch
from post3.model.identity import ANONYMOUS
from tests import signing
from tests.fuzz.bounds import bounded
from tests.signing import ALICE, KEY, SECRET, authenticator, now, signed, signed_form

FAR: Final = timedelta(minutes=16)
HEX: Final = "0123456789abcdef"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    ["//a", "a//b/", "./..", "a%2Fb", "a+b c", "é/ü", "~-_.", "%", "(!*')"]
)
access_keys = st.from_regex(r"[A-Z0-9][A-Z0-9/+=]{0,20}", fullmatch=True)
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
regions = st.sampled_from(["us-east-1", "", "default", "eu-west-7", "ü"])
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)
queries = st.lists(st.tuples(texts.filter(bool), texts), max_size=4, unique_by=lambda pair: pair[0])
covered = st.lists(
    st.tuples(st.sampled_from(sorted(SUBRESOURCES.intersection(HmacV1Auth.QSAOfInterest))), texts),
    max_size=3,
    unique_by=lambda pair: pair[0],
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "range", "if-match", "x-amz-meta-a", "x-amz-meta-b", "x-amz-acl"]),
    values,
    max_size=4,
)
v2_headers = st.dictionaries(st.sampled_from(["content-type", "content-md5", "x-amz-meta-a", "x-amz-acl"]), values)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])
v4_signers = st.sampled_from([signing.v4_header, signing.v4_query])
v2_signers = st.sampled_from([signing.v2_header, signing.v2_query])


def has_one_value_of_each(query: str) -> bool:
    """Whether the order of a query's parameters means nothing."""
    pairs = {(name, value) for name, value, _ in parse_parameters(query)}
    return len(pairs) == len({name for name, _ in pairs})


def target_of(key: str, query: list[tuple[str, str]]) -> str:
    told = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)
    return f"/bucket/{quote(key, safe='/~')}" + (f"?{told}" if told else "")


# What botocore signs verifies


@bounded
@given(v4_signers, access_keys, secrets, regions, methods, keys, queries, headers, st.booleans())
def test_what_botocore_signs_by_version_4_verifies(
    signer: Callable[[str, str, str], BaseSigner],
    access_key: str,
    secret: str,
    region: str,
    method: str,
    key: str,
    query: list[tuple[str, str]],
    given_headers: dict[str, str],
    is_virtual_host: bool,
) -> None:
    sent = signed(
        signer(access_key, secret, region),
        method,
        target_of(key, query),
        given_headers,
        is_virtual_host=is_virtual_host,
    )

    proof = authenticator(access_key, secret).authenticate(sent, now())

    assert proof.identity == ALICE
    assert proof.version == "AWS4-HMAC-SHA256"
    assert proof.payload == sent.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")


@bounded
@given(
    st.text("ab2FfcC3%/+.~()!*:@$,;=-_", max_size=20),
    st.lists(st.text("ab2F%c3C=+~", min_size=1, max_size=8), max_size=4).map("&".join).filter(has_one_value_of_each),
)
@example("a%2Fb", "a=b+c")
@example("a%2fb+", "b=%2b&a=&a")
def test_paths_and_queries_verify_as_they_are_sent(path: str, query: str) -> None:
    sent = signed(signing.v4_header(), target=f"/bucket/{path}" + (f"?{query}" if query else ""))

    assert authenticator().authenticate(sent, now()).identity == ALICE


@bounded
@given(v2_signers, secrets, methods, keys, covered, v2_headers, st.booleans(), st.booleans())
def test_what_botocore_signs_by_version_2_verifies(
    signer: Callable[[str, str], BaseSigner],
    secret: str,
    method: str,
    key: str,
    query: list[tuple[str, str]],
    given_headers: dict[str, str],
    is_virtual_host: bool,
    are_headers_in_url: bool,
) -> None:
    sent = signed(signer(KEY, secret), method, target_of(key, query), given_headers)
    if is_virtual_host:
        sent = replace(sent, path=sent.path.removeprefix("/bucket"), is_virtual_host=True)
    if signer is signing.v2_query and are_headers_in_url:
        kept = {name: value for name, value in sent.headers.items() if not name.startswith("x-amz-")}
        sent = replace(sent, headers=kept)

    proof = authenticator(secret=secret).authenticate(sent, now())

    assert (proof.identity, proof.version, proof.payload, proof.chunks) == (ALICE, "AWS", "", None)


@bounded
@given(access_keys, secrets, regions, st.dictionaries(texts.filter("conditions".__ne__), texts, max_size=3))
def test_forms_that_botocore_signs_verify(access_key: str, secret: str, region: str, policy: dict[str, Any]) -> None:
    verify = authenticator(access_key, secret).authenticate_form
    by_version_4 = verify(signed_form(signing.v4_form(access_key, secret, region), policy), now())
    by_version_2 = verify(signed_form(signing.v2_form(access_key, secret), policy), now())

    assert (by_version_4.identity, by_version_4.kind, by_version_4.version) == (ALICE, "form", "AWS4-HMAC-SHA256")
    assert (by_version_2.identity, by_version_2.kind, by_version_2.version) == (ALICE, "form", "AWS")


# Nothing that was changed does


def means(sent: Sent) -> tuple[Any, ...]:
    """What a request says, however its path and query are encoded."""
    query = sorted((name, value) for name, value, _ in parse_parameters(sent.query))
    return sent.method, unquote_to_bytes(as_bytes(sent.path)), query, dict(sent.headers)


def changed(text: str, data: st.DataObject, alphabet: str) -> str:
    """The text with one character changed, left out, or put in."""
    # Not drawn from the text's length: that changes with the time that was signed, and no case could be repeated.
    at = data.draw(st.integers(0, 10**6)) % (len(text) + 1)
    end = at + data.draw(st.integers(0, 1))
    new: str = data.draw(st.sampled_from(["", *alphabet]))
    return text[:at] + new + text[end:]


def tampered(sent: Sent, data: st.DataObject, names: list[str]) -> Sent:
    """The request with one thing changed that its signature covers."""
    what = data.draw(st.sampled_from(["method", "path", "query", "header", "dropped", "added"]))
    if what == "method":
        return replace(sent, method=data.draw(methods))
    if what == "path":
        return replace(sent, path="/" + changed(sent.path[1:], data, "aA1/%+."))
    if what == "query":
        return replace(sent, query=changed(sent.query, data, "aA1&=%+."))
    if what == "added":
        return replace(sent, headers={**sent.headers, "x-amz-meta-new": "1"})
    name = data.draw(st.sampled_from(names))
    rest = {other: value for other, value in sent.headers.items() if other != name}
    return replace(
        sent, headers=rest if what == "dropped" else {**rest, name: changed(sent.headers[name], data, "aZ0,")}
    )


@bounded
@given(v4_signers, st.sampled_from(["GET", "PUT"]), keys, queries, headers, st.data())
def test_a_changed_request_of_version_4_is_refused(
    signer: Callable[[], BaseSigner],
    method: str,
    key: str,
    query: list[tuple[str, str]],
    given_headers: dict[str, str],
    data: st.DataObject,
) -> None:
    sent = signed(signer(), method, target_of(key, query), given_headers)
    other = tampered(sent, data, sorted(sent.headers))
    assume(means(other) != means(sent))
    assume("authorization" in other.headers or "X-Amz-Signature" in other.query)  # else it is anonymous

    try:
        proof = authenticator().authenticate(other, now())
    except S3Error:
        return
    assert proof.identity == ANONYMOUS, "whoever breaks the names of a signature has signed nothing"


@bounded
@given(v2_signers, st.sampled_from(["GET", "PUT"]), keys, covered, v2_headers, st.data())
def test_a_changed_request_of_version_2_is_refused(
    signer: Callable[[], BaseSigner],
    method: str,
    key: str,
    query: list[tuple[str, str]],
    given_headers: dict[str, str],
    data: st.DataObject,
) -> None:
    sent = signed(signer(), method, target_of(key, query), given_headers)
    names = [name for name in sent.headers if name in ("authorization", "date", "content-type", "content-md5")]
    names += [name for name in sent.headers if name.startswith("x-amz-") and signer is signing.v2_header]
    other = tampered(sent, data, names or ["host"])
    assume(means(other)[:2] != means(sent)[:2] or selected(other) != selected(sent))

    try:
        proof = authenticator().authenticate(other, now())
    except S3Error:
        return
    assert proof.identity == ANONYMOUS


def selected(sent: Sent) -> tuple[Any, ...]:
    """What of query and headers Version 2 covers, whatever its place; an empty line is the same as none."""
    pairs = parse_parameters(sent.query)
    amz = {(name.lower(), value) for name, value, _ in pairs if name.lower().startswith("x-amz-")}
    amz |= {(name, value) for name, value in sent.headers.items() if name.startswith("x-amz-")}
    query = sorted(pair for pair in pairs if pair[0] in SUBRESOURCES | {"AWSAccessKeyId", "Signature", "Expires"})
    return sorted(amz), query, *(sent.headers.get(name, "") for name in ("content-type", "content-md5", "date"))


@bounded
@given(v4_signers, st.integers(0, 63), st.sampled_from(HEX + "A "))
def test_a_changed_signature_is_refused(signer: Callable[[], BaseSigner], at: int, character: str) -> None:
    sent = signed(signer())
    place = sent.headers.get("authorization") or sent.query
    start = place.index("Signature=") + len("Signature=") + at
    assume(place[start] != character)
    place = place[:start] + character + place[start + 1 :]
    is_header = "authorization" in sent.headers
    other = replace(sent, headers={**sent.headers, "authorization": place}) if is_header else replace(sent, query=place)

    with pytest.raises(SignatureDoesNotMatch):
        authenticator().authenticate(other, now())


@bounded
@given(v4_signers, st.sampled_from(["AKIA", "2026", "/us-east-1", "/s3", "/aws4_request", "host", "AWS4"]), texts)
def test_a_changed_scope_is_refused(signer: Callable[[], BaseSigner], part: str, text: str) -> None:
    assume(text not in part)
    sent = signed(signer())
    if "authorization" in sent.headers:
        part = part.replace("2026", f"{now():%Y}")
        value = sent.headers["authorization"].replace(part, text, 1)
        other = replace(sent, headers={**sent.headers, "authorization": value})
    else:
        part = quote(part.replace("2026", f"{now():%Y}"), safe="")
        other = replace(sent, query=sent.query.replace(part, quote(text, safe=""), 1))
    assume(other != sent)

    with pytest.raises(S3Error):
        authenticator().authenticate(other, now())


@bounded
@given(
    st.sampled_from([signing.v4_header, signing.v4_query, signing.v2_header]),
    st.integers(1, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    st.booleans(),
)
def test_a_request_is_refused_out_of_its_time(
    signer: Callable[[], BaseSigner], further: timedelta, is_early: bool
) -> None:
    sent = signed(signer())
    late = timedelta(hours=1) if signer is signing.v4_query else FAR

    with pytest.raises(S3Error) as refused:
        authenticator().authenticate(sent, now() + (-FAR - further if is_early else late + further))

    assert refused.value.status == 403


@bounded
@given(st.sampled_from([signing.v4_form, signing.v2_form]), st.data())
def test_a_changed_form_is_refused(signer: Callable[[], BaseSigner], data: st.DataObject) -> None:
    fields = signed_form(signer())
    name = data.draw(st.sampled_from(sorted(fields)))
    value = changed(fields[name], data, "aZ0/=")
    # The time within the day is covered by the policy, which must name it, and by no signature.
    assume(value[:8] != fields[name][:8] if name == "x-amz-date" else value != fields[name])

    with pytest.raises(S3Error):
        authenticator().authenticate_form({**fields, name: value}, now())
    with pytest.raises(S3Error):
        authenticator().authenticate_form({other: fields[other] for other in fields if other != name}, now())


# Chains of chunks


TIMESTAMP: Final = "20261122T171100Z"
SCOPE: Final = "20261122/us-east-1/s3/aws4_request"
KEY_OF_DAY: Final = signing_key(SECRET, "20261122", "us-east-1")
SIGNING: Final = Signing(KEY_OF_DAY, TIMESTAMP, SCOPE)


def chain(seed: str, chunks: list[bytes], trailers: Mapping[str, str]) -> list[str]:
    """The signatures of a body, by the words of AWS's page."""
    signatures = []
    for chunk in [*chunks, b""]:
        hashes = f"{hashlib.sha256().hexdigest()}\n{hashlib.sha256(chunk).hexdigest()}"
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{TIMESTAMP}\n{SCOPE}\n{seed}\n{hashes}"
        seed = hmac.new(KEY_OF_DAY, text.encode(), "sha256").hexdigest()
        signatures.append(seed)
    lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    text = f"AWS4-HMAC-SHA256-TRAILER\n{TIMESTAMP}\n{SCOPE}\n{seed}\n{hashlib.sha256(lines.encode()).hexdigest()}"
    return [*signatures, hmac.new(KEY_OF_DAY, text.encode(), "sha256").hexdigest()]


def verify(seed: str, chunks: list[bytes], trailers: Mapping[str, str], signatures: list[str]) -> None:
    checked = ChunkChain(SIGNING, seed)
    for chunk, signature in zip([*chunks, b""], signatures[:-1], strict=True):
        checked.check_chunk(hashlib.sha256(chunk).hexdigest(), signature)
    checked.check_trailer(trailers, signatures[-1])


seeds = st.text(HEX, min_size=64, max_size=64)
bodies = st.lists(st.binary(min_size=1, max_size=8), max_size=5)
trailers = st.dictionaries(st.sampled_from(["x-amz-checksum-crc32", "x-amz-checksum-sha1"]), values, max_size=2)


@bounded
@given(seeds, bodies, trailers)
def test_a_chain_verifies(seed: str, chunks: list[bytes], given_trailers: dict[str, str]) -> None:
    verify(seed, chunks, given_trailers, chain(seed, chunks, given_trailers))


@bounded
@given(seeds, bodies, trailers, st.data())
def test_a_chain_with_anything_changed_is_refused(
    seed: str, chunks: list[bytes], given_trailers: dict[str, str], data: st.DataObject
) -> None:
    signatures = chain(seed, chunks, given_trailers)
    other_seed, others = data.draw(st.just(seed) | seeds), data.draw(st.permutations(chunks) | bodies)
    other_trailers = data.draw(st.just(given_trailers) | trailers)
    other_signatures = data.draw(st.permutations(signatures) | st.just(signatures))
    assume(len(others) == len(chunks))
    assume(
        (other_seed, others, list(other_trailers.items()), other_signatures)
        != (seed, chunks, list(given_trailers.items()), signatures)
    )

    with pytest.raises(SignatureDoesNotMatch):
        verify(other_seed, others, other_trailers, other_signatures)


# No text makes a verifier fail in another way


anything = st.text(max_size=30) | st.text(st.characters(), max_size=30)
fragments = st.lists(
    st.sampled_from(
        [
            "AWS4-HMAC-SHA256 ",
            "AWS ",
            "Credential=",
            "SignedHeaders=",
            "Signature=",
            f"{KEY}/20261122/us-east-1/s3/aws4_request",
            f"{KEY}:",
            ", ",
            "host",
            "host;x-amz-date",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&",
            f"X-Amz-Credential={KEY}%2F20261122%2F%2Fs3%2Faws4_request&",
            "X-Amz-Date=20261122T171100Z&",
            "X-Amz-Date=99991231T235959Z&",
            "X-Amz-Expires=604800&",
            "X-Amz-SignedHeaders=host&",
            "X-Amz-Signature=00&",
            f"AWSAccessKeyId={KEY}&",
            "Expires=999999999999&",
            "&",
            "%ff",
            "\udcff\ud800",
            "é",
        ]
    )
    | anything,
    max_size=8,
).map("".join)
moments = st.datetimes(timezones=st.just(UTC)) | st.just(datetime(2026, 11, 22, 17, 11, tzinfo=UTC))


@bounded
@given(fragments, fragments, fragments, st.none() | fragments, st.none() | fragments | st.just(TIMESTAMP), moments)
@example(
    f"AWS4-HMAC-SHA256 Credential={KEY}/20261122//s3/aws4_request,SignedHeaders=\ud800,Signature=\udcff",
    "/",
    "",
    None,
    TIMESTAMP,
    datetime(2026, 11, 22, 17, 11, tzinfo=UTC),
)
def test_any_request_is_proven_or_an_s3_error(
    authorization: str, path: str, query: str, payload: str | None, date: str | None, moment: datetime
) -> None:
    told = {"authorization": authorization, "x-amz-content-sha256": payload, "x-amz-date": date, "host": "h"}
    given_headers = {name: value for name, value in told.items() if value is not None}
    without = {name: value for name, value in given_headers.items() if name != "authorization"}
    for sent_headers in (given_headers, without):
        try:
            proof = authenticator().authenticate(Sent("GET", path, query, sent_headers, "b", True), moment)
        except S3Error:
            continue
        assert proof.identity == ANONYMOUS


@bounded
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "policy",
                "signature",
                "awsaccesskeyid",
                "x-amz-algorithm",
                "x-amz-credential",
                "x-amz-date",
                "x-amz-signature",
            ]
        ),
        fragments | st.sampled_from([KEY, "AWS4-HMAC-SHA256", TIMESTAMP, f"{KEY}/20261122//s3/aws4_request"]),
    ),
    moments,
)
def test_any_form_is_proven_or_an_s3_error(fields: dict[str, str], moment: datetime) -> None:
    try:
        proof = authenticator().authenticate_form(fields, moment)
    except S3Error:
        return
    assert proof.identity == ANONYMOUS


@bounded
@given(fragments, fragments, st.dictionaries(fragments | st.sampled_from(["host", "content-type"]), fragments))
def test_any_request_has_variants(path: str, query: str, given_headers: dict[str, str]) -> None:
    sent = Sent("GET", path, query, given_headers, "b", True)
    credential = Credential(KEY, "20261122", "")
    claim = Claim(credential, TIMESTAMP, now(), tuple(given_headers), "", "UNSIGNED-PAYLOAD")

    canonical = canonical_request(sent, claim)
    assert canonical_text(sent, claim) == canonical.text()
    for request in (canonical, *as_sent(canonical, sent)):
        texts = [variant.text() for _, variant in v4_variants(request, sent, ["s3.example"])]
        assert request.text() not in texts
        assert all(as_bytes(text) for text in texts)


@bounded
@given(anything | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", fullmatch=True))
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("20260230T000000Z")
def test_any_date_is_a_moment_in_utc_or_none(text: str) -> None:
    moment = parse_time(text)

    assert moment is None or moment.utcoffset() == timedelta(0)


def test_a_link_of_version_2_is_refused_after_its_time() -> None:
    sent = signed(signing.v2_query(expires=60))

    with pytest.raises(AccessDenied, match="expired"):
        authenticator().authenticate(sent, now() + timedelta(seconds=62))
