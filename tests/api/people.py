"""Who asks in the tests of rights: users of a file, root by the environment, and whoever does not sign."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.api.asking import Answer, ask
from tests.servers import Server
from tests.signing import signed, v4_header

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key."""

    id: str
    display_name: str
    email: str
    access_key: str
    secret_key: str
    is_admin: bool = False


MAIN: Final = Person("mainid", "M. Tester", "main@example.com", "MAINKEY0123456789012", "main/secret+0123456789")
ALT: Final = Person("altid", "Älter Tester", "alt@example.com", "ALTKEY01234567890123", "alt-secret-0123456789")
THIRD: Final = Person("third@home", "Third <T>", "third@example.com", "THIRDKEY012345678901", "third-secret-0123456789")
ADMIN: Final = Person("adminid", "Admin", "admin@example.com", "ADMINKEY012345678901", "admin-secret-0123456789", True)
ROOT: Final = Person("post3", "post3", "", "ROOTKEY0123456789012", "root-secret-0123456789", True)

ROOT_KEY: Final = {"POST3_ACCESS_KEY": ROOT.access_key, "POST3_SECRET_KEY": ROOT.secret_key}


def users_document(*people: Person) -> str:
    """The users file of these."""
    users = [
        {
            "id": one.id,
            "display_name": one.display_name,
            "email": one.email,
            "admin": one.is_admin,
            "keys": [{"access_key": one.access_key, "secret_key": one.secret_key}],
        }
        for one in people
    ]
    return json.dumps({"users": users})


def client_of(server: Server, person: Person | None, **config: Any) -> S3Client:
    """A boto3 client that tries everything once; unsigned without a person."""
    options: dict[str, Any] = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
    keys: dict[str, Any] = {}
    if person is None:
        options["signature_version"] = UNSIGNED
    else:
        keys = {"aws_access_key_id": person.access_key, "aws_secret_access_key": person.secret_key}
    settings = Config(**{**options, "read_timeout": 30, **config})
    return boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", config=settings, **keys)


def ask_as(
    server: Server,
    person: Person,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """The answer to a raw request that somebody signs in its headers, with the hash of its body."""
    sent = signed(
        v4_header(person.access_key, person.secret_key),
        method,
        target,
        headers,
        body=body,
        host=f"{server.host}:{server.port}",
    )
    return ask(server, method, target, sent.headers, body or None)


# What they may


def may(call: Callable[..., Any], **parameters: Any) -> bool:
    """Whether a call is allowed; fails when it is refused for anything but a missing right."""
    try:
        call(**parameters)
    except ClientError as error:
        response: Any = error.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 403, response
        assert response["Error"]["Code"] in ("AccessDenied", "403"), response  # the answer to HEAD has no code
        return False
    return True


ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def grant(to: str | Person, permission: str) -> Any:
    """A grant as documents have it, to somebody or to a group."""
    if isinstance(to, Person):
        return {"Grantee": {"Type": "CanonicalUser", "ID": to.id}, "Permission": permission}
    return {"Grantee": {"Type": "Group", "URI": to}, "Permission": permission}


def access(owner: Person, *grants: Any) -> Any:
    """An access control list as boto3 takes it."""
    return {"Owner": {"ID": owner.id}, "Grants": list(grants)}


def told(acl: Any) -> list[tuple[str, str]]:
    """The grants of an answer: whom and what."""
    return [(one["Grantee"].get("ID") or one["Grantee"]["URI"], one["Permission"]) for one in acl["Grants"]]


def policy(*statements: Mapping[str, Any]) -> str:
    """The text of a bucket policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(
    bucket: str,
    action: str | Iterable[str],
    *,
    to: Any = "*",
    effect: str = "Allow",
    key: str | None = "*",
    **more: Any,
) -> dict[str, Any]:
    """A statement about the keys of a bucket, or without a key about the bucket; `to` takes people."""
    people = (to,) if isinstance(to, Person) else to
    return {
        "Effect": effect,
        "Principal": people if people == "*" else {"AWS": [f"arn:aws:iam:::user/{one.id}" for one in people]},
        "Action": action if isinstance(action, str) else list(action),
        "Resource": f"arn:aws:s3:::{bucket}" + ("" if key is None else f"/{key}"),
        **more,
    }
