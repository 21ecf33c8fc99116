"""The contract that every store fulfils: it changes state, and does not know S3.

S3's rules arrive as pure functions, run by the store at the right moment and atomic with the write: a *guard* (may this
change happen?) and a *change* (old record to new record). Every object is a version; an unversioned bucket holds
versions called `null`.

What holds for every method:

- A method that returns has made its change durable: it survives the loss of power (unless the store was told to relax).
- A method that raises or is cancelled has changed nothing that anybody can see: a change that has begun when its caller
  is cancelled is finished, and answered. Bytes left behind stand in the ledger of bytes that nothing owns, and are
  collected after the grace period.
- A reader sees the old record or the new one, whole.
- delete_bucket and all methods below Buckets take the `Bucket` as it was loaded. When the bucket has changed since (its
  `revision`), they raise StaleBucket and change nothing, so that no configuration takes effect late; when it is gone,
  NoSuchBucket. The caller loads it and tries again. write_blob looks only whether the bucket is there, since its
  caller cannot send the bytes again; read_blob and discard_blob do not look at all: who reads goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar

from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery, Page
from post3.model.object import Blob, Block, Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry, Record
from post3.model.upload import Upload

T = TypeVar("T")
Change: TypeAlias = Callable[[T], T]
"""Old record in, new record out; pure, may be called again when somebody else was faster, raises to refuse."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection freed."""

    blobs: int = 0
    size: int = 0
    """Bytes."""
    uploads: int = 0
    """Completed uploads whose memory is no longer needed."""


@dataclass(frozen=True, slots=True)
class About:
    """What a store tells of itself."""

    layout: str
    """The version of the form in which it keeps everything."""
    garbage: int = 0
    """How many entries wait for the collector."""
    postgresql: str | None = None
    """The version of the PostgreSQL behind it."""


class Buckets(Protocol):
    """Buckets and their configurations."""

    async def create_bucket(self, bucket: Bucket) -> Bucket:
        """Create it; the store gives `id` and `revision`. Raises BucketAlreadyExists when the name is taken."""

    async def get_bucket(self, name: str) -> Bucket:
        """The bucket as it is now. Raises NoSuchBucket."""

    async def update_bucket(self, name: str, change: Change[Bucket]) -> Bucket:
        """Read, change and write as one step; raises `revision` by one. Raises NoSuchBucket, and what `change` raises.

        When this returns, no method that was given the older bucket changes anything any more.
        """

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Delete it with its open uploads. Raises BucketNotEmpty while it holds any version or marker, NoSuchBucket.

        Atomic with every put: a put that was answered is in the bucket and keeps it alive, one that comes too late
        raises NoSuchBucket.
        """

    async def list_buckets(
        self, owner: str | None = None, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[Bucket]:
        """By name, of one owner or of all, whose names begin with prefix and come after `after`; at most `limit`."""


class Blobs(Protocol):
    """Bytes. Every blob has one owner (a version or a part), or stands in the ledger of bytes that nothing owns."""

    async def write_blob(self, bucket: Bucket, key: str, blocks: AsyncIterator[Block]) -> Blob:
        """Write the blocks; on return they are durable and complete, though unseen, and wait in the ledger for an
        owner, which will be a version or a part of this key.

        A blob whose bytes are few (at most one block) may stay in memory as `Blob.inline`; then it becomes durable with
        its owner, and a bucket that is gone is told there. Whatever `blocks` raises comes out of here, cancellation
        too, and nothing is left.
        """

    def read_blob(self, bucket: Bucket, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from start up to, not including, stop, in runs of at most 1 MiB.

        Every 64 KiB piece is compared with its CRC64NVME before any byte of it is given. Raises InternalError for bytes
        that are gone or differ. An iterator that is closed early gives back all that it holds.
        """

    def hold(self, bucket: Bucket, version: ObjectVersion) -> AbstractAsyncContextManager[None]:
        """Keep all bytes of a version from the collector meanwhile, whoever deletes it or its bucket.

        A reader of one blob needs no hold; a reader of several does, as it holds none of them in between. Raises
        InternalError for bytes that are gone, SlowDown when the store cannot be asked.
        """

    async def copy_blob(self, bucket: Bucket, blob: Blob, target: Bucket, key: str) -> Blob:
        """The store's own copy into another (or the same) bucket, as durable and unowned as after write_blob."""

    async def discard_blob(self, bucket: Bucket, blob: Blob) -> None:
        """Free bytes that got no owner, at once. What is owned, or already gone, is left alone."""

    async def collect_garbage(self, older_than: timedelta) -> Collected:
        """Free what has stood in the ledger for longer; forget completed uploads that are older than a week.

        Never takes bytes that somebody owns, is writing, or reads: slow is not dead.
        """


