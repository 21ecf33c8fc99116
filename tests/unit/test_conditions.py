"""If-Match and its friends, for reads, copies, puts and deletes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from post3.errors import NoSuchKey, NotModified, PreconditionFailed, S3Error
from post3.model.conditions import ReadConditions, WriteConditions, matches
from post3.model.object import Guard, ObjectVersion, no_guard

NOON = datetime(2026, 2, 3, 12, 0, 0, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
MODIFIED = NOON + timedelta(microseconds=500_000)
"""What HTTP shows as noon."""


def version(etag: str = "a", *, marker: bool = False) -> ObjectVersion:
    return ObjectVersion(
        bucket="bucket",
        key="key",
        version_id="v1",
        modified=MODIFIED,
        owner="owner",
        size=0 if marker else 5,
        etag="" if marker else etag,
        is_delete_marker=marker,
    )


def test_an_asterisk_matches_everything() -> None:
    assert matches("a", ("*",))
    assert matches("a", ("b", "a"))
    assert not matches("a", ("b",))
    assert not matches("a", ())


@pytest.mark.parametrize(
    "conditions",
    [
        ReadConditions(),
        ReadConditions(if_match=("a",)),
        ReadConditions(if_match=("*",)),
        ReadConditions(if_none_match=("b",)),
        ReadConditions(if_modified_since=BEFORE),
        ReadConditions(if_unmodified_since=AFTER),
        ReadConditions(if_unmodified_since=NOON),
        # an ETag that matches outdoes a date: RFC 9110, 13.2.2
        ReadConditions(if_match=("a",), if_unmodified_since=BEFORE),
        ReadConditions(if_none_match=("b",), if_modified_since=AFTER),
    ],
)
def test_a_read_goes_on(conditions: ReadConditions) -> None:
    assert conditions.failed("a", MODIFIED) == ""
    conditions.check_read("a", MODIFIED)
    conditions.check_copy("a", MODIFIED)


@pytest.mark.parametrize(
    ("conditions", "failed", "error"),
    [
        (ReadConditions(if_match=("b",)), "If-Match", PreconditionFailed),
        (ReadConditions(if_match=("",)), "If-Match", PreconditionFailed),
        (ReadConditions(if_match=("b",), if_unmodified_since=AFTER), "If-Match", PreconditionFailed),
        (ReadConditions(if_unmodified_since=BEFORE), "If-Unmodified-Since", PreconditionFailed),
        (ReadConditions(if_none_match=("a",)), "If-None-Match", NotModified),
        (ReadConditions(if_none_match=("*",)), "If-None-Match", NotModified),
        (ReadConditions(if_none_match=("a",), if_modified_since=BEFORE), "If-None-Match", NotModified),
        (ReadConditions(if_modified_since=NOON), "If-Modified-Since", NotModified),
        (ReadConditions(if_modified_since=AFTER), "If-Modified-Since", NotModified),
        (ReadConditions(if_match=("a",), if_none_match=("a",)), "If-None-Match", NotModified),
    ],
)
def test_a_read_stops(conditions: ReadConditions, failed: str, error: type[S3Error]) -> None:
    assert conditions.failed("a", MODIFIED) == failed
    with pytest.raises(error):
        conditions.check_read("a", MODIFIED)
    with pytest.raises(PreconditionFailed) as caught:
        conditions.check_copy("a", MODIFIED)
    assert caught.value.details == {"Condition": f"x-amz-copy-source-{failed}"}


def test_who_has_the_newest_is_told_its_etag() -> None:
    with pytest.raises(NotModified) as caught:
        ReadConditions(if_none_match=("a",)).check_read("a", MODIFIED)
    assert caught.value.headers == {"etag": '"a"'}


def refused(guard: Guard, current: ObjectVersion | None, replaced: ObjectVersion | None = None) -> str:
    """The code of the error by which the guard refuses, empty when it does not."""
    try:
        guard(current, replaced)
    except S3Error as error:
        return error.code
    return ""


IF_MATCH = WriteConditions(if_match=("a",))
IF_ANY = WriteConditions(if_match=("*",))
IF_NONE = WriteConditions(if_none_match=("*",))
IF_NOT = WriteConditions(if_none_match=("a",))


@pytest.mark.parametrize(
    ("conditions", "current", "code"),
    [
        (IF_MATCH, version("a"), ""),
        (IF_MATCH, version("b"), "PreconditionFailed"),
        (IF_MATCH, None, "NoSuchKey"),
        (IF_MATCH, version(marker=True), "NoSuchKey"),
        (IF_ANY, version("a"), ""),
        (IF_ANY, None, "NoSuchKey"),
        (IF_NONE, None, ""),
        (IF_NONE, version(marker=True), ""),
        (IF_NONE, version("a"), "PreconditionFailed"),
        (IF_NOT, version("b"), ""),
        (IF_NOT, version("a"), "PreconditionFailed"),
        (IF_NOT, None, ""),
    ],
)
def test_a_put_is_judged_by_the_current_object(
    conditions: WriteConditions, current: ObjectVersion | None, code: str
) -> None:
    assert refused(conditions.for_put, current) == code


def test_only_the_current_version_counts_for_a_put() -> None:
    assert refused(IF_MATCH.for_put, version("b"), version("a")) == "PreconditionFailed"
    assert refused(IF_MATCH.for_put, version("a"), version("b")) == ""


def test_an_absent_key_is_named_as_such() -> None:
    with pytest.raises(NoSuchKey):
        IF_MATCH.for_put(None, None)


def test_nothing_is_judged_when_nothing_is_asked() -> None:
    nothing = WriteConditions()
    assert nothing.for_put is no_guard
    assert nothing.for_delete is no_guard
    assert nothing.for_version_delete is no_guard
    # Only what stands for a delete judges one, and only what stands for a put judges that.
    assert IF_NONE.for_delete is no_guard
    assert WriteConditions(size=5, modified=NOON).for_put is no_guard


DELETES = [
    (IF_MATCH, version("a"), ""),
    (IF_MATCH, version("b"), "PreconditionFailed"),
    (IF_MATCH, None, ""),
    (IF_MATCH, version(marker=True), "PreconditionFailed"),
    (IF_ANY, version(marker=True), ""),
    (WriteConditions(size=5), version(), ""),
    (WriteConditions(size=6), version(), "PreconditionFailed"),
    (WriteConditions(size=0), version(marker=True), "PreconditionFailed"),
    (WriteConditions(size=6), None, ""),
    (WriteConditions(modified=NOON), version(), ""),
    (WriteConditions(modified=MODIFIED), version(), ""),
    (WriteConditions(modified=AFTER), version(), "PreconditionFailed"),
    (WriteConditions(if_match=("a",), size=5, modified=NOON), version("a"), ""),
    (WriteConditions(if_match=("a",), size=5, modified=BEFORE), version("a"), "PreconditionFailed"),
]


@pytest.mark.parametrize(("conditions", "target", "code"), DELETES)
def test_a_delete_is_judged_by_the_current_version(
    conditions: WriteConditions, target: ObjectVersion | None, code: str
) -> None:
    """s3-tests: test_delete_object_if_match and its kin; what is absent is told apart, as no marker comes of it."""
    assert refused(conditions.for_delete, target) == (code if target is not None else "NoSuchKey")
    assert refused(conditions.for_delete, None, version("other")) == "NoSuchKey"


@pytest.mark.parametrize(("conditions", "target", "code"), DELETES)
def test_the_delete_of_a_version_is_judged_by_that_version(
    conditions: WriteConditions, target: ObjectVersion | None, code: str
) -> None:
    assert refused(conditions.for_version_delete, version("other"), target) == code
