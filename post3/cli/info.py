"""The command that tells what a store holds, and of which version all is: `post3 info`."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import click

from post3._version import __version__
from post3.cli.commands import Command, with_settings
from post3.cli.server import store_name
from post3.cli.sizes import human_size
from post3.cli.store import STORE_OPTIONS, load_settings, with_store
from post3.config import ConfigError, Settings
from post3.errors import NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, K, Listed, ListQuery, Page
from post3.model.upload import Upload
from post3.storage.protocol import Backend

PAGE: Final = 1000


@dataclass(slots=True)
class Held:
    """What a store holds, as far as it was counted."""

    buckets: int = 0
    objects: int = 0
    """Keys that a reader sees."""
    versions: int = 0
    """All versions, without delete markers."""
    markers: int = 0
    bytes: int = 0
    """Of all versions, as they were put."""
    uploads: int = 0
    """Multipart uploads under way."""


@click.command("info", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="print one JSON document instead of text for people")
@with_settings(STORE_OPTIONS)
def info(given: Mapping[str, str], as_json: bool) -> None:
    """Tell what a store holds, and the versions of post3, Python, PostgreSQL and of the store's format.

    It walks through all records to count them, and says on standard error how far it is.
    """
    _check_exists(load_settings(given))

    async def tell(backend: Backend, settings: Settings) -> None:
        about = await backend.about()
        held = await _count(backend)
        document = {
            "store": store_name(settings),
            "format": about.layout,
            **asdict(held),
            "garbage": about.garbage,
            "post3": __version__,
            "python": platform.python_version(),
            "postgresql": about.postgresql,
        }
        print(json.dumps(document, indent=2) if as_json else _text(document))

    with_store(given, tell)


def _check_exists(settings: Settings) -> None:
    """Raise ConfigError where opening would make a store."""
    mark = "pg" if settings.backend == "pg" else "format"
    if settings.database_url is None and not (settings.data_dir / mark).exists():
        raise ConfigError(f"There is no such store in {settings.data_dir}: say --data-dir, or --backend.")


def _text(document: Mapping[str, object]) -> str:
    rows = {
        name: human_size(value) if name == "bytes" and isinstance(value, int) else value
        for name, value in document.items()
        if value is not None
    }
    return "\n".join(f"{name + ':':<12}{value}" for name, value in rows.items())


async def _count(backend: Backend) -> Held:
    held, after = Held(), ""
    while page := await backend.list_buckets(after=after, limit=PAGE):
        for bucket in page:
            held.buckets += 1
            async for version in _versions(backend, bucket):
                _add(held, version)
            async for _ in _uploads(backend, bucket):
                held.uploads += 1
        after = page[-1].name
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return held


def _add(held: Held, version: Listed) -> None:
    if version.is_delete_marker:
        held.markers += 1
        return
    held.versions += 1
    held.objects += bool(version.is_latest)
    held.bytes += version.size
    if held.versions % PAGE == 0 and sys.stderr.isatty():
        print(f"\r  {held.versions} versions so far", end="", file=sys.stderr, flush=True)


async def _walk(
    backend: Backend,
    bucket: Bucket,
    pages: Callable[[Bucket, ListQuery], Awaitable[Page[K]]],
    query: ListQuery,
    following: Callable[[K], dict[str, Any]],
) -> AsyncIterator[K]:
    """All entries of a bucket, also when it changes meanwhile."""
    truncated = True
    while truncated:
        try:
            page = await pages(bucket, query)
        except StaleBucket:
            bucket = await backend.get_bucket(bucket.name)
            continue
        except NoSuchBucket:
            return
        for entry in page.entries:
            if not isinstance(entry, CommonPrefix):
                query = replace(query, **following(entry))
                yield entry
        truncated = page.truncated


def _versions(backend: Backend, bucket: Bucket) -> AsyncIterator[Listed]:
    query = ListQuery(all_versions=True, limit=PAGE)
    return _walk(
        backend, bucket, backend.list_versions, query, lambda last: {"after": last.key, "after_sequence": last.sequence}
    )


def _uploads(backend: Backend, bucket: Bucket) -> AsyncIterator[Upload]:
    query = ListQuery(limit=PAGE)
    return _walk(
        backend, bucket, backend.list_uploads, query, lambda last: {"after": last.key, "after_id": last.upload_id}
    )
