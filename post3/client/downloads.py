"""Downloading to a file: at once what is small, by ranges side by side what is large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from post3.client.calls import get_object, head_call, object_info
from post3.client.errors import Damaged, InvalidArgument, Unreachable
from post3.client.model import ObjectInfo
from post3.client.resume import PartialFile, Plan, refuse_folder, write_whole
from post3.client.steps import Fetch, Local, Many, Progress, Script
from post3.client.transfers import Span, check_workers
from post3.client.verification import Digest, digest_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object as it was found, to be read as this very one: every request names its ETag."""

    bucket: str
    info: ObjectInfo
    version_id: str | None
    digest: Digest | None


def find(bucket: str, key: str, version_id: str | None) -> Script[Wanted]:
    """Ask for an object."""
    answer = yield head_call(bucket, key, version_id)
    return Wanted(bucket, object_info(key, answer), version_id, digest_of(answer))


def download(
    bucket: str,
    key: str,
    path: Path,
    *,
    part_size: int,
    workers: int,
    version_id: str | None = None,
    progress: Progress,
) -> Script[ObjectInfo]:
    """Download an object to a file; what was there is replaced in the end, by a whole file only."""
    if part_size < 1:
        raise InvalidArgument(f"part_size is 1 byte or more, not {part_size}.")
    check_workers(workers)
    yield Local(lambda: refuse_folder(path))
    wanted = yield from find(bucket, key, version_id)
    if wanted.info.size <= part_size:
        yield from _at_once(wanted, path, progress)
    else:
        yield from _by_ranges(wanted, path, part_size, workers, progress)
    return wanted.info


def _at_once(wanted: Wanted, path: Path, progress: Progress) -> Script[None]:
    data = bytearray()
    yield from _fetch(wanted, Span(1, 0, wanted.info.size), lambda _, piece: data.extend(piece), progress)
    yield Local(lambda: write_whole(path, data, wanted.digest, wanted.info))


def _by_ranges(wanted: Wanted, path: Path, part_size: int, workers: int, progress: Progress) -> Script[None]:
    info = wanted.info
    plan = Plan(wanted.bucket, info.key, wanted.version_id, info.etag, info.size, part_size)
    file: PartialFile = yield Local(lambda: PartialFile(path, plan))

    def part(span: Span) -> Script[None]:
        yield from _fetch(wanted, span, file.write, progress)
        yield Local(lambda: file.finish_part(span.number))

    try:
        progress(file.plan.bytes_done())
        yield Many((part(span) for span in file.plan.missing()), workers)
        yield Local(lambda: file.finish(wanted.digest, info))
    finally:
        file.close()


def _fetch(wanted: Wanted, span: Span, write: Callable[[int, bytes], None], progress: Progress) -> Script[None]:
    """Read a run of bytes, and go on behind what came when the connection breaks, as long as anything comes."""
    at = span.start

    def take(data: bytes) -> None:
        nonlocal at
        if at + len(data) > span.stop:
            raise Damaged(f"s3://{wanted.bucket}/{wanted.info.key}: more bytes came than were asked for.")
        write(at, data)
        at += len(data)
        progress(len(data))

    while True:
        before = at
        # Without a range the server's checksum of the whole comes along, and is verified.
        whole = span.size == wanted.info.size and at == 0
        start, stop = (None, None) if whole else (at, span.stop)
        call = get_object(
            wanted.bucket,
            wanted.info.key,
            start=start,
            stop=stop,
            version_id=wanted.version_id,
            if_match=wanted.info.etag,
        )
        try:
            yield Fetch(call, take)
        except Unreachable:
            if at == before:
                raise
        if at == span.stop:
            return
        if at == before:
            raise Damaged(f"s3://{wanted.bucket}/{wanted.info.key}: fewer bytes came than were asked for.")
