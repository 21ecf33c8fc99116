"""Requests as botocore signs them, and whoever verifies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import (
    BaseSigner,
    HmacV1Auth,
    HmacV1PostAuth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4PostAuth,
    S3SigV4QueryAuth,
)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from post3.auth.authentication import Authenticator
from post3.auth.sent import Sent
from post3.model.identity import Identity

KEY: Final = "AKIAIOSFODNN7EXAMPLE"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
"""The pair of AWS's documentation."""
ALICE: Final = Identity("alice", "Alice")


@dataclass(frozen=True, slots=True)
class AKey:
    secret_key: str
    identity: Identity = ALICE


class OneKey:
    """Somebody's only key."""

    def __init__(self, access_key: str = KEY, secret: str = SECRET) -> None:
        self._keys = {access_key: AKey(secret)}

    def find(self, access_key: str) -> AKey | None:
        return self._keys.get(access_key)


def authenticator(access_key: str = KEY, secret: str = SECRET, **options: Any) -> Authenticator:
    return Authenticator(OneKey(access_key, secret), **{"sigv2_headers": True, **options})


def v4_header(access_key: str = KEY, secret: str = SECRET, region: str = "us-east-1") -> BaseSigner:
    return S3SigV4Auth(Credentials(access_key, secret), "s3", region)


def v4_query(access_key: str = KEY, secret: str = SECRET, region: str = "us-east-1", expires: int = 3600) -> BaseSigner:
    return S3SigV4QueryAuth(Credentials(access_key, secret), "s3", region, expires=expires)


def v4_form(access_key: str = KEY, secret: str = SECRET, region: str = "us-east-1") -> BaseSigner:
    return S3SigV4PostAuth(Credentials(access_key, secret), "s3", region)


def v2_header(access_key: str = KEY, secret: str = SECRET) -> BaseSigner:
    return HmacV1Auth(Credentials(access_key, secret))


def v2_query(access_key: str = KEY, secret: str = SECRET, expires: int = 3600) -> BaseSigner:
    return HmacV1QueryAuth(Credentials(access_key, secret), expires=expires)


def v2_form(access_key: str = KEY, secret: str = SECRET) -> BaseSigner:
    return HmacV1PostAuth(Credentials(access_key, secret))


def signed(
    signer: BaseSigner,
    method: str = "GET",
    target: str = "/bucket/key",
    headers: Mapping[str, str] | None = None,
    *,
    body: bytes = b"",
    host: str = "s3.example:9000",
    bucket: str = "bucket",
    is_virtual_host: bool = False,
) -> Sent:
    """The request as it arrives, signed now."""
    auth_path = f"/{bucket}{target.partition('?')[0]}" if is_virtual_host else None
    request = AWSRequest(method, f"http://{host}{target}", dict(headers or {}), body, auth_path=auth_path)
    signer.add_auth(request)
    if isinstance(signer, HmacV1QueryAuth):
        del request.headers["Date"]  # it stands in the URL
    url = urlsplit(str(request.url))
    return Sent(
        method=method,
        path=url.path,
        query=url.query,
        headers={"host": host, **{name.lower(): value.strip() for name, value in request.headers.items()}},
        bucket=bucket,
        is_virtual_host=is_virtual_host,
    )


def signed_form(signer: BaseSigner, policy: dict[str, Any] | None = None) -> dict[str, str]:
    """The fields of a form, by lower-case name, signed now."""
    request = AWSRequest("POST", "http://s3.example/bucket")
    request.context["s3-presign-post-fields"] = {}
    request.context["s3-presign-post-policy"] = policy or {"expiration": "2030-01-01T00:00:00Z"}
    signer.add_auth(request)
    return {name.lower(): value for name, value in request.context["s3-presign-post-fields"].items()}


def now() -> datetime:
    return datetime.now(UTC)
