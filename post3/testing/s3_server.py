"""What a test holds of its server: where it is, how to reach it, and how to change the world behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from post3.auth.credentials import ACCESS_KEY, SECRET_KEY, Key, Rule, StaticCredentials
from post3.model.identity import ROOT
from post3.s3.message import Request, Response
from post3.testing.background import HOST, Background
from post3.testing.clock import SettableClock
from post3.testing.faults import Faults
from post3.testing.requests import RecordedRequest, Recorder
from post3.testing.world import ClockedGate, World

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

REGION: Final = "us-east-1"


class S3Server:
    """A server in this process. May be used from any thread."""

    def __init__(self, *, anonymous: bool, access_key: str, secret_key: str) -> None:
        """Not yet started. Raises ValueError for keys that cannot be."""
        self.access_key = _parse("access_key", ACCESS_KEY, access_key)
        self.secret_key = _parse("secret_key", SECRET_KEY, secret_key)
        self.region = REGION
        self.clock = SettableClock()
        self.faults = Faults()
        keys = () if anonymous else (Key(access_key, secret_key, ROOT),)
        self._gate = ClockedGate(StaticCredentials(keys), self.clock)
        self._recorder = Recorder()
        self._world = World(self._gate, self.clock)
        self._background: Background | None = None

    def start(self) -> Self:
        """Serve on a free port of loopback; returns when it does. Raises RuntimeError if it serves already, OSError."""
        if self._background is not None:
            raise RuntimeError(f"The server is started already, at {self.url}.")
        self._background = Background(self._answer)
        return self

    def stop(self) -> None:
        """Stop, and forget everything. Does nothing unless it is started, and in a fork of the process that did so."""
        if self._background is None or not self._background.is_own:
            return
        self.faults.clear()
        self._background.stop()
        self._background = None
        self.reset()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:…`. Raises RuntimeError unless it is started."""
        if self._background is None:
            raise RuntimeError("The server is not started: use it as `with post3.testing.server() as s3`.")
        return f"http://{HOST}:{self._background.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which AWS's SDKs and command line find it, for other processes."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, **overrides: Any) -> S3Client:
        """A client of boto3's, which must be installed; the overrides are arguments of boto3's `Session.client`."""
        chosen: dict[str, Any] = {
            "endpoint_url": self.url,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": self.region,
            **overrides,
        }
        return self._session.client("s3", **chosen)

    @cached_property
    def _session(self) -> Session:
        import boto3  # noqa: PLC0415  # not everybody has it

        return boto3.session.Session()

    @property
    def requests(self) -> Sequence[RecordedRequest]:
        """What was asked since the last reset, in the order in which it was answered: the last ten thousand."""
        return tuple(self._world.requests)

    def reset(self) -> None:
        """Empty it, end all faults, and let the clock go with the system's.

        What is asked at this moment is answered from the world as it was, and leaves nothing in the new one.
        """
        self._world = World(self._gate, self.clock)
        self.faults.clear()
        self.clock.reset()

    async def _answer(self, request: Request) -> Response:
        world, asked, status = self._world, self._recorder.read(request), 0
        try:
            response = await self.faults.answer(asked, request, world.handle)
            status = response.status
            return response
        finally:
            world.requests.append(replace(asked, status=status))


def _parse(name: str, rule: Rule, text: str) -> str:
    try:
        return rule.parse(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}.") from None
