"""The layer of TLS by itself: what its protocol hears, and what becomes of clients that do not shake hands."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from post3.server.certificate import load_context
from post3.server.tls import TlsConnection
from tests.certificates import pem, trusting

HELLO = b"hello" * 100_000


class Above(asyncio.Protocol):
    """Writes down what it hears, and answers every `?` with a long hello."""

    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append("made")
        assert isinstance(transport, TlsConnection)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard.append(f"{len(data)} bytes")
        if data == b"?":
            self.transport.write(HELLO)
        elif data == b".":
            self.transport.write_eof()
        elif data.endswith(b"!"):
            self.transport.write(HELLO)
            self.transport.close()

    def eof_received(self) -> None:
        self.heard.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("lost")


Listening = tuple[int, list[str]]


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[Listening]:
    """The port of a server, and what its protocols heard."""
    (tmp_path / "both.pem").write_bytes(pem())
    context = load_context(tmp_path / "both.pem", tmp_path / "both.pem")
    heard: list[str] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: TlsConnection(context, Above(heard)), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1], heard
    server.close()
    await asyncio.sleep(0.05)


async def open_tls(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=trusting(pem()), server_hostname="localhost")


async def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What comes until the other side has closed."""
    async with asyncio.timeout(10):
        rest = await reader.read()
    writer.close()
    return rest


async def test_what_is_sent_is_heard_and_what_is_written_arrives(listening: Listening) -> None:
    port, heard = listening
    reader, writer = await open_tls(port)
    for _ in range(3):
        writer.write(b"?")
        assert await reader.readexactly(len(HELLO)) == HELLO
    writer.write(b"x" * 1_000_000 + b"x")
    await writer.drain()
    writer.write(b"!")
    assert (await closed(reader, writer)).endswith(HELLO[-10:])
    await asyncio.sleep(0.05)

    assert (heard[0], heard[-1], heard.count("made"), heard.count("lost")) == ("made", "lost", 1, 1)
    assert sum(int(line.split()[0]) for line in heard if "bytes" in line) == 1_000_005


class ByHand:
    """A client whose records can be touched on their way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting(pem()).wrap_bio(self._incoming, self.outgoing, server_hostname="localhost")

    async def turn(self) -> None:
        """Send what there is, take what comes."""
        self.writer.write(self.outgoing.read())
        async with asyncio.timeout(10):
            self._incoming.write(await self._reader.read(65_536))

    async def shake_hands(self) -> None:
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.turn()

    async def read(self) -> bytes:
        while True:
            try:
                return self.tls.read(10)
            except ssl.SSLWantReadError:
                await self.turn()


async def test_one_direction_can_be_closed_alone(listening: Listening) -> None:
    port, heard = listening
    client = ByHand(*await asyncio.open_connection("127.0.0.1", port))
    await client.shake_hands()
    client.tls.write(b".")
    assert await client.read() == b""  # TLS' own farewell
    client.tls.write(b"still here")
    client.writer.write(client.outgoing.read())
    await asyncio.sleep(0.1)

    assert heard == ["made", "1 bytes", "10 bytes"]
    client.writer.close()


async def test_bytes_that_were_changed_on_their_way_are_never_heard(listening: Listening) -> None:
    port, heard = listening
    client = ByHand(*await asyncio.open_connection("127.0.0.1", port))
    await client.shake_hands()
    client.tls.write(b"x" * 100)
    record = client.outgoing.read()
    client.writer.write(record[:-20] + bytes([record[-20] ^ 1]) + record[-19:])
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        await client.read()
    await asyncio.sleep(0.1)

    assert heard == ["made", "lost"]
    client.writer.close()


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_client_s_end_is_heard(listening: Listening, goodbye: bool) -> None:
    port, heard = listening
    _, writer = await open_tls(port)
    writer.write(b"x")
    await asyncio.sleep(0.05)
    if goodbye:
        writer.close()
    else:
        writer.transport.abort()
    await asyncio.sleep(0.1)

    assert heard in (["made", "1 bytes", "eof", "lost"], ["made", "1 bytes", "lost"])


async def test_a_client_that_never_shakes_hands_is_cut_and_never_heard_of(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("post3.server.tls.HANDSHAKE_TIME", 0.1)
    port, heard = listening
    for sent in (b"", b"\x16\x03\x01\x02"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert await closed(reader, writer) == b""

    assert heard == []


async def test_what_is_no_tls_ends_the_connection(listening: Listening) -> None:
    port, heard = listening
    for sent, told in ((b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"), (b"SSH-2.0-x\r\n", b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert (await closed(reader, writer)).startswith(told)

    assert heard == []
