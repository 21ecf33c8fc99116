"""When a request says that it was made, and whether that is now.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html (request time),
https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html (time stamp requirement)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from post3.errors import AccessDenied, RequestTimeTooSkewed

MAX_SKEW: Final = timedelta(minutes=15)

_BASIC: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def required_time(headers: Mapping[str, str]) -> tuple[str, datetime]:
    """What x-amz-date says, or else Date, as text and in UTC. Raises AccessDenied for none, or before 1970.

    s3-tests: test_object_create_bad_date_empty_aws2, test_object_create_bad_date_before_epoch_aws2
    """
    text = headers.get("x-amz-date")
    if text is None:
        text = headers.get("date", "")
    moment = parse_time(text)
    if moment is None or moment < _EPOCH:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    return text, moment


@lru_cache(maxsize=256)
def parse_time(text: str) -> datetime | None:
    """The moment that `20261122T171100Z` or an HTTP date means, in UTC; None for what is neither."""
    try:
        if is_basic(text):
            return datetime.fromisoformat(text)
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def is_basic(text: str) -> bool:
    """Whether a time is written as signatures of version 4 write it."""
    return _BASIC.fullmatch(text) is not None


def basic(moment: datetime) -> str:
    """The moment as signatures of version 4 write it: `20261122T171100Z`."""
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


def extended(moment: datetime) -> str:
    """The moment as S3's errors write it: `2026-11-22T17:11:00Z`."""
    return f"{moment.year:04}{moment:-%m-%dT%H:%M:%SZ}"


def check_skew(text: str, moment: datetime, now: datetime) -> None:
    """Raise RequestTimeTooSkewed, with how far and which way, for a request of more than 15 minutes ago or ahead."""
    skew = now - moment
    if abs(skew) <= MAX_SKEW:
        return
    way = "behind" if skew > timedelta(0) else "ahead of"
    raise RequestTimeTooSkewed(
        f"{RequestTimeTooSkewed.__doc__} The request was dated {abs(skew) // timedelta(seconds=1)} seconds {way} the "
        "server's clock.",
        RequestTime=text,
        ServerTime=extended(now),
        MaxAllowedSkewMilliseconds=MAX_SKEW // timedelta(milliseconds=1),
    )
