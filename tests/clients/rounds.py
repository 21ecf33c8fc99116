"""The round of a client that is described by what it can do: a subclass overrides the operations that its client has.

What it leaves alone raises Lacks, and the step is told as `none`; what the step needs and the client has not, such as a
bucket, curl does instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Final

from tests.clients.steps import METADATA, Lacks, Unseekable, curl, file, in_parts, run, same, sha256, signed

BUCKET: Final = os.environ.get("BUCKET", "")
RANGE: Final = (6_000_000, 6_001_000)
TYPE: Final = "text/x-test"


class Round:
    """One client's; `go` goes it."""

    version: ClassVar[str]
    refusals: ClassVar[Sequence[str]] = ("SignatureDoesNotMatch", "signature we calculated does not match")
    """What is shown of a wrong signature: the code, or AWS's sentence alone."""
    copied: ClassVar[Sequence[str]] = ("a+b", "a b  c", "ключ/é/日本/😀")
    """The keys that are copied."""

    def __init__(self) -> None:
        self.small = file("small").read_bytes()
        self.large = file("large").read_bytes()
        self.keys = [key for key in file("keys").read_text(encoding="utf-8").splitlines() if self.speaks(key)]

    # What the client can do

    def speaks(self, key: str) -> bool:
        """Whether the client can name this key at all."""
        return True

    def make_bucket(self) -> None:
        raise Lacks

    def has_bucket(self) -> bool:
        raise Lacks

    def put(self, key: str, data: bytes) -> None:
        raise Lacks

    def get(self, key: str) -> bytes:
        raise Lacks

    def put_in_parts(self, key: str, data: bytes) -> None:
        raise Lacks

    def put_stream(self, key: str, stream: Unseekable) -> None:
        raise Lacks

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        raise Lacks

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        raise Lacks

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        """Its content type and user metadata."""
        raise Lacks

    def put_many(self, keys: Sequence[str]) -> None:
        """Empty objects; by curl, unless the client uploads folders."""
        signed("-T", os.devnull, keys=keys)

    def listed(self, prefix: str) -> list[str]:
        """All keys with that prefix, whichever way the client pages."""
        raise Lacks

    def copy(self, source: str, target: str) -> None:
        raise Lacks

    def presigned_put(self, key: str) -> str:
        raise Lacks

    def presigned_get(self, key: str) -> str:
        raise Lacks

    def put_as_stranger(self, key: str) -> None:
        """With a wrong secret; raises what the client makes of the refusal."""
        raise Lacks

    def delete(self, keys: Sequence[str]) -> None:
        """All of these, which are all that there are."""
        raise Lacks

    def remove_bucket(self) -> None:
        raise Lacks

    # The steps

    def making(self) -> None:
        try:
            self.make_bucket()
        except Lacks:
            signed("-X", "PUT")
            raise
        same(self.has_bucket(), True)

    def small_object(self) -> None:
        self.put("small", self.small)
        same(self.get("small"), self.small)

    def parts(self) -> None:
        self.put_in_parts("large", self.large)
        in_parts("large")
        same(sha256([self.get("large")]), sha256([self.large]))

    def stream(self) -> None:
        with file("large").open("rb") as body:
            self.put_stream("stream", Unseekable(body))
        same(sha256([self.get("stream")]), sha256([self.large]))

    def ranges(self) -> None:
        start, stop = RANGE
        same(self.get_range("large", start, stop), self.large[start:stop])

    def metadata(self) -> None:
        self.put_described("metadata", TYPE, METADATA)
        same(self.description("metadata"), (TYPE, METADATA))

    def odd_keys(self) -> None:
        for key in self.keys:
            self.put(f"keys/{key}", key.encode())
            same(self.get(f"keys/{key}"), key.encode())
        same(sorted(self.listed("keys/")), sorted(f"keys/{key}" for key in self.keys))

    def pages(self) -> None:
        names = [f"many/{number:04}" for number in range(1100)]
        self.put_many(names)
        same(sorted(self.listed("many/")), names)

    def copies(self) -> None:
        for key in self.copied:
            self.copy(f"keys/{key}", f"copies/{key}")
            same(self.get(f"copies/{key}"), key.encode())
        self.copy("large", "copies/large")
        same(sha256([self.get("copies/large")]), sha256([self.large]))

    def presigned(self) -> None:
        key = "presigned/a b+ü"
        self.put(key, b"until the link puts")
        try:
            link = self.presigned_put(key)
        except Lacks:
            self.put(key, self.small)
        else:
            curl("-T", file("small"), link)
        same(curl(self.presigned_get(key)), self.small)

    def stranger(self) -> None:
        try:
            self.put_as_stranger("small")
        except Lacks:
            raise
        except Exception as refused:
            same(any(words in str(refused) for words in self.refusals) or str(refused), True)
        else:
            raise AssertionError("it was let in")
        same(self.get("small"), self.small)

    def deletion(self) -> None:
        self.delete(self.listed(""))
        same(self.listed(""), [])
        with suppress(Lacks):  # what makes no buckets removes none
            self.remove_bucket()
            same(self.has_bucket(), False)

    def go(self) -> None:
        """Go the round."""
        run(
            self.version,
            self.making,
            self.small_object,
            self.parts,
            self.stream,
            self.ranges,
            self.metadata,
            self.odd_keys,
            self.pages,
            self.copies,
            self.presigned,
            self.stranger,
            self.deletion,
        )
