"""A connection to an S3 endpoint: boto3's client in threads, whose failures are sentences, and XML as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import create_parser

from post3.client.connection import forget_metadata, region_of
from post3.moving.sides import GoneError, MovingError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
RAW: Final = "Raw"
"""Under this name an answer carries its XML, for what botocore's reading of it loses."""
KEPT_RAW: Final = (
    "ListObjectVersions",
    "GetBucketAcl",
    "GetObjectAcl",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketOwnershipControls",
    "GetBucketTagging",
    "GetPublicAccessBlock",
)
GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"})


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with; all empty: the usual AWS variables and profiles, else nothing."""

    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    profile: str = ""
    region: str = ""


class RefusedError(MovingError):
    """The endpoint answered with an error."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def connect(url: str, keys: Keys, connections: int) -> S3Client:
    """A client of an endpoint. Raises MovingError when the profile cannot be used."""
    try:
        session = botocore.session.Session(profile=keys.profile or None)
        forget_metadata(session)
        if keys.access_key:
            session.set_credentials(keys.access_key, keys.secret_key, keys.session_token or None)
        region = region_of(session, keys.region)
        is_signed = session.get_credentials() is not None
        made: S3Client = boto3.Session(botocore_session=session, region_name=region).client(
            "s3", endpoint_url=url, config=_config(connections, is_signed=is_signed)
        )
    except BotoCoreError as error:
        raise MovingError(str(error)) from error
    for name in KEPT_RAW:
        made.meta.events.register(f"before-parse.s3.{name}", _keep_raw)
    return made


def _config(connections: int, *, is_signed: bool) -> Config:
    return Config(
        signature_version="s3v4" if is_signed else UNSIGNED,
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=connections,
        connect_timeout=5,
        read_timeout=60,
        # Bodies are checked against the source's own digests, and sent with their MD5: any server knows that.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _keep_raw(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    customized_response_dict[RAW] = response_dict["body"]


async def in_thread(work: Callable[[], T]) -> T:
    """Do blocking work in a thread that nobody waits for when the process ends: a server may never answer."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(finish, result, failure)

    Thread(target=run, name="post3-endpoint", daemon=True).start()
    return await done


async def ask(call: Callable[..., Any], **parameters: Any) -> Any:
    """Make a request in a thread. Raises GoneError, RefusedError, and MovingError when there is no answer."""
    try:
        return await in_thread(partial(call, **parameters))
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", "") or code)
        if code in GONE:
            raise GoneError(message) from error
        raise RefusedError(f"{error.operation_name} was refused: {code}: {message}", code) from error
    except (BotoCoreError, OSError) as error:
        raise MovingError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise MovingError(f"the request cannot be made: {error}") from error


def read_document(client: S3Client, operation: str, xml: bytes) -> dict[str, Any]:
    """An answer's XML as botocore shows it, which is how it is taken for a request."""
    shape = client.meta.service_model.operation_model(operation).output_shape
    assert shape is not None  # noqa: S101 - every operation that gets a document has an answer
    parsed: dict[str, Any] = create_parser("rest-xml").parse({"body": xml, "headers": {}, "status_code": 200}, shape)
    parsed.pop("ResponseMetadata", None)
    return parsed
