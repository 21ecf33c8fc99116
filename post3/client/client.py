"""Client: S3 in one-liners, over boto3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import boto3
import botocore.session

from post3.client import calls, copying, deletion, directories, downloads, syncing, uploads
from post3.client.body import Body
from post3.client.connection import BaseClient, Connection, forget_metadata, making, region_of
from post3.client.locations import Remote, folder, parse_location
from post3.client.model import Bucket, ObjectInfo, Prefix, Transferred
from post3.client.pages import Pages, bucket_pages, object_pages
from post3.client.running import Runner
from post3.client.sources import Source
from post3.client.steps import Progress
from post3.client.transfers import DEFAULT_PART

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
Callback = Callable[[int], None]


class Client(BaseClient):
    """A client of post3, or of any S3 server; threads may share it.

    Every method raises the errors of `post3.client.errors`, and OSError for trouble with local files. `progress` is
    called with the number of bytes moved since its last call, by one thread at a time.
    """

    def _start(self, connection: Connection) -> None:
        self._s3, self._region = _connect(connection)
        self._runner = Runner(self._s3, self.endpoint)

    @property
    def s3(self) -> S3Client:
        """The plain boto3 client, for all else."""
        return self._s3

    def close(self) -> None:
        """Close the connections."""
        self._s3.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Buckets

    def create_bucket(self, bucket: str, *, exist_ok: bool = False) -> None:
        """Make a bucket. Raises Conflict when it exists; with `exist_ok` only when it is somebody else's."""
        self._runner.run(deletion.create_bucket(bucket, self._region, exist_ok=exist_ok))

    def delete_bucket(self, bucket: str, *, force: bool = False) -> None:
        """Delete a bucket; with `force` all versions, delete markers and uploads in it first."""
        self._runner.run(deletion.delete_bucket(bucket, force=force))

    def list_buckets(self) -> Iterator[Bucket]:
        """One's own buckets."""
        return self._iterate(bucket_pages())

    # Objects

    def put_object(
        self,
        bucket: str,
        key: str,
        body: Source,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """Store bytes, text (as UTF-8), a file by its path, a binary stream, or what an iterable gives.

        What is larger than 8 MiB goes by multipart. `if_match` takes an ETag, `if_none_match` "*"; where the condition
        does not hold, PreconditionFailed is raised. The type is guessed from a file's name, unless it is given.
        """
        return self._runner.run(
            uploads.put_object(
                bucket,
                key,
                body,
                content_type=content_type,
                metadata=metadata,
                if_match=if_match,
                if_none_match=if_none_match,
                progress=Progress(progress),
            )
        )

    def get_object(
        self, bucket: str, key: str, *, start: int | None = None, stop: int | None = None, version_id: str | None = None
    ) -> Body:
        """An object's bytes from start to before stop, to be read and closed; all of them are verified as they come."""
        call = calls.get_object(bucket, key, start=start, stop=stop, version_id=version_id)
        return Body(self._runner.call(call), call, self.endpoint)

    def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """What is known of an object."""
        return self._runner.run(calls.head_object(bucket, key, version_id=version_id))

    @overload
    def list_objects(
        self, bucket: str, prefix: str | None = None, *, delimiter: None = None
    ) -> Iterator[ObjectInfo]: ...

    @overload
    def list_objects(
        self, bucket: str, prefix: str | None = None, *, delimiter: str
    ) -> Iterator[ObjectInfo | Prefix]: ...

    def list_objects(self, bucket: str, prefix: str | None = None, *, delimiter: str | None = None) -> Iterator[Any]:
        """All objects whose key begins so, in the order of their keys; asked for as they are needed.

        With a delimiter, keys that go on behind one are told as one Prefix.
        """
        return self._iterate(object_pages(bucket, prefix, delimiter))

    def delete_object(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Delete an object, or one version of it; it is no error when there is none."""
        self._runner.run(deletion.delete_object(bucket, key, version_id=version_id))

    def delete_objects(self, bucket: str, keys: Iterable[str]) -> int:
        """Delete objects, a thousand in a request; how many keys that were."""
        return self._runner.run(deletion.delete_all(bucket, ({"Key": key} for key in keys)))

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete all objects whose key begins so; how many that were. The empty prefix is all of them."""
        return self._runner.run(deletion.delete_prefix(bucket, prefix))

    def copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        metadata: Mapping[str, str] | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """Copy an object on the server, by parts above 5 GiB; `metadata` takes the place of the source's."""
        return self._runner.run(
            copying.copy(source_bucket, source_key, bucket, key, metadata=metadata, progress=Progress(progress))
        )

    def presign(self, bucket: str, key: str, *, method: str = "GET", expires: int = 3600, **parameters: Any) -> str:
        """A URL for that method, for whoever has it, for so many seconds; `parameters` are boto3's (`VersionId=…`)."""
        return self._runner.run(calls.presign(bucket, key, method=method, expires=expires, **parameters))

    # Transfers

    def multipart_upload(
        self,
        bucket: str,
        key: str,
        source: Source,
        *,
        part_size: int = DEFAULT_PART,
        workers: int = 4,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """Store a source by parts, so many at a time; parts grow where 10,000 of them would not do.

        When it fails, or Ctrl-C stops it, the upload is aborted on the server.
        """
        return self._runner.run(
            uploads.multipart_upload(
                bucket,
                key,
                source,
                part_size=part_size,
                workers=workers,
                content_type=content_type,
                metadata=metadata,
                progress=Progress(progress),
            )
        )

    def download(
        self,
        bucket: str,
        key: str,
        path: str | os.PathLike[str],
        *,
        part_size: int = DEFAULT_PART,
        workers: int = 4,
        version_id: str | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """Download an object to a file, by ranges side by side; it appears whole, verified and synced, or not at all.

        What is larger than a part goes to `<path>.part` first. A download that failed or was stopped goes on there when
        it is called again, and tells `progress` at once of what it found.
        """
        return self._runner.run(
            downloads.download(
                bucket,
                key,
                Path(path),
                part_size=part_size,
                workers=workers,
                version_id=version_id,
                progress=Progress(progress),
            )
        )

    def upload_directory(
        self,
        bucket: str,
        path: str | os.PathLike[str],
        prefix: str = "",
        *,
        workers: int = 4,
        progress: Callback | None = None,
    ) -> Transferred:
        """Upload every file of a folder to keys below the prefix.

        What is no regular file, and links that leave the folder or lead to a folder, are told as omitted.
        """
        target = Remote(bucket, folder(prefix))
        return self._runner.run(
            directories.upload_directory(Path(path), target, workers=workers, progress=Progress(progress))
        )

    def download_directory(
        self,
        bucket: str,
        prefix: str,
        path: str | os.PathLike[str],
        *,
        workers: int = 4,
        progress: Callback | None = None,
    ) -> Transferred:
        """Download every object below the prefix into a folder. Raises UnsafeKey when a key cannot be a file in it."""
        source = Remote(bucket, folder(prefix))
        return self._runner.run(
            directories.download_directory(source, Path(path), workers=workers, progress=Progress(progress))
        )

    def sync(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        delete: bool = False,
        dry_run: bool = False,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        workers: int = 4,
        progress: Callback | None = None,
    ) -> Transferred:
        """Make the target like the source, each a folder or `s3://bucket/prefix`; only what differs is moved.

        delete: delete from the target what the source has not.
        dry_run: only tell what would be done.
        exclude, include: the shell's patterns of names below the two; what an exclusion fits takes no part, unless an
            inclusion fits it too.
        """
        return self._runner.run(
            syncing.sync(
                parse_location(source),
                parse_location(target),
                delete=delete,
                dry_run=dry_run,
                chosen=syncing.Filter(tuple(exclude), tuple(include)),
                workers=workers,
                progress=Progress(progress),
            )
        )

    def _iterate(self, pages: Pages[T]) -> Iterator[T]:
        while pages.call is not None:
            yield from pages.take(self._runner.call(pages.call))


def _connect(connection: Connection) -> tuple[S3Client, str]:
    """The boto3 client, and its region."""
    with making(connection):
        session = botocore.session.Session(profile=connection.profile)
        forget_metadata(session)
        region = region_of(session, connection.region)
        anonymous = connection.access_key is None and session.get_credentials() is None
        made = boto3.Session(botocore_session=session, region_name=region)
        return made.client(**connection.options(region, anonymous=anonymous)), region
