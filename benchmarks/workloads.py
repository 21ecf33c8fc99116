"""What is measured: each workload with its requests, how they are sent, and what must be true before and after.

Keys of puts are new in each round. What is read was put before, is in memory (no cache is dropped), and came back right
once.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final

from benchmarks.bodies import MIB, SMALL, body_of, spread
from benchmarks.client import Outcome, send_all
from benchmarks.database import Copying
from benchmarks.fill import list_bucket, list_key
from benchmarks.multipart import PART, PARTS, upload, upload_again_and_again
from benchmarks.peers import LISTS, PLAIN, TLS
from benchmarks.stores import (
    BUCKET,
    LISTED,
    Failure,
    Scale,
    Store,
    fill_listed,
    fill_read,
    listed_keys,
    read_keys,
)
from benchmarks.wrk import run_wrk

LARGE: Final = 64 * MIB
HUGE_KEY: Final = "huge/object"
PAGE: Final = 1_000
SHORT_PAGE: Final = 100
"""Of the lists of growing buckets with a delimiter."""
_PREFIX: Final = rb"<CommonPrefixes><Prefix>([^<]+)"

Prepare = Callable[[Store], None]
Load = Callable[[Store, int, float], Outcome]
"""What is measured: of a store, in a round, for so many seconds."""
Check = Callable[[Store, int], None]
Reference = Callable[[Copying, float, int], Outcome]


def _nothing(_store: Store) -> None:
    """Nothing is to be prepared."""


def _unchecked(_store: Store, _round: int) -> None:
    """Nothing is to be done around a round."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the table."""

    name: str
    load: Load
    unit: str = "req/s"
    amount: float = 1.0
    """Units of one request."""
    prepare: Prepare = _nothing
    before: Check = _unchecked
    """Before each round, unmeasured."""
    after: Check = _unchecked
    """After each round; raises Failure where what was measured was not done."""
    group: str = PLAIN
    writes: bool = False
    times: int = 1
    """How many times longer than others it is measured: large requests are few."""
    reference: Reference | None = None
    """What PostgreSQL itself does with the same bytes."""


def _cycled(connections: int, requests: Callable[[Store, int], list[bytes]], largest: int = 0) -> Load:
    """By wrk, over and over; with bodies of so many bytes."""

    def load(store: Store, number: int, seconds: float) -> Outcome:
        url = store.server.url
        steady = url.startswith("https:") and largest > SMALL
        return run_wrk(url, requests(store, number), connections, seconds, steady=steady)

    return load


def _puts(size: int, count: Callable[[Scale], int]) -> tuple[Callable[[Store, int], list[str]], Check]:
    """The keys of a round, and the look at two of them after it."""

    def keys(store: Store, number: int) -> list[str]:
        return [spread(f"put-{size}-{number}", one) for one in range(count(store.scale))]

    def after(store: Store, number: int) -> None:
        for key in keys(store, number)[1:3]:  # wrk takes the first request only to look at it
            store.holds(key, size)

    return keys, after


def _put(name: str, size: int, connections: int, count: Callable[[Scale], int], **more: object) -> Workload:
    keys, after = _puts(size, count)

    def requests(store: Store, number: int) -> list[bytes]:
        return [store.signer.put(f"/{BUCKET}/{key}", body_of(key, size)) for key in keys(store, number)]

    return replace(Workload(name, _cycled(connections, requests, size), after=after, writes=True), **more)  # type: ignore[arg-type]


def _get(name: str, size: int, connections: int, count: Callable[[Scale], int], **more: object) -> Workload:
    def keys(store: Store) -> list[str]:
        return [spread(f"get-{size}", one) for one in range(count(store.scale))]

    def prepare(store: Store) -> None:
        if store.once(name):
            store.put(keys(store), size, 2)
            for key in keys(store)[:2]:
                store.holds(key, size)

    def requests(store: Store, _number: int) -> list[bytes]:
        return [store.signer.get(f"/{BUCKET}/{key}") for key in keys(store)]

    return replace(Workload(name, _cycled(connections, requests), prepare=prepare), **more)  # type: ignore[arg-type]


def _small_gets(store: Store, _number: int) -> list[bytes]:
    return [store.signer.get(f"/{BUCKET}/{key}") for key in read_keys(store)]


