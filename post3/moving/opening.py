"""Opening both sides of a copy, which people name as locations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from post3.moving.connection import Keys, connect
from post3.moving.endpoint import EndpointSource
from post3.moving.endpoint_target import EndpointTarget
from post3.moving.location import Location
from post3.moving.report import Report
from post3.moving.sides import MovingError, Source, Target
from post3.moving.store import StoreSide
from post3.storage.protocol import Backend
from post3.users.store import copy_users, list_users


@dataclass(frozen=True, slots=True)
class Place:
    """A location, and what opens it: a store that is made but not open, or keys for the endpoint."""

    location: Location
    backend: Callable[[], Backend]
    keys: Keys


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides, open."""

    source: Source
    target: Target

    async def bring_users(self, report: Report) -> None:
        """Copy users and keys, which stores have and endpoints do not show."""
        if isinstance(self.source, StoreSide) and isinstance(self.target, StoreSide):
            report.users, others = await copy_users(self.source.backend, self.target.backend)
            for user in others:
                report.different.add("the target has another user, key or address of this name", user)
        elif isinstance(self.source, StoreSide):
            for found in await list_users(self.source.backend):
                report.lost.add("users and keys", found.identity.id)


@asynccontextmanager
async def opened(source: Place, target: Place, connections: int) -> AsyncIterator[Sides]:
    """Both sides, open, and closed at the end. Raises MovingError for a side that does not open."""
    both_stores = source.location.is_store and target.location.is_store
    async with _source(source, connections) as from_, _target(target, connections, both_stores=both_stores) as to:
        yield Sides(from_, to)


@asynccontextmanager
async def _source(place: Place, connections: int) -> AsyncIterator[Source]:
    if place.location.is_store:
        async with _store(place) as backend:
            yield StoreSide(backend)
    else:
        yield EndpointSource(connect(place.location.place, place.keys, connections))


@asynccontextmanager
async def _target(place: Place, connections: int, *, both_stores: bool) -> AsyncIterator[Target]:
    if place.location.is_store:
        async with _store(place) as backend:
            users = None if both_stores else {user.identity.id for user in await list_users(backend)}
            yield StoreSide(backend, users)
    else:
        yield EndpointTarget(connect(place.location.place, place.keys, connections))


@asynccontextmanager
async def _store(place: Place) -> AsyncIterator[Backend]:
    backend = place.backend()
    try:
        await backend.open()
    except (OSError, ValueError) as error:
        raise MovingError(f"Cannot open the store {place.location}: {error}") from error
    try:
        yield backend
    finally:
        await backend.close()


def keys_from(environment: Mapping[str, str], side: str, profile: str | None) -> Keys:
    """What the variables say of one side, FROM or TO. Raises ValueError for half a key, or a key beside a profile."""
    names = ("ACCESS_KEY", "SECRET_KEY", "SESSION_TOKEN", "REGION")
    given = {name: environment.get(f"POST3_{side}_{name}", "") for name in names}
    if bool(given["ACCESS_KEY"]) != bool(given["SECRET_KEY"]):
        raise ValueError(f"POST3_{side}_ACCESS_KEY and POST3_{side}_SECRET_KEY go together: set both, or none.")
    if profile and given["ACCESS_KEY"]:
        raise ValueError(f"--{side.lower()}-profile and POST3_{side}_ACCESS_KEY both say who asks: leave one out.")
    return Keys(given["ACCESS_KEY"], given["SECRET_KEY"], given["SESSION_TOKEN"], profile or "", given["REGION"])
