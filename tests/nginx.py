"""nginx as `docs/nginx.conf` sets it up: that very file, with ports and paths of the tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.certificates import pem, split, trusting
from tests.rawhttp import Connection
from tests.servers import ROOT, Server, started

NAME = "s3.example.com"
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/post3.conf;
}}
"""


def nginx() -> str:
    """The program."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert found, "docs/nginx.conf is run with nginx, which is not installed: apt-get install nginx"
    return found


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def configuration(folder: Path, upstream: int, port: int) -> str:
    """The documented file with the test's ports and paths; fails when it no longer says what is replaced."""
    text = (ROOT / "docs" / "nginx.conf").read_text(encoding="utf-8")
    for documented, ours in (
        ("server 127.0.0.1:9000;", f"server 127.0.0.1:{upstream};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/tls/fullchain.pem", f"{folder}/cert.pem"),
        ("/etc/nginx/tls/privkey.pem", f"{folder}/key.pem"),
    ):
        assert text.count(documented) == 1, documented
        text = text.replace(documented, ours)
    return text


class Nginx:
    """A running one, in front of a server."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port, self.folder = port, folder

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def connect(self) -> Connection:
        return Connection(self.port, tls=trusting(pem()), name=NAME)


@contextmanager
def in_front_of(server: Server, folder: Path, pair: bytes | None = None) -> Iterator[Nginx]:
    """Run it there, its certificate and key this pair, else those of `pem`."""
    port = free_port()
    for name, content in zip(("cert.pem", "key.pem"), split(pair or pem()), strict=True):
        (folder / name).write_bytes(content)
    (folder / "post3.conf").write_text(configuration(folder, server.port, port))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    with started([nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf")], folder) as process:
        deadline = monotonic() + 20
        while not listens(port):
            assert process.poll() is None, process.complained()
            assert monotonic() < deadline, process.complained()
            sleep(0.05)
        yield Nginx(folder, port)
        assert process.poll() is None, process.complained()


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
