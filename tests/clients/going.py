"""One client goes the round by one way."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.clients.steps import KEYS, STEPS
from tests.clients.ways import Way
from tests.servers import environment

OK: Final = "ok"
NONE: Final = "\u2013"
"""A dash: the client has nothing for the step."""
TIME: Final = 600.0
"""Seconds for one round."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a round."""

    version: str
    """The client's."""
    steps: Mapping[str, str]
    """`ok`, or NONE where the client has nothing for it, for all steps that were gone."""
    failure: str = ""
    """The step that failed and why; empty when all is well."""


def go_round(command: list[str], way: Way) -> Outcome:
    """What comes of a round with this command."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_files(work, way.style)
        try:
            done = subprocess.run(
                command,
                cwd=work,
                env=environment_of(work, way),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=TIME,
            )
        except subprocess.TimeoutExpired as late:
            return Outcome("", {}, f"not done after {TIME:.0f} s: {str(late.stdout)[-300:]}")
    return outcome_of(done.returncode, done.stdout.splitlines())


def outcome_of(status: int, lines: list[str]) -> Outcome:
    """What a program's exit status and output say; all steps must have been told of."""
    told = [line.partition(" ") for line in lines]
    version = "".join(rest for word, _, rest in told if word == "version")
    steps = {rest: OK if word == "ok" else NONE for word, _, rest in told if word in {"ok", "none"} and rest in STEPS}
    if status == 0 and version and tuple(steps) == STEPS:
        return Outcome(version, steps)
    failed = [line for line in lines if line.startswith("failed ")]
    failure = failed[0] if failed else f"exit status {status} after {list(steps)[-1:]}: {' '.join(lines[-3:])}"
    return Outcome(version, steps, failure)


def write_files(work: Path, style: str) -> None:
    """What the round sends, and the settings that boto3 and the AWS CLI read."""
    (work / "small").write_text("a small öbject", encoding="utf-8")
    (work / "large").write_bytes(random.randbytes(20 * 2**20))
    (work / "keys").write_text("".join(f"{key}\n" for key in KEYS), encoding="utf-8")
    (work / "config").write_text(f"[default]\ns3 =\n  addressing_style = {style}\n")
    (work / "credentials").touch()


def environment_of(work: Path, way: Way) -> dict[str, str]:
    """The environment of a round: of AWS's variables, none that this machine has."""
    inherited = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    return {
        **inherited,
        **way.environment(),
        "AWS_CONFIG_FILE": str(work / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(work / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "BUCKET": f"round-{uuid.uuid4().hex[:12]}",
        "PYTHON": sys.executable,
        "WORK": str(work),
    }
