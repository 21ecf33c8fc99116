"""Load by wrk (https://github.com/wg/wrk; Debian's package `wrk`), which sends prepared requests in turn.

The requests go to a file, one behind the other, and their lengths to another; a Lua script reads both when wrk starts.
It tells its counts as one line of its own, so that nothing written for people needs to be understood.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.client import Outcome

MARK: Final = "post3-benchmark"
TIMEOUT: Final = 60
"""Seconds that a reply may take."""
_SCRIPT: Final = """\
local requests, sent, threads = {}, 0, 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  local lengths = assert(io.open(arguments[1]))
  local data = assert(io.open(arguments[2], "rb"))
  for line in lengths:lines() do
    requests[#requests + 1] = data:read(tonumber(line))
  end
end

function request()
  sent = STEADY and number or sent
  sent = sent % #requests + 1
  return requests[sent]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("%s %d %d %d %d %d %d %d %d\\n", "MARK", summary.requests, summary.duration, summary.bytes,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def find_wrk() -> str:
    """The program. Raises SystemExit with what to do where there is none."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("benchmarks: there is no wrk here; on Debian: apt-get install wrk")
    return found


def memory_folder() -> str | None:
    """A folder in memory where there is one: what is written for wrk must not burden the disk that is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a folder of our own is made in it


def run_wrk(url: str, requests: Sequence[bytes], connections: int, seconds: float, *, steady: bool = False) -> Outcome:
    """Send the requests in turn, over and over, for so many seconds. Raises ValueError where wrk fails.

    `steady`: each connection sends one of them all the time. Over TLS it must, where a request is larger than what a
    socket takes at once: whenever wrk tries again to send the beginning of one, it takes the next.
    """
    with tempfile.TemporaryDirectory(dir=memory_folder()) as name:
        script, lengths, data = (Path(name, part) for part in ("script.lua", "lengths", "data"))
        script.write_text(_SCRIPT.replace("MARK", MARK).replace("STEADY", str(steady).lower()))
        lengths.write_text("".join(f"{len(request)}\n" for request in requests))
        with data.open("wb") as file:
            file.writelines(requests)
        threads = connections if steady else 1
        options = ["-t", str(threads), "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
        options += ["--timeout", f"{TIMEOUT}s"]
        command = [find_wrk(), *options, "-s", str(script), url, "--", str(lengths), str(data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 2 * TIMEOUT)
    if done.returncode:
        raise ValueError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    return parse_output(done.stdout)


def parse_output(text: str) -> Outcome:
    """What the script told. Raises ValueError where it told nothing."""
    for line in text.splitlines():
        if line.startswith(f"{MARK} "):
            requests, micros, size, status, broken, late, median, slow = map(int, line.split()[1:])
            failures = {"replies of 4xx or 5xx": status, "broken connections": broken, "replies that came late": late}
            return Outcome(
                requests, micros / 1e6, size, {name: n for name, n in failures.items() if n}, median / 1e6, slow / 1e6
            )
    raise ValueError(f"wrk told no counts, but {text.strip()!r}")
