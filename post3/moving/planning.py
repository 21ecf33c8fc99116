"""Planning: what is to be done with one key, given its versions on both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

from post3.model.object import ObjectVersion
from post3.moving.comparing import looks_copied, looks_same


class Act(Enum):
    """What is done with a version."""

    COPY = "copy"
    REPLACE = "replace"
    """Copy it over another one of the target."""
    CHECK = "check"
    """It seems to be there: compare the whole records."""
    SKIP = "skip"
    """It is there, as far as lists tell."""
    REFUSE = "refuse"
    """The target has something else in its place."""
    LEAVE = "leave"
    """Only the target has it."""
    DELETE = "delete"
    """Only the target has it, and it is to go."""


@dataclass(frozen=True, slots=True)
class Step:
    """An act on one version: the source's, or, where only the target has it, the target's."""

    act: Act
    version: ObjectVersion
    there: ObjectVersion | None = None
    """What the target has in its place."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a copy is asked to do with what it finds in the target."""

    overwrite: bool = False
    delete: bool = False
    check: bool = True
    """Whether whole records are compared of what seems to be there."""


def plan_by_id(source: Sequence[ObjectVersion], target: Sequence[ObjectVersion], wishes: Wishes) -> list[Step]:
    """The steps for one key where versions keep their ids; versions come oldest first, and so do the steps."""
    there = {version.version_id: version for version in target}
    steps = [_step_by_id(version, there.get(version.version_id), wishes) for version in source]
    wanted = {version.version_id for version in source}
    spare = [version for version in target if version.version_id not in wanted]
    return steps + [Step(Act.DELETE if wishes.delete else Act.LEAVE, version) for version in spare]


def _step_by_id(version: ObjectVersion, there: ObjectVersion | None, wishes: Wishes) -> Step:
    if there is None:
        return Step(Act.COPY, version)
    if looks_same(version, there):
        return Step(Act.CHECK if wishes.check else Act.SKIP, version, there)
    return Step(Act.REPLACE if wishes.overwrite else Act.REFUSE, version, there)


def plan_by_order(
    source: Sequence[ObjectVersion], target: Sequence[ObjectVersion], wishes: Wishes, *, versioned: bool
) -> list[Step]:
    """The steps for one key where the target numbers its versions itself: its history must be the source's beginning.

    Without versions a new object takes the place of the old one by itself.
    """
    same = 0
    while same < min(len(source), len(target)) and looks_copied(source[same], target[same]):
        same += 1
    steps = [Step(Act.SKIP, version, there) for version, there in zip(source[:same], target, strict=False)]
    missing, spare = source[same:], target[same:]
    if missing and spare and not wishes.overwrite:
        return [*steps, *(Step(Act.REFUSE, version, spare[0]) for version in missing)]
    if missing and spare:
        removed = [Step(Act.DELETE, version) for version in spare] if versioned else []
        return [*steps, *removed, *(Step(Act.REPLACE, version, spare[0]) for version in missing)]
    steps += [Step(Act.COPY, version) for version in missing]
    return steps + [Step(Act.DELETE if wishes.delete else Act.LEAVE, version) for version in spare]


@dataclass(frozen=True, slots=True)
class Key:
    """The versions of one key on both sides, oldest first; one side may have none."""

    source: Sequence[ObjectVersion]
    target: Sequence[ObjectVersion]


async def side_by_side(
    source: AsyncIterator[list[ObjectVersion]], target: AsyncIterator[list[ObjectVersion]]
) -> AsyncIterator[Key]:
    """The keys of both sides, merged; both come in the order of the keys' bytes."""
    ours, theirs = await anext(source, None), await anext(target, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours[0].key < theirs[0].key):
            yield Key(ours or [], [])
            ours = await anext(source, None)
        elif ours is None or theirs[0].key < ours[0].key:
            yield Key([], theirs)
            theirs = await anext(target, None)
        else:
            yield Key(ours, theirs)
            ours, theirs = await anext(source, None), await anext(target, None)
