"""The headers that a presigned URL keeps in its query: SDKs move them there, so that its user need not send them.

The AWS SDK for JavaScript moves every x-amz-… header, boto3 does so in links of Signature Version 2. S3 takes them as
if they had been sent, but for the checksum of the body: that was computed when there was no body, and would fit none.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from post3.auth import sigv2, sigv4
from post3.errors import InvalidArgument
from post3.model.checksums import DIGEST_SIZES
from post3.s3.headers import CHECKSUM_PREFIX

_SIGNS: Final = sigv4.PRESIGNED | sigv2.LINK
_APART: Final = frozenset(
    {
        "x-amz-algorithm",
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
        *(CHECKSUM_PREFIX + algorithm for algorithm in DIGEST_SIZES),
    }
)
"""Those that are about the signature, or about bytes that the signer did not have."""
_NAME: Final = re.compile(r"x-amz-[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def hoisted_headers(query: Mapping[str, str]) -> dict[str, str]:
    """They, lower-case names and trimmed values, from the decoded query; none when that is of no presigned URL.

    They count only once the signature over the query is proven. Raises InvalidArgument for what no header could be.
    """
    if _SIGNS.isdisjoint(query):
        return {}
    return {
        name.lower(): _value(name, value)
        for name, value in query.items()
        if name.lower().startswith("x-amz-") and name.lower() not in _APART
    }


def _value(name: str, value: str) -> str:
    if not (_NAME.fullmatch(name.lower()) and _VALUE.fullmatch(value)):
        raise InvalidArgument("A parameter cannot stand for a header.", ArgumentName=name, ArgumentValue=value)
    return value.strip(" \t")
