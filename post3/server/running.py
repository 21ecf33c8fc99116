"""A server's life on a socket: open, ready, stopping, gone.

Sanic's own runner is not used: a signal that comes early is lost in it, and its manager of workers may wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import socket
from typing import Any, Final

from sanic import Sanic
from sanic.exceptions import ServiceUnavailable
from sanic.http import Stage

BACKLOG: Final = 1024


async def serve(app: Sanic[Any, Any], sock: socket, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve on a bound socket until `stop` is set; then finish what is in flight, within the application's patience.

    Raises what the application's `start` raises.
    """
    server: Any = await app.create_server(
        sock=sock,
        backlog=BACKLOG,
        protocol=app.ctx.edge.protocol,
        return_asyncio_server=True,
        asyncio_server_kwargs={"start_serving": False},
    )
    await server.startup()
    await server.before_start()
    try:
        if not stop.is_set():
            await server.start_serving()
            await server.after_start()
            ready()
            await stop.wait()
        await server.before_stop()
        server.close()
        await _finish_connections(server.connections, app.config.GRACEFUL_SHUTDOWN_TIMEOUT)
    finally:
        await server.after_stop()


async def _finish_connections(connections: set[Any], patience: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    for connection in list(connections):
        if not connection.close_if_idle() and connection.http.stage is Stage.REQUEST:
            # Half a head is not in flight yet. This is how Sanic itself ends what takes too long.
            connection.http.exception = ServiceUnavailable()
            connection._task.cancel()
    while connections and loop.time() < deadline:  # noqa: ASYNC110  # Sanic keeps a plain set
        await asyncio.sleep(0.01)
    for connection in list(connections):
        connection.abort()