def _mixed(store: Store, number: int) -> list[bytes]:
    """Seven gets to three puts of new keys, in no order."""
    gets = _small_gets(store, number)
    count = len(gets) * 3 // 7
    keys = [spread(f"mix-{number}", one) for one in range(count)]
    requests = gets + [store.signer.put(f"/{BUCKET}/{key}", body_of(key, SMALL)) for key in keys]
    random.Random(number).shuffle(requests)
    return requests


# Lists


def _page(store: Store, bucket: str, after: str, limit: int = PAGE, *, delimiter: bool = False) -> bytes:
    query = {"list-type": "2", "max-keys": str(limit), **({"delimiter": "/"} if delimiter else {})}
    return store.signer.request("GET", f"/{bucket}", {**query, **({"start-after": after} if after else {})})


def _check_page(store: Store, request: bytes, keys: int, prefixes: int) -> None:
    body = store.want(request).body
    found = len(re.findall(rb"<Key>", body)), len(re.findall(rb"<CommonPrefixes>", body))
    if found != (keys, prefixes):
        raise Failure(f"a page had {found[0]} keys and {found[1]} prefixes, not {keys} and {prefixes}")


def _pages(store: Store, _number: int = 0) -> list[bytes]:
    keys = listed_keys(store)
    return [_page(store, LISTED, keys[start - 1] if start else "") for start in range(0, len(keys), PAGE)]


