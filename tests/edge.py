"""A server whose answers are made up, to see what the edge does with them: `python -m tests.edge`.

The path says what to do, the query how much of it. `/told` tells what was seen of the requests before.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from post3.errors import AccessDenied, NoSuchKey
from post3.s3.message import Request, Response
from post3.server import Certificate, TrustedProxies, build_sanic, serve, wire

SEEN: Counter[str] = Counter()
TEXT = {"content-type": "text/plain"}


async def read(request: Request) -> Response:
    """Read the body, tell its size."""
    size = 0
    try:
        async for piece in request.body:
            size += len(piece)
            SEEN["read"] += len(piece)
    except asyncio.CancelledError:
        SEEN["cancelled"] += 1
        raise
    return Response(200, dict(TEXT), str(size).encode())


async def digest(request: Request) -> Response:
    """Read the body, tell its SHA-256."""
    sha = hashlib.sha256()
    async for piece in request.body:
        sha.update(piece)
    return Response(200, dict(TEXT), sha.hexdigest().encode())


async def echo(request: Request) -> Response:
    """Tell what arrived."""
    told = {
        "method": request.method,
        "path": request.path,
        "bucket": request.address.bucket,
        "key": request.address.key,
        "query": dict(request.query),
        "valueless": sorted(request.valueless),
        "headers": dict(request.headers),
        "raw_query": request.raw_query,
        "remote": request.remote,
        "is_secure": request.is_secure,
        "host_bucket": request.host_bucket,
    }
    return Response(200, {"content-type": "application/json"}, json.dumps(told).encode())


async def refuse(request: Request) -> Response:
    """Refuse without a look at the body."""
    raise AccessDenied


async def peek(request: Request) -> Response:
    """Read a little of the body."""
    await anext(request.body)
    return Response(200, dict(TEXT), b"seen")


async def fail(request: Request) -> Response:
    """A mistake of ours."""
    raise ZeroDivisionError("a mistake")


async def status(request: Request) -> Response:
    """An answer of this status with headers and a body that may not fit it."""
    return Response(
        int(request.query["is"]), {"content-type": "text/plain", "content-length": "5", "etag": '"e"'}, b"12345"
    )


async def header(request: Request) -> Response:
    """An answer with a header whose value the query names."""
    return Response(200, {"content-type": "text/plain", "x-told": request.query["is"]}, b"")


async def wait(request: Request) -> Response:
    """Take some time, as a long commit does."""
    try:
        await asyncio.sleep(float(request.query["seconds"]))
    except asyncio.CancelledError:
        SEEN["cancelled"] += 1
        raise
    return Response(200, dict(TEXT), b"done")


async def stream(request: Request) -> Response:
    """Pieces: `pieces` of them of `size` bytes, failing before number `fails`; announced as `length`, if at all."""
    query = request.query
    headers = dict(TEXT)
    if "length" in query:
        headers["content-length"] = query["length"]
    if "page" in query:
        headers["access-control-allow-origin"] = query["page"]
    fails = int(query["fails"]) if "fails" in query else -1
    error = NoSuchKey() if "s3" in query else ZeroDivisionError("a mistake")
    return Response(200, headers, pieces(int(query.get("pieces", 1)), int(query.get("size", 10)), fails, error))


async def pieces(number: int, size: int, fails: int, error: Exception) -> AsyncIterator[bytes]:
    """The stream's pieces; whether it was closed is told."""
    piece = b"x" * size
    try:
        for count in range(number):
            if count == fails:
                raise error
            SEEN["pieces"] += 1
            yield piece
    finally:
        SEEN["closed"] += 1


async def told(request: Request) -> Response:
    """What was seen since it was last told."""
    seen = dict(SEEN)
    SEEN.clear()
    return Response(200, {"content-type": "application/json"}, json.dumps(seen).encode())


ANSWERS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    answer.__name__: answer for answer in (read, digest, echo, refuse, peek, fail, status, header, wait, stream, told)
}


async def answer(request: Request) -> Response:
    """As the path's first part says; whatever else is echoed."""
    response = await ANSWERS.get(request.address.bucket, echo)(request)
    response.headers["x-amz-request-id"] = request.id
    return response


async def start() -> Callable[[Request], Awaitable[Response]]:
    """Nothing to open."""
    return answer


async def finish() -> None:
    """Nothing to close, but it is told."""
    print("finished", flush=True)


async def main() -> None:
    """Serve until SIGTERM."""
    if "STALL" in os.environ:
        wire.STALL = float(os.environ["STALL"])  # type: ignore[misc]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    certificate = Certificate(Path(os.environ["CERT"])) if "CERT" in os.environ else None
    app = build_sanic(
        "edge",
        start,
        finish,
        access_log="ACCESS_LOG" in os.environ,
        domains=("example.com", "s3.example.com", "localhost"),
        proxies=TrustedProxies(map(ipaddress.ip_network, os.environ.get("PROXIES", "").split())),
        certificate=certificate,
    )
    for name in ("GRACEFUL_SHUTDOWN_TIMEOUT", "GRACEFUL_TCP_CLOSE_TIMEOUT", "KEEP_ALIVE_TIMEOUT", "REQUEST_TIMEOUT"):
        if name in os.environ:
            app.config[name] = float(os.environ[name])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"{'https' if certificate else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        await serve(app, listening, stop, lambda: print(f"ready at {url}", flush=True))


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
