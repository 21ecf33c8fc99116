"""Where a client speaks to, and who it is there: endpoint, keys, and how boto3 is set up.

Keys come from boto3's chain of environment, profiles and programs, but never from a cloud machine's metadata address,
which elsewhere makes a client hang for seconds.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from post3._version import __version__
from post3.client.errors import InvalidArgument

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:9000"
VARIABLES: Final = ("POST3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Everything that a client is told, as given; times in seconds."""

    endpoint: str
    access_key: str | None
    secret_key: str | None
    session_token: str | None
    profile: str | None
    region: str | None
    path_style: bool
    timeout: float
    connect_timeout: float
    retries: int
    verify: bool | str
    max_connections: int

    def __post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise InvalidArgument("access_key and secret_key belong together: give both, or neither.")
        if self.session_token is not None and self.access_key is None:
            raise InvalidArgument("A session_token belongs to an access_key and a secret_key: give all three.")
        if self.retries < 0:
            raise InvalidArgument(f"retries is 0 or more, not {self.retries}.")

    def options(self, region: str, *, anonymous: bool) -> dict[str, Any]:
        """What boto3 and aiobotocore are given to make a client of S3."""
        return {
            "service_name": "s3",
            "endpoint_url": self.endpoint,
            "region_name": region,
            # None is True, and heeds AWS_CA_BUNDLE.
            "verify": None if self.verify is True else self.verify,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_session_token": self.session_token,
            "config": Config(**self._settings(anonymous)),
        }

    def _settings(self, anonymous: bool) -> dict[str, Any]:
        return {
            "signature_version": UNSIGNED if anonymous else "s3v4",
            "s3": {"addressing_style": "path" if self.path_style else "virtual"},
            "read_timeout": self.timeout,
            "connect_timeout": self.connect_timeout,
            "retries": {"mode": "standard", "total_max_attempts": self.retries + 1},
            "max_pool_connections": self.max_connections,
            "tcp_keepalive": True,
            "request_checksum_calculation": "when_supported",
            "response_checksum_validation": "when_supported",
            "user_agent_extra": f"post3/{__version__}",
        }


def forget_metadata(session: Session) -> None:
    """Keep a session from asking a cloud machine's metadata address for keys."""
    resolver = session.get_component("credential_provider")
    for provider in ("container-role", "iam-role"):
        resolver.remove(provider)


def region_of(session: Session, told: str | None) -> str:
    """The region told, else the one of environment or profile, else us-east-1."""
    region: str | None = told or session.get_config_variable("region")
    return region or DEFAULT_REGION


def endpoint_of(endpoint: str | None, environment: Mapping[str, str] | None = None) -> str:
    """The address told, else that of the environment, else post3's own; without a slash at its end.

    Raises InvalidArgument for what is no http or https URL.
    """
    known = os.environ if environment is None else environment
    told = endpoint or next((known[name] for name in VARIABLES if known.get(name)), DEFAULT_ENDPOINT)
    if not _is_endpoint(told):
        raise InvalidArgument(f"{told!r} is no endpoint: write it as {DEFAULT_ENDPOINT} or https://s3.example.com.")
    return told.rstrip("/")


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https") and not parts.query and not parts.fragment


@contextmanager
def making(connection: Connection) -> Iterator[None]:
    """Around what makes a client: raises InvalidArgument for profiles, keys and the like that cannot be used."""
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise InvalidArgument(f"No client of {connection.endpoint}: {error}") from error


class BaseClient(ABC):
    """What a client is made of, asynchronous or not."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        region: str | None = None,
        path_style: bool = True,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        retries: int = 4,
        verify: bool | str = True,
        max_connections: int = 16,
    ) -> None:
        """Connect to nothing yet.

        endpoint: else POST3_ENDPOINT, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or http://127.0.0.1:9000.
        access_key, secret_key: else what AWS's variables and profiles say, else requests are not signed.
        timeout, connect_timeout: seconds without a byte, and for a connection.
        retries: how often a request is sent again after it failed in passing.
        verify: False trusts any certificate; a path names a file of authorities.

        Raises InvalidArgument.
        """
        self._endpoint = endpoint_of(endpoint)
        self._region = region or DEFAULT_REGION
        connection = Connection(
            endpoint=self._endpoint,
            access_key=access_key,
            secret_key=secret_key,
            session_token=session_token,
            profile=profile,
            region=region,
            path_style=path_style,
            timeout=timeout,
            connect_timeout=connect_timeout,
            retries=retries,
            verify=verify,
            max_connections=max_connections,
        )
        self._start(connection)

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return self._endpoint

    @abstractmethod
    def _start(self, connection: Connection) -> None:
        """Make ready for the first request."""
