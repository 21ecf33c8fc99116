"""Copying: keys come one after another, some are worked on at a time, and each outcome goes into the report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from post3.errors import S3Error
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion, Part
from post3.moving.comparing import BYTES, differences
from post3.moving.planning import Act, Key, Step, Wishes, plan_by_id, plan_by_order, side_by_side
from post3.moving.report import BucketReport, Report
from post3.moving.sides import BucketState, GoneError, MovingError, Source, Target, Whole

FAILURES: Final = (MovingError, S3Error, OSError)
"""What may happen to one object without anything being wrong with the others."""
MOST_IN_A_ROW: Final = 100
"""Failures one after another, without a success between, that end a copy: the next ones would fail too."""


class GaveUpError(Exception):
    """Nothing succeeds any more."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be copied, and how."""

    buckets: Sequence[str] = ()
    """Empty for all."""
    wishes: Wishes = field(default_factory=Wishes)
    dry_run: bool = False
    parallel: int = 4
    """Keys at a time."""


async def copy_store(source: Source, target: Target, job: Job, report: Report) -> None:
    """Copy all buckets, or those named; the report grows meanwhile. Raises GaveUpError, and what names no bucket."""
    for name in job.buckets or await source.names():
        bucket = BucketReport(name)
        report.buckets.append(bucket)
        try:
            await _Copy(source, target, job, bucket).run()
        except FAILURES as error:
            bucket.failed.add(told(error), name)


class _Copy:
    """One bucket's copy."""

    def __init__(self, source: Source, target: Target, job: Job, report: BucketReport) -> None:
        self._source = source
        self._target = target
        self._job = job
        self._report = report
        # Records are compared between stores, where that is cheap.
        check = job.wishes.check and source.is_store and target.is_store
        self._wishes = replace(job.wishes, check=check)
        self._failures = 0
        self._versioned = False

    async def run(self) -> None:
        """Prepare the bucket, copy all its keys, finish it."""
        name, report = self._report.name, self._report
        state = await self._source.bucket(name)
        if state is None:
            raise MovingError("the source has no such bucket")
        there = await self._target.bucket(name)
        self._versioned = bool(state.bucket.versioning)
        for what in state.lost:
            report.lost.add(what, name)
        if not self._job.dry_run:
            found = None if there is None else there.bucket
            for what in await self._target.prepare(state.bucket, found, overwrite=self._overwrite):
                report.different.add(f"the bucket's {what} differs", name)
        await self._copy_keys(there)
        if not self._job.dry_run:
            await self._finish(state.bucket)

    @property
    def _overwrite(self) -> bool:
        return self._wishes.overwrite

    async def _finish(self, bucket: Bucket) -> None:
        for what in await self._target.finish(bucket):
            self._report.lost.add(f"the bucket's {what}", bucket.name)

    async def _copy_keys(self, there: BucketState | None) -> None:
        name = self._report.name
        theirs = self._target.keys(name) if there is not None else _nothing()
        keys = side_by_side(self._source.keys(name), theirs)
        waiting: asyncio.Queue[Key | None] = asyncio.Queue(self._job.parallel)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._job.parallel):
                    group.create_task(self._work(waiting))
                async for key in keys:
                    await waiting.put(key)
                for _ in range(self._job.parallel):
                    await waiting.put(None)
        except ExceptionGroup as errors:
            raise _first(errors) from errors

    async def _work(self, waiting: asyncio.Queue[Key | None]) -> None:
        while (key := await waiting.get()) is not None:
            await self._copy_key(key)

    async def _copy_key(self, key: Key) -> None:
        if self._target.by_id:
            steps = plan_by_id(key.source, key.target, self._wishes)
        else:
            steps = plan_by_order(key.source, key.target, self._wishes, versioned=self._versioned)
        for step in steps:
            try:
                await self._take(step)
                self._failures = 0
            except GoneError:
                self._report.gone += 1
            except FAILURES as error:
                self._fail(step, error)
                if not self._target.by_id:
                    return  # what comes after it must not take its place in the order

    def _fail(self, step: Step, error: Exception) -> None:
        self._report.failed.add(told(error), named(step.version))
        self._failures += 1
        if self._failures >= MOST_IN_A_ROW:
            raise GaveUpError(f"{self._failures} failures in a row, the last one: {told(error)}")

    async def _take(self, step: Step) -> None:
        match step.act:
            case Act.COPY | Act.REPLACE:
                await self._copy(step)
            case Act.CHECK:
                await self._check(step)
            case Act.SKIP:
                self._report.equal += 1
            case Act.REFUSE:
                self._report.different.add("the target has another one in its place", named(step.version))
            case Act.LEAVE:
                self._report.different.add("only the target has it", named(step.version))
            case Act.DELETE:
                if not self._job.dry_run:
                    await self._target.delete(step.version)
                self._report.deleted += 1

    async def _copy(self, step: Step) -> None:
        report = self._report
        if self._job.dry_run:
            report.bytes += step.version.size
        else:
            whole = self._target.adapted(await self._source.whole(step.version))
            if whole.version.encryption is not None and self._source.is_store and not self._target.is_store:
                raise MovingError(
                    "it is encrypted, and only a server with the master keys can decrypt it: serve this store, and "
                    "copy from the server's address"
                )
            await self._bring(whole, step.there if step.act is Act.REPLACE else None)
        report.copied += 1
        report.replaced += step.act is Act.REPLACE

    async def _bring(self, whole: Whole, replaced: ObjectVersion | None) -> None:
        def read(part: Part) -> AsyncIterator[bytes]:
            return self._counted(self._source.read(whole, part))

        async with self._source.holding(whole):
            await self._target.put(whole, read, replaced)
        stored = await self._target.whole(whole.version)
        self._note_differences(whole, differences(whole, stored))

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self._report.bytes += len(piece)
            yield piece

    def _note_differences(self, whole: Whole, differing: Sequence[str]) -> None:
        where = named(whole.version)
        for what in dict.fromkeys((*whole.lost, *(one for one in differing if one in self._target.cannot_keep))):
            self._report.lost.add(what, where)
        for what in differing:
            if what not in self._target.cannot_keep:
                self._report.failed.add(f"the {what} in the target is not the source's", where)

    async def _check(self, step: Step) -> None:
        whole = await self._source.whole(step.version)
        differing = differences(whole, await self._target.whole(step.version))
        if not differing:
            self._report.equal += 1
        elif not self._overwrite:
            for what in differing:
                self._report.different.add(f"the {what} differs", named(step.version))
        elif (amend := self._target.amend) is not None and BYTES.isdisjoint(differing):
            if not self._job.dry_run:
                await amend(whole)
            self._report.amended += 1
        else:
            await self._copy(replace(step, act=Act.REPLACE))


async def _nothing() -> AsyncIterator[list[ObjectVersion]]:
    """The keys of a bucket that is not there yet."""
    nobody: list[list[ObjectVersion]] = []
    for versions in nobody:
        yield versions


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def named(version: ObjectVersion) -> str:
    """A version as people are told it."""
    id = version.version_id
    return version.key if id in ("", "null") else f"{version.key} (version {id})"


def told(error: Exception) -> str:
    """A failure in one line."""
    message = error.message if isinstance(error, S3Error) else str(error)
    return " ".join((message or type(error).__name__).split())
