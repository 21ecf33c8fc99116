"""The clients: how each is installed into a cache, and the command that goes the round with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parent.parent / ".tox" / "cache-of-clients"


class Missing(Exception):
    """A tool that this machine lacks, or that failed; the message is one sentence."""


def boto3_current() -> list[str]:
    """The boto3 of this interpreter."""
    return [sys.executable, "-m", "tests.clients.with_boto3"]


def boto3_1_35() -> list[str]:
    """The last boto3 that sends no checksums of its own accord."""
    return [_python_with("boto3>=1.35,<1.36"), "-m", "tests.clients.with_boto3"]


def minio() -> list[str]:
    """MinIO's Python client."""
    return [_python_with("minio>=7.2,<8"), "-m", "tests.clients.with_minio"]


def aws_cli() -> list[str]:
    """The AWS CLI of this interpreter."""
    return [tool("bash"), str(HERE / "with_awscli.sh")]


def javascript() -> list[str]:
    """The AWS SDK for JavaScript v3, the newest that package.json takes."""
    folder = CACHE / "javascript"
    shutil.copytree(HERE / "javascript", folder, dirs_exist_ok=True)
    _install([tool("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund"], folder)
    return [tool("node"), str(folder / "round.mjs")]


def go() -> list[str]:
    """The AWS SDK for Go v2, in the versions of go.mod."""
    program = CACHE / "go" / "round"
    _install([tool("go"), "build", "-o", str(program), "."], HERE / "go")
    return [str(program)]


CLIENTS: Final[dict[str, Callable[[], list[str]]]] = {
    "boto3": boto3_current,
    "boto3-1.35": boto3_1_35,
    "aws-cli": aws_cli,
    "javascript": javascript,
    "go": go,
    "minio": minio,
}


def tool(name: str) -> str:
    """Where a program is. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed, or not on PATH.")
    return found


def _python_with(requirement: str) -> str:
    """The interpreter of a virtual environment that has this package."""
    home = CACHE / requirement.partition(",")[0].replace(">=", "-")
    python = home / "bin" / "python"
    if not (home / "bin" / "pip").exists():
        venv.create(home, with_pip=True)
    _install([str(python), "-m", "pip", "install", "--quiet", "--upgrade", requirement], CACHE)
    return str(python)


def _install(command: list[str], folder: Path) -> None:
    """Run a package manager there, its downloads in the cache. Raises Missing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    caches = {"GOMODCACHE": "go/modules", "GOCACHE": "go/build", "npm_config_cache": "npm", "PIP_CACHE_DIR": "pip"}
    env = {**os.environ, **{name: str(CACHE / place) for name, place in caches.items()}}
    env["GOFLAGS"] = f"{env.get('GOFLAGS', '')} -modcacherw".strip()  # so that rm -r can remove it
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")
