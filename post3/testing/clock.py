"""A server's time as a test wants it: ahead, behind, or standing still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, NamedTuple

from post3.model.clock import system_clock

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Time(NamedTuple):
    """How the clock goes."""

    ahead: timedelta = timedelta()
    """Of the system's."""
    frozen: datetime | None = None
    """Where it stands, if it does."""

    def now(self) -> datetime:
        return system_clock() + self.ahead if self.frozen is None else self.frozen


class SettableClock:
    """What a server takes as now: the dates of what it stores, and when links, forms and policies begin and end.

    It goes with the system's until it is set. May be used from any thread.
    """

    checks_requests: bool = False
    """Whether the time in the header of a signed request is held against this clock too, as on AWS; else against the
    system's, by which clients sign, so that these go on working whatever this clock shows.
    """

    def __init__(self) -> None:
        self._time = _Time()  # replaced as a whole: no lock is needed

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._time.now()

    def set(self, moment: datetime) -> Restores:
        """Show this moment now, and go on from there, or stand there if the clock is frozen.

        Raises ValueError for one without a time zone, or before 1970.
        """
        moment = _parse(moment)
        frozen = self._time.frozen is not None
        return self._become(_Time(frozen=moment) if frozen else _Time(ahead=moment - system_clock()))

    def advance(self, by: timedelta | None = None, /, **parts: float) -> Restores:
        """Go ahead by a timedelta, or by its parts: `advance(days=1, minutes=5)`; a frozen clock stays frozen.

        Raises ValueError for a moment before 1970 or after 9999, TypeError for other parts than timedelta's.
        """
        by = (by or timedelta()) + timedelta(**parts)
        ahead, frozen = self._time
        try:
            _parse(self.now() + by)
        except OverflowError:
            raise ValueError(f"The clock cannot advance by {by}: there is no such date.") from None
        return self._become(_Time(ahead + by) if frozen is None else _Time(ahead, frozen + by))

    def freeze(self, moment: datetime | None = None) -> Restores:
        """Stand still, at this moment or now. Raises ValueError as `set` does."""
        return self._become(_Time(frozen=self.now() if moment is None else _parse(moment)))

    def reset(self) -> None:
        """Go with the system's clock again."""
        self._time = _Time()
        self.checks_requests = False

    def _become(self, time: _Time) -> Restores:
        before, self._time = self._time, time
        return Restores(self, before)


class Restores:
    """What `with` may be said of: at its end the clock goes as it went before."""

    def __init__(self, clock: SettableClock, before: _Time) -> None:
        self._clock = clock
        self._before = before

    def __enter__(self) -> None:
        """The clock is changed already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clock._time = self._before


def _parse(moment: datetime) -> datetime:
    """The moment in UTC. Raises ValueError."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment!r} has no time zone; say datetime(…, tzinfo=UTC).")
    moment = moment.astimezone(UTC)
    if moment < EARLIEST:
        raise ValueError(f"The clock cannot show {moment}: S3's times begin with 1970.")
    return moment
