"""The composition root: settings to store to dispatcher to server. The one place that names a concrete store."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from post3.allocator import Heap, give_back_forever
from post3.auth.access import Admission
from post3.auth.authentication import Authenticator
from post3.config import ConfigError, Endpoint, Settings, check_reach
from post3.errors import S3Error
from post3.s3.gate import Gate
from post3.server import Answer, Certificate, TrustedProxies, build_sanic
from post3.storage.protocol import Backend
from post3.users.credentials import StoredCredentials
from post3.workers.buckets import make_buckets
from post3.workers.garbage import collect_forever

if TYPE_CHECKING:
    from sanic import Sanic

    from post3.auth.credentials import Credentials
    from post3.dispatch import Dispatcher
    from post3.storage.postgres.database import Database

    app: Sanic[Any, Any]


def create_backend(settings: Settings) -> Backend:
    """The store that the settings name, not yet open. Raises ConfigError."""
    # Imported late: a server needs one of them only.
    if settings.backend == "memory":
        from post3.storage.memory import MemoryBackend  # noqa: PLC0415

        return MemoryBackend()
    if settings.backend == "pg":
        return _create_postgres(settings)
    if settings.backend == "fs":
        if (settings.data_dir / "pg").exists():
            raise ConfigError(f"{settings.data_dir} holds a PostgreSQL store: say --backend pg, or another --data-dir.")
        from post3.storage.filesystem.backend import FilesystemBackend  # noqa: PLC0415

        return FilesystemBackend(
            settings.data_dir,
            durable=settings.durable,
            allow_network_disk=settings.allow_network_disk,
        )
    raise ConfigError(f"There is no store called {settings.backend!r}.")


def _create_postgres(settings: Settings) -> Backend:
    from post3.storage.postgres.backend import PostgresBackend  # noqa: PLC0415

    return PostgresBackend(
        create_database(settings),
        schema=settings.pg_schema,
        connections=settings.pg_connections,
        durable=settings.durable,
    )


def create_database(settings: Settings) -> Database:
    """The database of the PostgreSQL store that the settings name, not yet running. Raises ConfigError."""
    from post3.storage.postgres.database import RemoteDatabase  # noqa: PLC0415
    from post3.storage.postgres.embedded import EmbeddedDatabase  # noqa: PLC0415

    if settings.backend != "pg":
        raise ConfigError(f"--backend {settings.backend} has no database.")
    if settings.database_url is not None:
        return RemoteDatabase(settings.database_url)
    if (settings.data_dir / "format").exists():
        raise ConfigError(f"{settings.data_dir} holds a filesystem store: say --backend fs, or another --data-dir.")
    return EmbeddedDatabase(settings.data_dir, user=settings.pg_user, archive=settings.pg_archive)


@dataclass(frozen=True, slots=True)
class _Running:
    """What a process has under way for a server."""

    backend: Backend
    credentials: StoredCredentials
    dispatcher: Dispatcher
    tasks: tuple[asyncio.Task[None], ...]
    """The collector, and who gives memory back."""

    async def close(self) -> None:
        """End it in order: nobody uses the store when it is closed."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        await self.dispatcher.close()
        await self.credentials.close()
        await self.backend.close()


def create_app(settings: Settings | None = None, name: str = "post3") -> Sanic[Any, Any]:
    """A server, by default set from the environment. Applications in one process need names of their own.

    Each process that serves it opens a store for itself. Raises ConfigError for values that cannot be; whether they go
    together is seen when it starts.
    """
    chosen = settings or Settings.load()
    certificate = None if chosen.tls_cert is None else Certificate(chosen.tls_cert, chosen.tls_key)
    running: list[_Running] = []

    def check(host: str, port: int, workers: int) -> None:
        nonlocal chosen
        chosen = replace(chosen, endpoint=Endpoint(host, port), workers=workers)
        chosen.check()
        # Sanic starts its workers anew: they know of its command's address by the environment alone.
        os.environ["POST3_HOST"] = str(chosen.endpoint)
        # Opened once before any worker is: what is wrong with the store is told once, and in one line.
        asyncio.run(_open_once(chosen))

    async def start() -> Answer:
        from post3.dispatch import Dispatcher  # noqa: PLC0415  # declares all operations

        heap = Heap()
        heap.use_again()
        backend = create_backend(chosen)
        await backend.open()
        credentials = await _prepare(backend, chosen)
        app.ctx.who_may = who_may(chosen, credentials)
        dispatcher = Dispatcher(backend, _gate(chosen, credentials), chosen.read_master_keys())
        tasks = (
            asyncio.create_task(collect_forever(backend, chosen.gc_grace)),
            asyncio.create_task(give_back_forever(heap)),
        )
        running.append(_Running(backend, credentials, dispatcher, tasks))
        return dispatcher.handle

    async def finish() -> None:
        while running:
            await running.pop().close()

    app = build_sanic(
        name,
        start,
        finish,
        host=chosen.host,
        port=chosen.port,
        check=check,
        access_log=chosen.access_log,
        domains=chosen.domains,
        proxies=TrustedProxies(chosen.trusted_proxies),
        certificate=certificate,
    )
    return app


def _gate(settings: Settings, credentials: StoredCredentials) -> Gate:
    authenticator = Authenticator(
        credentials,
        sigv2_links=settings.sigv2_links,
        sigv2_headers=settings.sigv2_headers,
        names=settings.domains,
    )
    return Gate(credentials, authenticator, Admission(frozenset(settings.domains), any_host=settings.allow_anonymous))


async def _prepare(backend: Backend, settings: Settings) -> StoredCredentials:
    """Learn who there is, and make the buckets that are asked for; a store in which that fails is closed.

    Raises ConfigError and OSError.
    """
    credentials = StoredCredentials(backend, settings.root_key, settings.users)
    try:
        await credentials.open()
        check_reach(settings, not credentials.is_empty)
        await make_buckets(backend, settings.buckets)
    except BaseException as error:
        await backend.close()
        if isinstance(error, S3Error):
            raise OSError(error.message) from error
        raise
    return credentials


def who_may(settings: Settings, credentials: Credentials) -> str:
    """Whether anyone may read and write, as a sentence."""
    if not credentials.is_empty:
        return "Requests need a key."
    return f"Anyone {'who reaches it' if settings.allow_anonymous else 'on this machine'} may read and write."


async def _open_once(settings: Settings) -> None:
    backend = create_backend(settings)
    try:
        await backend.open()
        await _prepare(backend, settings)
    except OSError as error:
        raise ConfigError(str(error)) from error
    await backend.close()


def __getattr__(name: str) -> object:
    """The global `app` of `sanic post3.app`, made from the environment when it is first asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        globals()["app"] = made = create_app()
    except ConfigError as error:
        raise SystemExit(f"post3: {error}") from None  # Sanic's command would show a traceback, and end with 0
    return made
