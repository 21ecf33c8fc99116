"""Signature Version 2: what is signed, for links and forms that SDKs still make.

    string to sign = method, Content-MD5, Content-Type, date; one a line
                     each x-amz-… header, sorted, as name:value; one a line
                     resource: /bucket/key as sent, and the query's parameters that select what is asked for
    signature      = HMAC-SHA1 of that by the secret, in base64

It travels as `Authorization: AWS key:signature`, or in the query as AWSAccessKeyId, Signature and Expires, which then
stands in place of the date. No other header, and no other parameter, is covered: not the host, not the body, not a
prefix. A client that keeps x-amz-… headers in a link's query has signed them as headers.

A few texts that mean the same are all taken, as clients differ: `/bucket` for `/bucket/`, and Date beside x-amz-date,
where AWS has the line empty and botocore does not.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Final, NamedTuple

from post3.auth.request_time import check_skew, extended, required_time
from post3.auth.sent import Pair, Sent, as_bytes
from post3.errors import AccessDenied, InvalidArgument

LINK: Final = frozenset({"AWSAccessKeyId", "Signature"})
"""Either of these in the query means that the request is signed there."""
SUBRESOURCES: Final = frozenset(
    {
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "annotation",
        "attributes",
        "cors",
        "defaultObjectAcl",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "partNumber",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "retention",
        "select",
        "select-type",
        "session",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)
"""Every parameter by which a request asks for something else: signed, so that no link for one thing serves another."""

_SECONDS: Final = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its own signature."""

    access_key: str
    signature: str
    dates: tuple[str, ...]
    """What may stand in the line of the date."""
    hoisted: tuple[tuple[str, str], ...] = ()
    """The x-amz-… headers that a link keeps in its query."""


class Signed(NamedTuple):
    """The parts of a string to sign."""

    method: str
    md5: str
    content_type: str
    date: str
    headers: str
    """Lines, each with its end."""
    resource: str

    def text(self) -> str:
        """The string to sign."""
        return f"{self.method}\n{self.md5}\n{self.content_type}\n{self.date}\n{self.headers}{self.resource}"


def parse_header(sent: Sent, now: datetime) -> Claim:
    """What `AWS key:signature` claims. Raises InvalidArgument, AccessDenied without a date, RequestTimeTooSkewed."""
    value = sent.headers["authorization"]
    access_key, _, signature = value.removeprefix("AWS ").strip().rpartition(":")
    if not access_key or not signature:
        raise InvalidArgument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
            ArgumentValue=value,
        )
    text, moment = required_time(sent.headers)
    check_skew(text, moment, now)
    dates = dict.fromkeys(("", sent.headers.get("date", ""))) if "x-amz-date" in sent.headers else (text,)
    return Claim(access_key, signature, tuple(dates))


def parse_query(pairs: list[Pair], now: datetime) -> Claim:
    """What a link claims. Raises AccessDenied when a part is missing, is there twice, or the time has come."""
    given = [(name, value) for name, value, _ in pairs if name in ("AWSAccessKeyId", "Signature", "Expires")]
    named = dict(given)
    if len(given) != 3 or len(named) != 3 or not all(named.values()):
        raise AccessDenied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    expires = named["Expires"]
    if not _SECONDS.fullmatch(expires):
        raise AccessDenied(f"Invalid date (should be seconds since epoch): {expires}")
    if int(expires) < now.timestamp():
        raise AccessDenied(
            "Request has expired", Expires=extended(datetime.fromtimestamp(int(expires), UTC)), ServerTime=extended(now)
        )
    hoisted = tuple((name.lower(), value) for name, value, _ in pairs if name.lower().startswith("x-amz-"))
    return Claim(named["AWSAccessKeyId"], named["Signature"], (expires,), hoisted)


def signed_strings(sent: Sent, claim: Claim, pairs: list[Pair]) -> list[Signed]:
    """What the client signed: the way AWS writes it, and behind it the others that mean the same."""
    get = sent.headers.get
    headers = _header_lines(sent, claim)
    query = _resource_query(pairs)
    return [
        Signed(sent.method, get("content-md5", ""), get("content-type", ""), date, headers, path + query)
        for path, date in product(_paths(sent), claim.dates)
    ]


def _header_lines(sent: Sent, claim: Claim) -> str:
    values = {name: {value} for name, value in sent.headers.items() if name.startswith("x-amz-")}
    for name, value in claim.hoisted:
        if "\n" in value:
            raise AccessDenied(f"The parameter {name} has more than one line.")  # as two headers would be signed
        values.setdefault(name, set()).add(value)
    # Two values are two lines, which nobody signs: joined, they would be what one header of both is signed as.
    return "".join(f"{name}:{value}\n" for name, given in sorted(values.items()) for value in sorted(given))


def _paths(sent: Sent) -> tuple[str, ...]:
    if sent.is_virtual_host:
        return (f"/{sent.bucket}{sent.path}",)
    is_bare = sent.bucket and "/" not in sent.path[1:]
    return (f"{sent.path}/", sent.path) if is_bare else (sent.path,)


def _resource_query(pairs: list[Pair]) -> str:
    chosen = sorted((pair for pair in pairs if pair[0] in SUBRESOURCES), key=lambda pair: pair[0])
    told = "&".join(f"{name}={value}" if equals else name for name, value, equals in chosen)
    if sum(part.partition("=")[0] in SUBRESOURCES for part in told.split("&")) > len(chosen):
        # Values are signed as they are, so `response-expires=a%26acl` is signed like `acl&response-expires=a`.
        raise AccessDenied("A parameter's value reads like another parameter, and Version 2 signs them alike.")
    return f"?{told}" if told else ""


def sign(secret: str, text: str) -> str:
    """The signature, in base64."""
    return base64.b64encode(hmac.digest(as_bytes(secret), as_bytes(text), "sha1")).decode("ascii")
