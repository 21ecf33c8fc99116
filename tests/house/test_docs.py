"""What is written about post3 is so: the README's commands do as they stand, the generated page is current."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from post3.auth.users_document import parse_users
from tests.certificates import pem
from tests.databases import passable_folder
from tests.operations_table import FILE, page
from tests.servers import Server, environment, post3_serve

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> list[str]:
    """The commands of the README's code block behind this mark."""
    match = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert match is not None
    return match[1].splitlines()


def put(server: Server, path: str, body: bytes = b"") -> None:
    with closing(HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("PUT", path, body)
        assert connection.getresponse().status == 200


def run(command: str, server: Server, folder: Path = ROOT) -> str:
    """What a command of the README prints, with the address of this server in it. Its failure is the test's."""
    scripts = Path(sys.executable).parent
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    at_server = command.replace("http://127.0.0.1:9000", server.url).replace(".venv/bin/", f"{scripts}/")
    done = subprocess.run(
        at_server, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{at_server}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_list_of_operations_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run python -m tests.operations_table"


def test_the_readme_tells_the_figure_of_the_public_suite() -> None:
    table = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    row = re.search(r"^\| all \| (\d+ of \d+) \| (\d+ of \d+) \|$", table, re.MULTILINE)
    assert row is not None, "run s3-tests/run.py with --backend fs and --backend pg"
    assert row[1] == row[2], "the stores differ"
    assert row[1] in README


def test_the_readmes_curl_lines_do_as_they_say(tmp_path: Path) -> None:
    with post3_serve("--backend", "fs", "--data-dir", "data", cwd=tmp_path) as server:
        _make, _put, got, listed, _delete, _end = [run(command, server) for command in block("curl")]
        assert got == README
        assert "<Key>docs/readme</Key>" in listed
        assert "my-bucket" not in run(f"curl -fsS {server.url}/", server)


def test_the_readmes_aws_lines_do_as_they_say(tmp_path: Path) -> None:
    with post3_serve("--backend", "fs", "--data-dir", "data", cwd=tmp_path) as server:
        _make, _sync, listed, printed, _end = [run(command, server) for command in block("aws")]
        assert "docs/architecture.md" in listed
        assert printed == (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_readmes_lines_of_post3_do_as_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with post3_serve("--backend", "fs", "--data-dir", "data", cwd=tmp_path) as server:
        monkeypatch.setenv("POST3_ENDPOINT", server.url)
        _make, _sync, listed, printed, _end = [run(command, server) for command in block("post3")]
        assert "docs/architecture.md" in listed
        assert printed == (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_readmes_backup_lines_do_as_they_say() -> None:
    with passable_folder() as folder:
        with post3_serve(cwd=folder) as server:
            put(server, "/bucket")
            put(server, "/bucket/key", b"hello")
            for command in block("backup"):
                run(command, server, folder)
        for data_dir in ("restored", "copied"):
            with post3_serve("--data-dir", data_dir, cwd=folder) as server:
                assert run(f"curl -fsS {server.url}/bucket/key", server) == "hello"


def test_the_readmes_lines_on_users_do_as_they_say(tmp_path: Path) -> None:
    fs = {"POST3_BACKEND": "fs", "POST3_DATA_DIR": str(tmp_path / "data")}
    with post3_serve(cwd=tmp_path, env=fs) as server:
        variables = " ".join(f"{name}={value}" for name, value in fs.items())
        _add, key, listed = [run(f"{variables} {command}", server, tmp_path) for command in block("users")]
        (user,) = json.loads(listed)["users"]
        assert (user["id"], user["email"]) == ("alice", "alice@example.com")
        assert f"access key: {user['keys'][0]}\n" in key


def test_every_command_of_the_readme_is_found_without_activating_anything() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert len(blocks) > 5
    assert [line for block in blocks for line in block.splitlines() if re.match(r"(post3|sanic|pip|tox)\b", line)] == []


# Containers


def health_check() -> list[str]:
    """The words of the Dockerfile's health check, with this Python."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    match = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", text, re.DOTALL | re.MULTILINE)
    assert match is not None
    python, *words = json.loads(match[1])
    assert python == "python"
    return [sys.executable, *words]


def is_healthy(host: str, cwd: Path, env: dict[str, str]) -> bool:
    """What the health check says of a server, told of it as the container is."""
    env = environment({**env, "POST3_HOST": host})
    return (
        subprocess.run(health_check(), cwd=cwd, env=env, timeout=30, check=False, stderr=subprocess.DEVNULL).returncode
        == 0
    )


@pytest.mark.parametrize("kind", ["open", "keys", "tls"])
def test_the_dockerfiles_health_check_finds_its_server_and_tells_when_there_is_none(tmp_path: Path, kind: str) -> None:
    env = {"POST3_BACKEND": "memory"}
    if kind == "keys":
        env |= {"POST3_ACCESS_KEY": "admin", "POST3_SECRET_KEY": "open sesame"}
    elif kind == "tls":
        (tmp_path / "cert.pem").write_bytes(pem())
        env["POST3_TLS_CERT"] = "cert.pem"
    with post3_serve("--host", "127.0.0.1:0", cwd=tmp_path, env=env) as server:
        host = f"127.0.0.1:{server.port}"
        assert is_healthy(host, tmp_path, env)
    assert not is_healthy(host, tmp_path, env)


def test_compose_asks_for_a_secret_key_and_opens_nothing_to_strangers() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert re.search(r"POST3_SECRET_KEY: \$\{POST3_SECRET_KEY:\?[^}]+\}", text)
    assert "POST3_ALLOW_ANONYMOUS" not in text
    for password in re.findall(r"\$\{POSTGRES_PASSWORD[^}]*\}", text):
        assert f"PASSWORD: {password}" in text, "in a URL it would have to be escaped"


def test_the_readmes_users_file_is_one() -> None:
    match = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert match is not None
    (user,) = parse_users(match[1].replace("…", "open sesame"))
    assert [key.access_key for key in user.keys] == ["ALICESKEY"]


def test_the_readmes_lines_to_serve_and_to_test_are_one_line_each() -> None:
    assert len(block("serve")) == len(block("test")) == 1
