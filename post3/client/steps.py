"""What an operation of the SDK asks for, one step after another, without doing it.

An operation is a script: a generator that yields steps and is sent what came of each. Client runs scripts with boto3
and threads, AsyncClient with aiobotocore and tasks; so each rule is written once. An error of a step is thrown into the
script, Ctrl-C and cancellation too, and a script may still yield steps to clean up before it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: an operation by boto3's name (`put_object`), and its parameters. The answer is boto3's."""

    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def about(self, endpoint: str) -> str:
        """What was asked of whom, for people."""
        bucket, key = self.parameters.get("Bucket"), self.parameters.get("Key")
        what = f" of s3://{bucket}" if bucket else ""
        return f"{self.operation}{what}{f'/{key}' if key else ''} at {endpoint}"


@dataclass(frozen=True, slots=True)
class Fetch:
    """A request whose body goes to `sink` piece by piece; the sink may block, and is called by one thread at a time."""

    call: Call
    sink: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Local:
    """Something that blocks without the network: files, hashes."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Many:
    """Scripts to run side by side, so many at a time, drawn as they are needed; the answers stand in their order.

    Drawing may block. The first failure ends all.
    """

    scripts: Iterable[Script[Any]]
    workers: int


@dataclass(frozen=True, slots=True)
class Presign:
    """A URL for such a request, valid for so many seconds."""

    call: Call
    method: str
    expires: int


Step: TypeAlias = Call | Fetch | Local | Many | Presign
Script: TypeAlias = Generator[Step, Any, T]


class Progress:
    """Tells a callback of bytes that were moved, one call at a time."""

    def __init__(self, callback: Callable[[int], None] | None) -> None:
        self._callback = callback
        self._lock = Lock()

    def __call__(self, moved: int) -> None:
        if self._callback is not None and moved:
            with self._lock:
                self._callback(moved)
