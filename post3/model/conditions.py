"""If-Match and its friends: for reads, and as guards for writes.

Sources: RFC 9110, 13; https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from post3.errors import NoSuchKey, NotModified, PreconditionFailed
from post3.model.object import Guard, ObjectVersion, no_guard


def matches(etag: str, wanted: tuple[str, ...]) -> bool:
    """Whether an ETag is among the wanted, of which `*` is every one."""
    return "*" in wanted or etag in wanted


@dataclass(frozen=True, slots=True)
class ReadConditions:
    """What a reader demands of the version that it would get. Times count in whole seconds, as HTTP's do."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None

    def failed(self, etag: str, modified: datetime) -> str:
        """The name of the precondition that fails, empty when there is none; an ETag that matches outdoes a date."""
        modified = modified.replace(microsecond=0)
        if self.if_match:
            if not matches(etag, self.if_match):
                return "If-Match"
        elif self.if_unmodified_since and modified > self.if_unmodified_since:
            return "If-Unmodified-Since"
        if self.if_none_match:
            if matches(etag, self.if_none_match):
                return "If-None-Match"
        elif self.if_modified_since and modified <= self.if_modified_since:
            return "If-Modified-Since"
        return ""

    def check_read(self, etag: str, modified: datetime) -> None:
        """Raise PreconditionFailed, or NotModified where the reader has the newest."""
        failed = self.failed(etag, modified)
        if failed in ("If-None-Match", "If-Modified-Since"):
            raise NotModified(headers={"etag": f'"{etag}"'})
        if failed:
            raise PreconditionFailed(Condition=failed)

    def check_copy(self, etag: str, modified: datetime) -> None:
        """Raise PreconditionFailed for any condition of a copy's source that fails."""
        failed = self.failed(etag, modified)
        if failed:
            raise PreconditionFailed(Condition=f"x-amz-copy-source-{failed}")


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """What a writer demands of the key's current version, decided together with the write."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    size: int | None = None
    modified: datetime | None = None

    @property
    def judges_puts(self) -> bool:
        """Whether a put has any condition."""
        return bool(self.if_match or self.if_none_match)

    @property
    def for_put(self) -> Guard:
        """For a put, a copy or a completion: a key without a current object is absent."""
        return self._check_put if self.judges_puts else no_guard

    @property
    def for_delete(self) -> Guard:
        """For the delete of a key: a marker exists, and only `*` matches it. Raises NoSuchKey for an absent key."""
        return self._check_delete if self._judges_deletes else no_guard

    @property
    def for_version_delete(self) -> Guard:
        """For the delete of one version, which is judged in place of the current one."""
        return self._check_version_delete if self._judges_deletes else no_guard

    @property
    def _judges_deletes(self) -> bool:
        return bool(self.if_match) or self.size is not None or self.modified is not None

    def _check_put(self, current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        if current is not None and current.is_delete_marker:
            current = None
        if self.if_match:
            if current is None:
                raise NoSuchKey
            if not matches(current.etag, self.if_match):
                raise PreconditionFailed(Condition="If-Match")
        if self.if_none_match and current is not None and matches(current.etag, self.if_none_match):
            raise PreconditionFailed(Condition="If-None-Match")

    def _check_delete(self, current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        if current is None:
            # Nothing to delete: the caller answers as if it had been, and no marker comes of it.
            raise NoSuchKey
        self._judge(current)

    def _check_version_delete(self, _current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
        self._judge(replaced)

    def _judge(self, target: ObjectVersion | None) -> None:
        if target is None:
            return
        etag = None if target.is_delete_marker else target.etag
        if self.if_match and "*" not in self.if_match and etag not in self.if_match:
            raise PreconditionFailed(Condition="If-Match")
        if self.size is not None and (target.is_delete_marker or target.size != self.size):
            raise PreconditionFailed(Condition="x-amz-if-match-size")
        if self.modified is not None and target.modified.replace(microsecond=0) != self.modified.replace(microsecond=0):
            raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
