"""Build the sdist and the wheel, look what is in them, and let each install into an empty environment and serve.

Run as a script with a folder for its work; it prints what it does and fails with a sentence.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 30


def run(*command: str | Path) -> None:
    """Run a command, told first; its failure ends this script."""
    print("+", *command, flush=True)
    subprocess.run(list(map(str, command)), check=True)


def check_wheel(wheel: Path) -> None:
    """The compiled extensions, a stub, the SQL, the typing mark, pytest's plugin are in; no C, no Cython, no tests."""
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    sql = {str(path.relative_to(ROOT)) for path in (ROOT / "post3").rglob("*.sql")}
    wanted = {"post3/_chunker.pyi", "post3/py.typed", "post3/cli/server.py", *sql}
    assert wanted <= set(names), f"the wheel lacks {wanted - set(names)}"
    for extension in ("post3/_chunker.", "post3/storage/filesystem/_files."):
        assert any(name.startswith(extension) and name.endswith((".so", ".pyd")) for name in names), names
    wrong = [name for name in names if name.endswith((".c", ".h", ".pyx")) or not name.startswith("post3")]
    assert not wrong, f"the wheel should not hold {wrong}"
    (points,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "post3.testing.plugin" in archive.read(points).decode(), "pytest would not find the fixtures"


def check_sdist(sdist: Path) -> None:
    """What builds the wheel is in; nothing that was built."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "post3/_chunker.pyx",
        "post3/_digests.h",
        "post3/storage/filesystem/_files.h",
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "README.md",
    }
    assert wanted <= names, f"the sdist lacks {wanted - names}"
    wrong = [name for name in names if name.endswith((".so", ".c"))]
    assert not wrong, f"the sdist should not hold {wrong}"


def check_serves(package: Path, work: Path) -> None:
    """Install into an empty environment, start, put an object, get it back, stop."""
    home = work / f"venv-{package.suffix.strip('.')}"
    venv.create(home, with_pip=True, clear=True)
    run(home / "bin" / "pip", "install", "--quiet", package)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [home / "bin" / "post3", "serve", "--backend", "fs", "--data-dir", work / f"data-{package.suffix}"]
    environment = {**os.environ, "POST3_HOST": f"127.0.0.1:{port}", "PYTHONPATH": ""}
    server = subprocess.Popen(list(map(str, command)), env=environment, cwd=work)
    try:
        wait_for(port)
        for method, path, data in (
            ("PUT", "/bucket", b""),
            ("PUT", "/bucket/key", b"hello"),
            ("GET", "/bucket/key", b""),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            with contextlib.closing(connection):
                connection.request(method, path, data)
                body = connection.getresponse().read()
        assert body == b"hello", body
    finally:
        server.terminate()
        status = server.wait(SECONDS)
    assert status == 0, f"post3 serve ended with status {status}"
    print(f"{package.name} installs and serves")


def wait_for(port: int) -> None:
    """Wait until something listens on the port."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def main(work: Path) -> None:
    """Build, look, try."""
    work.mkdir(parents=True, exist_ok=True)
    dist = work / "dist"
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    for package in (wheel, sdist):
        check_serves(package, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
