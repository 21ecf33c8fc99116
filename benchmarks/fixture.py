"""How soon a test's server is there, and how soon it is empty again: post3.testing beside moto, if that is installed.

Each round starts a new process for each of them; printed are medians in milliseconds. What is measured begins with
boto3 imported, which all of them need for their tests, and one client made.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import boto3

REPEATS = 20
FILLED = 100
"""Objects of 1 KiB that a reset has to forget."""

Step = Callable[[], object]


class Post3:
    """post3.testing.server()."""

    def __init__(self) -> None:
        from post3.testing import server  # noqa: PLC0415  # the import is measured

        self._server = server()

    def start(self) -> str:
        return self._server.start().url

    def stop(self) -> None:
        self._server.stop()

    def reset(self) -> None:
        self._server.reset()


class MotoServer:
    """moto's ThreadedMotoServer, emptied as its documentation tells: by a request."""

    def __init__(self) -> None:
        import logging  # noqa: PLC0415

        from moto.server import ThreadedMotoServer  # noqa: PLC0415  # the import is measured

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._make: Callable[[], Any] = lambda: ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def start(self) -> str:
        self._server = self._make()
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._url = f"http://{host}:{port}"
        return self._url

    def stop(self) -> None:
        self._server.stop()

    def reset(self) -> None:
        request = urllib.request.Request(f"{self._url}/moto-api/reset", method="POST")  # noqa: S310  # our own
        urllib.request.urlopen(request).read()  # noqa: S310


class MotoMock:
    """moto's mock_aws, which answers inside botocore, without a connection; a test's reset is its end and its start."""

    def __init__(self) -> None:
        from moto import mock_aws  # noqa: PLC0415  # the import is measured

        self._make: Callable[[], Any] = mock_aws

    def start(self) -> str:
        self._mock = self._make()
        self._mock.start()
        return ""

    def stop(self) -> None:
        self._mock.stop()

    def reset(self) -> None:
        self._mock.stop()
        self._mock.start()


CANDIDATES: dict[str, type[Any]] = {"post3.testing": Post3, "moto server": MotoServer, "moto mock_aws": MotoMock}


def s3_client(url: str | None) -> Any:
    """boto3's client, with the keys that the fixture has."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="post3",
        aws_secret_access_key="post3-secret",  # noqa: S106  # the fixture's own
    )


def milliseconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1000


def typical(step: Step) -> float:
    """The median of several runs."""
    return median(milliseconds(step) for _ in range(REPEATS))


def measure(name: str) -> dict[str, float]:
    """All times of one of them, in this process, which has not used it yet."""
    s3_client("http://127.0.0.1:1")  # botocore's models are read
    began = time.perf_counter()
    served = CANDIDATES[name]()
    url = served.start()
    told = {"import and start": (time.perf_counter() - began) * 1000}
    client = s3_client(url or None)
    told["first request"] = milliseconds(lambda: client.create_bucket(Bucket="bucket"))
    body = bytes(1024)
    told["put of 1 KiB"] = typical(lambda: client.put_object(Bucket="bucket", Key="key", Body=body))
    told["get of 1 KiB"] = typical(lambda: len(client.get_object(Bucket="bucket", Key="key")["Body"].read()))

    def fill_and_reset() -> float:
        client.create_bucket(Bucket="bucket")
        for number in range(FILLED):
            client.put_object(Bucket="bucket", Key=f"key-{number}", Body=body)
        return milliseconds(served.reset)

    served.reset()
    told["reset, empty"] = typical(served.reset)
    told[f"reset, {FILLED} objects"] = median(fill_and_reset() for _ in range(5))
    told["stop"] = milliseconds(served.stop)
    told["start again"] = starts(served)
    return told


def starts(served: Any) -> float:
    """The median time to start it when all is imported."""
    times = []
    for _ in range(REPEATS):
        times.append(milliseconds(served.start))
        served.stop()
    return median(times)


def run(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each (default: %(default)s)")
    parser.add_argument("--only", choices=CANDIDATES, help="measure this one here, once, and print JSON")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only)))
        return
    names = [name for name in CANDIDATES if name == "post3.testing" or find_spec("moto")]
    rounds = [{name: run(name) for name in names} for _ in range(arguments.rounds)]
    print(f"{'ms, medians':22}" + "".join(f"{name:>16}" for name in names))
    for what in rounds[0]["post3.testing"]:
        print(f"{what:22}" + "".join(f"{median(round_[name][what] for round_ in rounds):16.2f}" for name in names))
    if len(names) == 1:
        print("moto is not installed.")


if __name__ == "__main__":
    main()
