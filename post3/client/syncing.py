"""Making one place like another: what differs is moved, and what is too much is deleted if that is asked for.

Two are the same when their sizes are, and their times or their content. On the way up, a file that is not newer than
the object is the same; on the way down, one with the object's very time, which a download gives it. Where the times do
not tell, the MD5 of the file is compared with the ETag, if that is one. Of two objects, the same ETag tells, or a
target that is not older.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from post3.client.copying import copy
from post3.client.deletion import delete_all
from post3.client.directories import (
    Job,
    LocalFile,
    Omitted,
    download_job,
    list_remote,
    perform,
    upload_job,
    walk,
)
from post3.client.errors import InvalidArgument
from post3.client.locations import Location, Remote, check_names
from post3.client.model import Action, MiB, ObjectInfo, Transferred
from post3.client.resume import given_time
from post3.client.steps import Local, Progress, Script
from post3.client.transfers import check_workers
from post3.client.verification import Digest, md5_of

Item = LocalFile | ObjectInfo


@dataclass(frozen=True, slots=True)
class Filter:
    """Which names take part: those that no exclusion fits, and those that an inclusion fits all the same."""

    exclude: Sequence[str] = ()
    include: Sequence[str] = ()

    def takes(self, name: str) -> bool:
        """Whether it takes part. Patterns are the shell's, and `*` stands for slashes too."""
        return not _fits(name, self.exclude) or _fits(name, self.include)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Reading:
    """The one thing that still tells whether two are the same: the file's content."""

    path: Path
    digest: Digest

    def same(self) -> bool:
        """Whether it is. Raises OSError."""
        return self.digest.fits(_pieces(self.path))


def compare(source: Item, target: Item | None) -> bool | Reading:
    """Whether the target is like the source, as far as size, time and ETag tell."""
    if target is None or source.size != target.size:
        return False
    match source, target:
        case LocalFile(), ObjectInfo():
            return source.modified <= _time(target) or _reading(source, target)
        case ObjectInfo(), LocalFile():
            return given_time(source) == target.modified or _reading(target, source)
        case ObjectInfo(), ObjectInfo():
            return source.etag == target.etag or _time(source) <= _time(target)
        case _:
            return False


def _reading(file: LocalFile, found: ObjectInfo) -> Reading | Literal[False]:
    digest = md5_of(found.etag)
    return Reading(file.path, digest) if digest is not None else False


def _time(item: ObjectInfo) -> int:
    """In nanoseconds since 1970."""
    return int(item.modified.timestamp() * 1e9) if item.modified else 0


def sync(
    source: Location,
    target: Location,
    *,
    delete: bool,
    dry_run: bool,
    chosen: Filter,
    workers: int,
    progress: Progress,
) -> Script[Transferred]:
    """Make the target like the source; with `dry_run` only tell what that would take."""
    check_workers(workers)
    if isinstance(source, Path) and isinstance(target, Path):
        raise InvalidArgument("sync is between a folder and S3, or within S3: write one of them as s3://bucket/prefix.")
    _refuse_overlap(source, target)
    omitted: list[Omitted] = []
    wanted = yield from _list(source, chosen, omitted, missing_ok=False)
    present = yield from _list(target, chosen, omitted if isinstance(source, Remote) else [], missing_ok=True)
    if isinstance(target, Path):
        check_names(wanted)
    jobs: list[Job] = []
    for name, item in wanted.items():
        if (yield from _differs(item, present.get(name))):
            jobs.append(_job(name, item, source, target, progress))
    # What the source has, but is not taken along, is no reason to delete it in the target.
    hidden = [one.path.relative_to(source).as_posix() for one in omitted] if isinstance(source, Path) else []
    surplus = [name for name in present if name not in wanted and not _is_in(name, hidden)] if delete else []
    if not dry_run:
        yield from perform(jobs, workers)
        yield from _delete(target, surplus, present)
    deletions = [Action("delete", "", _address(target, name), present[name].size) for name in surplus]
    actions = (*(job.action for job in jobs), *deletions)
    return Transferred(actions, skipped=len(wanted) - len(jobs), omitted=tuple(map(str, omitted)))


def _refuse_overlap(source: Location, target: Location) -> None:
    """Raise InvalidArgument where one place is in the other: it would be copied, or deleted, while it is looked at."""
    if isinstance(source, Path) or isinstance(target, Path) or source.bucket != target.bucket:
        return
    if source.prefix.startswith(target.prefix) or target.prefix.startswith(source.prefix):
        one, other = source.address(""), target.address("")
        raise InvalidArgument(f"{one} and {other} are in one another: name two places apart.")


def _is_in(name: str, others: Iterable[str]) -> bool:
    """Whether it is one of the others, or below one."""
    return any(name == other or name.startswith(f"{other}/") for other in others)


def _list(place: Location, chosen: Filter, omitted: list[Omitted], *, missing_ok: bool) -> Script[dict[str, Item]]:
    """What is there, by name."""
    if isinstance(place, Remote):
        objects = yield from list_remote(place)
        return {name: one for name, one in objects.items() if chosen.takes(name)}
    if missing_ok and not (yield Local(place.exists)):
        return {}
    found: list[LocalFile | Omitted] = yield Local(lambda: list(walk(place)))
    omitted += [one for one in found if isinstance(one, Omitted)]
    return {one.name: one for one in found if isinstance(one, LocalFile) and chosen.takes(one.name)}


def _differs(source: Item, target: Item | None) -> Script[bool]:
    verdict = compare(source, target)
    if isinstance(verdict, Reading):
        verdict = bool((yield Local(verdict.same)))
    return not verdict


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(MiB):
            yield piece


def _job(name: str, item: Item, source: Location, target: Location, progress: Progress) -> Job:
    match item, source, target:
        case LocalFile(), _, Remote():
            return upload_job(item, target, progress)
        case ObjectInfo(), Remote(), Path():
            return download_job(name, item, source, target, progress)
        case ObjectInfo(), Remote(), Remote():
            return _copy_job(name, item, source, target, progress)
        case _:
            raise InvalidArgument(f"Nothing goes from {source} to {target}.")


def _copy_job(name: str, item: ObjectInfo, source: Remote, target: Remote, progress: Progress) -> Job:
    def script(workers: int) -> Script[object]:
        goal = target.prefix + name
        return copy(source.bucket, item.key, target.bucket, goal, workers=workers, progress=progress)

    return Job(Action("copy", source.address(name), target.address(name), item.size), script)


def _delete(place: Location, names: Sequence[str], present: Mapping[str, Item]) -> Script[None]:
    if isinstance(place, Remote):
        yield from delete_all(place.bucket, ({"Key": place.prefix + name} for name in names))
        return
    paths = [one.path for name in names if isinstance(one := present[name], LocalFile)]
    yield Local(lambda: _unlink(paths))


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _address(place: Location, name: str) -> str:
    return place.address(name) if isinstance(place, Remote) else str(place / name)
