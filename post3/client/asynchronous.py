"""AsyncClient: the same as Client, over aiobotocore, which the extra post3[async] brings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

from post3.client import calls, copying, deletion, directories, downloads, syncing, uploads
from post3.client.body import CHUNK
from post3.client.connection import BaseClient, Connection, forget_metadata, making, region_of
from post3.client.errors import ClientError
from post3.client.locations import Remote, folder, parse_location
from post3.client.model import Bucket, ObjectInfo, Prefix, Transferred
from post3.client.pages import Pages, bucket_pages, object_pages
from post3.client.sources import Source
from post3.client.steps import Call, Progress, Script
from post3.client.transfers import DEFAULT_PART

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

    from post3.client.async_running import AsyncRunner

T = TypeVar("T")
Callback = Callable[[int], None]
AsyncSource: TypeAlias = Source | AsyncIterable[bytes]


class AsyncClient(BaseClient):
    """Client's methods as coroutines, and its iterators as asynchronous ones; what they do, take and raise is the same.

    Bound to the event loop in which it first speaks. `async with` closes it, as `await client.close()` does.
    """

    def _start(self, connection: Connection) -> None:
        if find_spec("aiobotocore") is None:
            raise ImportError("AsyncClient needs aiobotocore, which an extra brings: pip install 'post3[async]'")
        self._connection = connection
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._runner: AsyncRunner | None = None

    @property
    def s3(self) -> S3Client:
        """The plain aiobotocore client, for all else; there inside `async with`. Raises ClientError outside."""
        if self._runner is None:
            raise ClientError("The client is not connected yet: use it inside `async with AsyncClient(…) as client`.")
        client: S3Client = self._runner.s3
        return client

    async def close(self) -> None:
        """Close the connections."""
        self._runner = None
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    # Buckets

    async def create_bucket(self, bucket: str, *, exist_ok: bool = False) -> None:
        """See Client.create_bucket."""
        runner = await self._connected()
        await runner.run(deletion.create_bucket(bucket, self._region, exist_ok=exist_ok))

    async def delete_bucket(self, bucket: str, *, force: bool = False) -> None:
        """See Client.delete_bucket."""
        await self._run(deletion.delete_bucket(bucket, force=force))

    def list_buckets(self) -> AsyncIterator[Bucket]:
        """See Client.list_buckets."""
        return self._iterate(bucket_pages())

    # Objects

    async def put_object(
        self,
        bucket: str,
        key: str,
        body: AsyncSource,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """See Client.put_object; an asynchronous iterable is a body, too."""
        source, interrupt = _blocking(body)
        script = uploads.put_object(
            bucket,
            key,
            source,
            content_type=content_type,
            metadata=metadata,
            if_match=if_match,
            if_none_match=if_none_match,
            progress=Progress(progress),
        )
        return await self._run(script, interrupt)

    def get_object(
        self, bucket: str, key: str, *, start: int | None = None, stop: int | None = None, version_id: str | None = None
    ) -> AsyncBody:
        """See Client.get_object; asked for by `async with client.get_object(…) as body`, or by `await`."""
        return AsyncBody(self._connected, calls.get_object(bucket, key, start=start, stop=stop, version_id=version_id))

    async def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """See Client.head_object."""
        return await self._run(calls.head_object(bucket, key, version_id=version_id))

    @overload
    def list_objects(
        self, bucket: str, prefix: str | None = None, *, delimiter: None = None
    ) -> AsyncIterator[ObjectInfo]: ...

    @overload
    def list_objects(
        self, bucket: str, prefix: str | None = None, *, delimiter: str
    ) -> AsyncIterator[ObjectInfo | Prefix]: ...

    def list_objects(
        self, bucket: str, prefix: str | None = None, *, delimiter: str | None = None
    ) -> AsyncIterator[Any]:
        """See Client.list_objects."""
        return self._iterate(object_pages(bucket, prefix, delimiter))

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """See Client.delete_object."""
        await self._run(deletion.delete_object(bucket, key, version_id=version_id))

    async def delete_objects(self, bucket: str, keys: Iterable[str]) -> int:
        """See Client.delete_objects."""
        return await self._run(deletion.delete_all(bucket, ({"Key": key} for key in keys)))

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See Client.delete_prefix."""
        return await self._run(deletion.delete_prefix(bucket, prefix))

    async def copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        metadata: Mapping[str, str] | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """See Client.copy."""
        return await self._run(
            copying.copy(source_bucket, source_key, bucket, key, metadata=metadata, progress=Progress(progress))
        )

    async def presign(
        self, bucket: str, key: str, *, method: str = "GET", expires: int = 3600, **parameters: Any
    ) -> str:
        """See Client.presign."""
        return await self._run(calls.presign(bucket, key, method=method, expires=expires, **parameters))

    # Transfers

    async def multipart_upload(
        self,
        bucket: str,
        key: str,
        source: AsyncSource,
        *,
        part_size: int = DEFAULT_PART,
        workers: int = 4,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: Callback | None = None,
    ) -> ObjectInfo:
        """See Client.multipart_upload; an asynchronous iterable is a source, too. Cancelling aborts the upload."""
        pieces, interrupt = _blocking(source)
        script = uploads.multipart_upload(
            bucket,
            key,
            pieces,
            part_size=part_size,
            workers=workers,
            content_type=content_type,
            metadata=metadata,
            progress=Progress(progress),
        )
        return await self._run(script, interrupt)

    async def download(
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
        """See Client.download."""
        return await self._run(
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

    async def upload_directory(
        self,
        bucket: str,
        path: str | os.PathLike[str],
        prefix: str = "",
        *,
        workers: int = 4,
        progress: Callback | None = None,
    ) -> Transferred:
        """See Client.upload_directory."""
        target = Remote(bucket, folder(prefix))
        return await self._run(
            directories.upload_directory(Path(path), target, workers=workers, progress=Progress(progress))
        )

    async def download_directory(
        self,
        bucket: str,
        prefix: str,
        path: str | os.PathLike[str],
        *,
        workers: int = 4,
        progress: Callback | None = None,
    ) -> Transferred:
        """See Client.download_directory."""
        source = Remote(bucket, folder(prefix))
        return await self._run(
            directories.download_directory(source, Path(path), workers=workers, progress=Progress(progress))
        )

    async def sync(
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
        """See Client.sync."""
        return await self._run(
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

    # How

    async def _run(self, script: Script[T], interrupt: Callable[[], None] | None = None) -> T:
        runner = await self._connected()
        return await runner.interrupted_by(interrupt).run(script)

    async def _iterate(self, pages: Pages[T]) -> AsyncIterator[T]:
        runner = await self._connected()
        while pages.call is not None:
            for entry in pages.take(await runner.call(pages.call)):
                yield entry

    async def _connected(self) -> AsyncRunner:
        async with self._opening:
            if self._runner is None:
                self._runner = await self._connect(self._connection)
            return self._runner

    async def _connect(self, connection: Connection) -> AsyncRunner:
        """A runner on an aiobotocore client that is closed with this one."""
        from aiobotocore.session import AioSession  # noqa: PLC0415  # an extra, and slow to import

        from post3.client.async_running import AsyncRunner  # noqa: PLC0415  # the same

        with making(connection):
            session = AioSession(profile=connection.profile)
            forget_metadata(session)
            region = region_of(session, connection.region)
            anonymous = connection.access_key is None and await session.get_credentials() is None
            made = session.create_client(**connection.options(region, anonymous=anonymous))
            s3 = await self._open.enter_async_context(made)
        self._region = region
        return AsyncRunner(s3, self.endpoint)


class AsyncBody:
    """The bytes of an answer, to be read once; see Body. Nothing is asked for before `async with` or `await`."""

    info: ObjectInfo

    def __init__(self, connected: Callable[[], Any], call: Call) -> None:
        self._connected = connected
        self._call = call

    async def read(self, n: int = -1, /) -> bytes:
        """So many bytes, fewer only at the end; all that is left by default."""
        if n < 0:
            return await self._piece(None)
        pieces: list[bytes] = []
        while n and (piece := await self._piece(n)):
            pieces.append(piece)
            n -= len(piece)
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes in pieces of at most 1 MiB."""
        while piece := await self._piece(CHUNK):
            yield piece

    async def close(self) -> None:
        """Give up what was not read."""
        self._stream.close()

    async def __aenter__(self) -> Self:
        return await self._ask()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._ask().__await__()

    async def _ask(self) -> Self:
        self._runner: AsyncRunner = await self._connected()
        answer = await self._runner.call(self._call)
        self._stream = answer["Body"]
        self.info = calls.object_info(self._call.parameters["Key"], answer)
        return self

    async def _piece(self, size: int | None) -> bytes:
        data: bytes = await self._runner.translating(self._call, self._stream.read(size))
        return data


def _blocking(source: AsyncSource) -> tuple[Source, Callable[[], None] | None]:
    """A source that threads can read, and how to end their wait for it."""
    if not isinstance(source, AsyncIterable):
        return source, None
    pieces = _Pieces(source)
    return pieces, pieces.interrupt


class _Pieces:
    """An asynchronous iterable, for threads."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = aiter(source)
        self._loop = asyncio.get_running_loop()
        self._waiting: Future[bytes | None] | None = None

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._waiting = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            piece = self._waiting.result()
            if piece is None:
                return
            yield piece

    async def _next(self) -> bytes | None:
        return await anext(self._source, None)

    def interrupt(self) -> None:
        """Nobody wants the next piece any more."""
        if self._waiting is not None:
            self._waiting.cancel()