def _list_prefixes(store: Store, _number: int, seconds: float) -> Outcome:
    """Whole lists: where a server needs several pages for one, its pages in turn, and the lists that they make."""
    tokens = ["", *store.server.tokens]
    outcome = run_wrk(store.server.url, [_prefixes(store, token) for token in tokens], 4, seconds)
    return replace(outcome, requests=outcome.requests // len(tokens))


def _prefixes(store: Store, token: str = "") -> bytes:
    query = {"list-type": "2", "max-keys": str(PAGE), "delimiter": "/"}
    return store.signer.request("GET", f"/{LISTED}", {**query, **({"continuation-token": token} if token else {})})


def _prepare_pages(store: Store) -> None:
    fill_listed(store)
    for request in _pages(store):
        _check_page(store, request, PAGE, 0)


def _prepare_prefixes(store: Store) -> None:
    fill_listed(store)
    if not store.once("prefixes"):
        return
    body = store.want(_prefixes(store)).body
    found = re.findall(_PREFIX, body)
    while (token := re.search(rb"<NextContinuationToken>([^<]+)", body)) and len(found) < 200:
        store.server.tokens.append(token[1].decode())
        body = store.want(_prefixes(store, token[1].decode())).body
        found += re.findall(_PREFIX, body)
    if len(found) != 200 or len(set(found)) != 200:
        raise Failure(f"a list had {len(found)} prefixes, {len(set(found))} of them different, not 200")


def list_name(count: int, *, middle: bool, delimiter: bool) -> str:
    """The row of a page of a bucket with so many keys."""
    kind = "prefixes" if delimiter else "keys"
    return f"list {kind}, {'middle' if middle else 'first'} page of {count:,}"


def _growing(count: int, *, middle: bool, delimiter: bool) -> Workload:
    limit = SHORT_PAGE if delimiter else PAGE
    after = list_key(count // 2 - 1) if middle else ""

    def requests(store: Store, _number: int = 0) -> list[bytes]:
        return [_page(store, list_bucket(count), after, limit, delimiter=delimiter)]

    def prepare(store: Store) -> None:
        left = (count // 2 if middle else count) // (10 if delimiter else 1)
        shown = min(limit, left)
        _check_page(store, requests(store)[0], 0 if delimiter else shown, shown if delimiter else 0)

    name = list_name(count, middle=middle, delimiter=delimiter)
    return Workload(name, _cycled(4, requests), prepare=prepare, group=LISTS)


# What wrk cannot do


def _head(store: Store, _number: int, seconds: float) -> Outcome:
    requests = [store.signer.request("HEAD", f"/{BUCKET}/{key}") for key in read_keys(store)]
    return send_all(store.server.url, cycle(requests), 16, seconds)


def _deleted(store: Store, number: int) -> list[str]:
    return [spread(f"delete-{number}", one) for one in range(store.scale.deleted)]


def _delete(store: Store, number: int, _seconds: float) -> Outcome:
    requests = [store.signer.request("DELETE", f"/{BUCKET}/{key}") for key in _deleted(store, number)]
    return send_all(store.server.url, requests, 16)


def _batched(store: Store, number: int) -> list[str]:
    return [spread(f"batch-{number}", one) for one in range(store.scale.batches * 1000)]


def _batches(store: Store, number: int) -> list[list[str]]:
    keys = _batched(store, number)
    return [keys[start : start + 1000] for start in range(0, len(keys), 1000)]


def _delete_objects(store: Store, number: int, _seconds: float) -> Outcome:
    requests = [store.signer.delete_objects(BUCKET, keys) for keys in _batches(store, number)]
    return send_all(store.server.url, requests, 1)


def _are_gone(keys: list[str], store: Store) -> None:
    for key in (keys[0], keys[-1]):
        store.want(store.signer.get(f"/{BUCKET}/{key}"), 404)


def _prepare_huge(store: Store) -> None:
    if store.once("huge"):
        upload(store, HUGE_KEY, store.scale.huge)
        store.want(_ranges(store)[0], 206)


def _ranges(store: Store, number: int = 0) -> list[bytes]:
    chosen, size = random.Random(number), store.scale.huge * PART
    starts = [chosen.randrange(size - MIB) for _ in range(256)]
    return [store.signer.get(f"/{BUCKET}/{HUGE_KEY}", (start, start + MIB)) for start in starts]


def _multipart(store: Store, _number: int, seconds: float) -> Outcome:
    return upload_again_and_again(store, "multipart/upload", seconds)


def _list(scale: Scale) -> list[Workload]:
    """The lists of growing buckets."""
    ways = [(middle, delimiter) for delimiter in (False, True) for middle in (False, True)]
    return [_growing(count, middle=middle, delimiter=delimiter) for count in scale.lists for middle, delimiter in ways]


def workloads(scale: Scale) -> list[Workload]:
    """All of them, in the order of the table."""
    put_small = _put("PUT 4 KiB", SMALL, 16, lambda scale: scale.written)
    get_small = Workload("GET 4 KiB", _cycled(16, _small_gets), prepare=fill_read)
    put_large = _put(
        "PUT 64 MiB", LARGE, 2, lambda scale: scale.large, unit="MiB/s", amount=64, times=2, reference=Copying.copy_in
    )
    get_large = _get(
        "GET 64 MiB", LARGE, 2, lambda scale: scale.large, unit="MiB/s", amount=64, reference=Copying.copy_out
    )
    main = [put_small, get_small, put_large, get_large]
    return [
        put_small,
        get_small,
        Workload("mix", _cycled(16, _mixed), prepare=fill_read, writes=True),
        Workload("HEAD", _head, prepare=fill_read),
        Workload(
            "DELETE",
            _delete,
            before=lambda store, number: store.put(_deleted(store, number), SMALL),
            after=lambda store, number: _are_gone(_deleted(store, number), store),
            writes=True,
        ),
        Workload(
            "DeleteObjects of 1,000",
            _delete_objects,
            unit="keys/s",
            amount=1000,
            before=lambda store, number: store.put(_batched(store, number), SMALL),
            after=lambda store, number: _are_gone(_batched(store, number), store),
            writes=True,
        ),
        Workload("list 1,000", _cycled(4, _pages), prepare=_prepare_pages),
        Workload("list 200 prefixes", _list_prefixes, prepare=_prepare_prefixes),
        _put("PUT 1 MiB", MIB, 4, lambda _scale: 64, unit="MiB/s"),
        _get("GET 1 MiB", MIB, 4, lambda _scale: 64, unit="MiB/s"),
        put_large,
        get_large,
        Workload(f"multipart, {PARTS} x 16 MiB", _multipart, unit="MiB/s", amount=PARTS * PART / MIB, writes=True),
        Workload("range of 1 MiB", _cycled(4, _ranges), unit="MiB/s", prepare=_prepare_huge),
        *(replace(one, name=f"{one.name}, TLS", group=TLS, reference=None, times=1) for one in main),
        *_list(scale),
    ]
