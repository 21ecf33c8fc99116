"""Places: where a version that comes from another store may stand among those of its key."""

from __future__ import annotations

from collections.abc import Iterable

from post3.errors import InvalidArgument, OperationAborted
from post3.model.bucket import Bucket
from post3.model.names import is_version_id
from post3.model.object import NULL_VERSION, ObjectVersion


def check_place(bucket: Bucket, version: ObjectVersion, standing: Iterable[tuple[str, int]]) -> None:
    """Raise unless a version may be restored where it says, given id and sequence of those that stand there.

    InvalidArgument: the id is none of this store's, which begin with their sequence. OperationAborted: the place is
    taken.
    """
    check_named(bucket, version)
    for version_id, sequence in standing:
        is_same = version_id == version.version_id
        if sequence == version.sequence if not is_same else sequence > version.sequence:
            raise taken(version)


def check_named(bucket: Bucket, version: ObjectVersion) -> None:
    """Raise InvalidArgument for an id that the store could not have given to this version."""
    id = version.version_id
    if id == NULL_VERSION and version.sequence > 0:
        return
    if id != NULL_VERSION and bucket.versioning and is_version_id(id) and int(id[:16], 16) == version.sequence > 0:
        return
    raise InvalidArgument(
        f"A version cannot be restored under the id {id!r} and the sequence {version.sequence}.",
        ArgumentName="versionId",
        ArgumentValue=id,
    )


def taken(version: ObjectVersion) -> OperationAborted:
    """What is raised where another version stands in the place, or the same one has moved on."""
    return OperationAborted(
        f"The version {version.version_id} cannot be restored: another one stands in its place.", Key=version.key
    )
