"""The headers that a presigned link carries in its query.

Whoever makes a link cannot always tell its user to send headers, so SDKs move x-amz-… headers into the query, where the
signature covers them all the same. Such a parameter means what the header does. Version 2 signs both places alike: if a
link's parameter meant nothing, its user could drop a signed header by writing it there.

Of a Version 4 link, three kinds mean nothing in the query: what is the signature's own, what says how the body is sent,
and checksums, as SDKs put that of a body of no bytes there. AWS ignores those too.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from post3.auth import sigv2, sigv4
from post3.errors import InvalidArgument
from post3.model.checksums import DIGEST_SIZES
from post3.s3.headers import CHECKSUM_PREFIX
from post3.s3.message import Request

PREFIX: Final = "x-amz-"
_NOT_OF_VERSION_4: Final = (
    "x-amz-algorithm",
    *(CHECKSUM_PREFIX + algorithm for algorithm in DIGEST_SIZES),
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expires",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-trailer",
)
"""How the names begin of the parameters that are no headers."""
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header can hold; a parameter can."""


def with_headers_of_link(request: Request) -> Request:
    """The request as it would be with the headers that its query carries, if it is a link; the same request if not.

    Raises InvalidArgument for a header that is there twice with different values, or could not be one.
    """
    query = request.query
    is_v4, is_v2 = not sigv4.PRESIGNED.isdisjoint(query), not sigv2.LINK.isdisjoint(query)
    if not is_v4 and not is_v2:
        return request
    headers = dict(request.headers)
    for name, value in _carried(query, is_v4=is_v4):
        if _UNWRITABLE.search(value) or headers.setdefault(name, value) != value:
            raise InvalidArgument(
                "A header is there twice, with different values, or has a character that no header can have.",
                ArgumentName=name,
                ArgumentValue=value,
            )
    return replace(request, headers=headers)


def _carried(query: Mapping[str, str], *, is_v4: bool) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        lower = name.lower()
        if lower.startswith(PREFIX) and not (is_v4 and lower.startswith(_NOT_OF_VERSION_4)):
            yield lower, value.strip(" \t")
