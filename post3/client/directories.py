"""Folders: which files of one are uploaded, and whole folders moved up and down."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from post3.client.downloads import download
from post3.client.locations import Remote, check_names, path_inside
from post3.client.model import Action, ObjectInfo, Transferred
from post3.client.pages import object_pages, only_objects
from post3.client.steps import Local, Many, Progress, Script
from post3.client.transfers import DEFAULT_PART, check_workers
from post3.client.uploads import put_object


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of a folder: its name there with slashes, size in bytes, time of change in nanoseconds since 1970."""

    path: Path
    name: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Omitted:
    """What is no file to be moved, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{os.fsencode(self.path).decode(errors='replace')}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Job:
    """One action, and how it is done by so many workers."""

    action: Action
    script: Callable[[int], Script[object]]


def upload_directory(root: Path, target: Remote, *, workers: int, progress: Progress) -> Script[Transferred]:
    """Upload every file of a folder."""
    check_workers(workers)
    found: list[LocalFile | Omitted] = yield Local(lambda: list(walk(root)))
    jobs = [upload_job(one, target, progress) for one in found if isinstance(one, LocalFile)]
    yield from perform(jobs, workers)
    omitted = tuple(str(one) for one in found if isinstance(one, Omitted))
    return Transferred(tuple(job.action for job in jobs), omitted=omitted)


def download_directory(source: Remote, root: Path, *, workers: int, progress: Progress) -> Script[Transferred]:
    """Download every object below a prefix; nothing is written before all names are known to fit."""
    check_workers(workers)
    objects = yield from list_remote(source)
    check_names(objects)
    jobs = [download_job(name, one, source, root, progress) for name, one in objects.items()]
    yield Local(lambda: root.mkdir(parents=True, exist_ok=True))
    yield from perform(jobs, workers)
    return Transferred(tuple(job.action for job in jobs))


def perform(jobs: Sequence[Job], workers: int) -> Script[None]:
    """Do jobs: small ones side by side, then each large one with all workers at its parts."""
    small = [job for job in jobs if job.action.size <= DEFAULT_PART]
    yield Many((job.script(1) for job in small), workers)
    for job in jobs:
        if job.action.size > DEFAULT_PART:
            yield from job.script(workers)


def upload_job(file: LocalFile, target: Remote, progress: Progress) -> Job:
    """The upload of a file."""

    def script(workers: int) -> Script[object]:
        return put_object(target.bucket, target.prefix + file.name, file.path, workers=workers, progress=progress)

    return Job(Action("upload", str(file.path), target.address(file.name), file.size), script)


def download_job(name: str, found: ObjectInfo, source: Remote, root: Path, progress: Progress) -> Job:
    """The download of an object to its place in a folder."""

    def script(workers: int) -> Script[object]:
        path: Path = yield Local(lambda: path_inside(root, name))
        return (
            yield from download(
                source.bucket, found.key, path, part_size=DEFAULT_PART, workers=workers, progress=progress
            )
        )

    return Job(Action("download", source.address(name), str(root / name), found.size), script)


def list_remote(source: Remote) -> Script[dict[str, ObjectInfo]]:
    """The objects below a prefix by their names there, without empty ones that stand for folders."""
    objects = only_objects((yield from object_pages(source.bucket, source.prefix).all()))
    named = {one.key.removeprefix(source.prefix): one for one in objects}
    return {name: one for name, one in named.items() if one.size or (name and not name.endswith("/"))}


def walk(root: Path) -> Iterator[LocalFile | Omitted]:
    """The files of a folder and of those below it, in order. Raises OSError when it is none.

    A link to a file inside is that file. Links that lead out of the folder, or to a folder, are left out, as is all
    that is not a regular file.
    """
    yield from _walk(root, os.path.realpath(root), "")


def _walk(folder: Path, home: str, above: str) -> Iterator[LocalFile | Omitted]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path, name = folder / entry.name, above + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, home, f"{name}/")
        elif reason := _reason_against(entry, home):
            yield Omitted(path, reason)
        else:
            told = entry.stat()
            yield LocalFile(path, name, told.st_size, told.st_mtime_ns)


def _reason_against(entry: os.DirEntry[str], home: str) -> str | None:
    """Why an entry that is no folder is not moved; None if it is."""
    if not entry.name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in entry.name):
        return "its name is not UTF-8"
    if entry.is_symlink() and os.path.commonpath([home, os.path.realpath(entry.path)]) != home:
        return "a link that leads out of the folder"
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "a link that leads nowhere"
    if stat.S_ISREG(mode):
        return None
    return "a link to a folder" if entry.is_symlink() else "neither a file nor a folder"
