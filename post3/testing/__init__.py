"""post3 for tests: a server in this process that is emptied at once, with a clock to set and faults to make.

    with post3.testing.server() as s3:
        s3.client().create_bucket(Bucket="photos")

Importing this costs next to nothing: pytest does it in every project that has post3 installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from post3.testing.s3_server import S3Server

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3Server", "server"]

ACCESS_KEY = "post3"
SECRET_KEY = "post3-secret"  # noqa: S105  # of a store that is gone with its test


def server(*, anonymous: bool = False, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> S3Server:
    """A server to use as `with post3.testing.server() as s3`, or by its `start` and `stop`.

    Requests must be signed with its keys, as on AWS; with `anonymous`, none needs to be, and no signature is looked at.
    Raises ValueError for keys that cannot be.
    """
    from post3.testing.s3_server import S3Server  # noqa: PLC0415  # here Sanic comes in

    return S3Server(anonymous=anonymous, access_key=access_key, secret_key=secret_key)


def __getattr__(name: str) -> object:
    """Import the server's class only when it is asked for."""
    if name != "S3Server":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from post3.testing.s3_server import S3Server  # noqa: PLC0415

    return S3Server