class Versions(Protocol):
    """Versions of keys. The current one is the one with the highest sequence."""

    async def put_version(
        self,
        bucket: Bucket,
        version: ObjectVersion,
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        """Make it the key's current version, in place of the one with the same id; it owns the bytes of its body.

        `NEW_VERSION` as its id asks for a new one: 16 hexadecimal digits of the sequence, then 16 random ones. Sets
        `version_id`, `sequence`, `revision`, `content` and `modified` (the store's clock), and returns the version as
        it was stored. The sequence is above all others of the key, also when a version of the same id is replaced that
        is not current. Raises what the guard raises; ServiceUnavailable when its bytes were collected meanwhile.

        A version that is *restored* comes from another store, and keeps `version_id`, `sequence` and `modified` as they
        are given: it stands where its sequence says, current or not. Raises OperationAborted where another version of
        the key has that sequence, or the one with the same id a later one; InvalidArgument for an id that does not
        begin with its sequence, and for any but `null` in a bucket that was never versioned.
        """

    async def get_version(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectVersion:
        """One version; None means the current one, even if it is a marker. Raises NoSuchKey, NoSuchVersion."""

    async def update_version(
        self,
        bucket: Bucket,
        key: str,
        version_id: str | None,
        change: Change[ObjectVersion],
        journal: Sequence[Entry] = (),
    ) -> ObjectVersion:
        """Read, change and write the version's record as one step; raises `revision` by one, moves nothing else.

        The change may not touch bytes, id, sequence or modified. Raises NoSuchKey, NoSuchVersion, and what it raises.
        """

    async def delete_version(
        self, bucket: Bucket, key: str, version_id: str, guard: Guard = no_guard, journal: Sequence[Entry] = ()
    ) -> ObjectVersion | None:
        """Delete one version for good and return it; None when there was none (the guard is asked all the same).

        The newest one left becomes current. Its bytes go to the ledger.
        """

    async def list_versions(self, bucket: Bucket, query: ListQuery) -> Page[Listed]:
        """A page, as `model.listing.collapse` makes it of all versions in order: by key, newest first.

        Entries carry what lists show; who wants more of a version asks for it.
        """


class Uploads(Protocol):
    """Multipart uploads and their parts."""

    async def create_upload(self, bucket: Bucket, upload: Upload) -> Upload:
        """Remember it; sets `content` and `initiated` (the store's clock)."""

    async def get_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """The upload, also one that is completed (its `version_id` is set). Raises NoSuchUpload."""

    async def list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        """A page of open uploads, by key, then by upload id."""

    async def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> Part:
        """Keep the part in place of one with the same number, whose bytes go to the ledger; sets `modified`.

        Raises NoSuchUpload when it was completed or aborted meanwhile; ServiceUnavailable when the bytes were
        collected.
        """

    async def list_parts(
        self,
        bucket: Bucket,
        owner: Upload | ObjectVersion,
        after: int = 0,
        limit: int = 10_000,
        start: int | None = None,
        stop: int | None = None,
    ) -> list[Part]:
        """Parts by number, above `after`; or, of a completed object, only those under the bytes from start to stop.

        An object of one body has its body as its only part. An object's parts keep the numbers that they were uploaded
        with, and have their `start`. Raises NoSuchUpload.
        """

    async def finish_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        version: ObjectVersion,
        parts: Sequence[Part],
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        """Make an object of these parts, as put_version does (restored too), and remember its id on the upload.

        The parts change owner, no byte is copied; parts that are not named go to the ledger. Raises InvalidPart when
        one of them is no longer the upload's, NoSuchUpload when it was aborted, and what the guard raises. When the
        upload is already completed and its object is still there, returns that object.
        """

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Forget it; its bytes go to the ledger. Raises NoSuchUpload when it is unknown or completed."""


class Records(Protocol):
    """Documents by kind and id, that are no objects: leases, users, usage."""

    async def get_record(self, kind: str, id: str) -> Record:
        """Raises NoSuchRecord."""

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        """Read, change and write as one step; None stands for absent, both ways. Sets `revision` and `modified`."""

    async def list_records(self, kind: str, after: str = "", limit: int = 1000) -> list[Record]:
        """By id, after `after`."""


class Journal(Protocol):
    """What is to be told later, at least once."""

    async def append(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        """Write entries that tell of no change."""

    async def take(self, stream: str, limit: int, lease: timedelta) -> list[Entry]:
        """Those of the entries that nobody holds which have waited longest, held for the caller until the lease ends.

        Told in the order of their making. What was held and not settled waits anew from the end of its lease, so that
        one that cannot be told keeps none that can.
        """

    async def settle(self, entries: Sequence[Entry]) -> None:
        """Forget them: they were told."""


class Backend(Buckets, Blobs, Versions, Uploads, Records, Journal, Protocol):
    """A store."""

    async def open(self) -> None:
        """Get ready; repairs what a crash left. Raises OSError or ValueError with a sentence for people."""

    async def close(self) -> None:
        """Give back everything, with nothing under way."""

    async def ping(self) -> None:
        """Raises when the store cannot serve now."""

    async def about(self) -> About:
        """What it is, and how much waits for the collector."""
