"""pytest's fixtures, in small projects of their own."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent.parent
EMPTIES = """
    import pytest

    @pytest.mark.parametrize("turn", range(8))
    def test_it_is_empty(post3_s3, turn):
        client = post3_s3.client()
        assert client.list_buckets()["Buckets"] == []
        client.create_bucket(Bucket="bucket")
        post3_s3.faults.fail()
        post3_s3.clock.advance(days=1000)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project whose pytest has post3's plugin, installed or not, and takes warnings for errors."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = -p post3.testing.plugin")
    return pytester


def test_the_package_hands_the_plugin_to_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plugin = import_module(project["entry-points"]["pytest11"]["post3"])
    assert {"post3_server", "post3_s3", "post3_s3_environment"} <= vars(plugin).keys()


def test_each_test_finds_it_empty_without_faults_and_with_the_right_time(project: pytest.Pytester) -> None:
    project.makepyfile(EMPTIES)
    project.runpytest_subprocess().assert_outcomes(passed=8)


def test_each_worker_has_its_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        EMPTIES
        + """
    def test_url(post3_s3, worker_id, tmp_path_factory):
        (tmp_path_factory.getbasetemp().parent / f"{worker_id}.url").write_text(post3_s3.url)
"""
    )
    base = project.path / "base"
    done = project.runpytest_subprocess("-p", "xdist", "-n", "2", "--dist", "each", "--basetemp", str(base))
    done.assert_outcomes(passed=18)
    urls = [path.read_text(encoding="utf-8") for path in base.glob("*.url")]
    assert len(urls) == len(set(urls)) == 2


def test_the_server_is_one_for_the_session(project: pytest.Pytester) -> None:
    project.makepyfile("""
        urls = set()

        def test_one(post3_s3):
            urls.add(post3_s3.url)

        def test_two(post3_s3, post3_server):
            assert urls == {post3_s3.url} == {post3_server.url}
    """)
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_plain_boto3_reaches_it_whatever_was_set_before(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    monkeypatch.setenv("AWS_PROFILE", "of-somebody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    project.makepyfile("""
        import os, boto3

        before = dict(os.environ)
        other = boto3.DEFAULT_SESSION = object()

        def test_it(post3_s3_environment):
            boto3.client("s3").create_bucket(Bucket="bucket")
            assert [request.operation for request in post3_s3_environment.requests] == ["CreateBucket"]
            assert boto3.DEFAULT_SESSION is not other

        def test_all_is_as_before():
            assert boto3.DEFAULT_SESSION is other
            assert {name: value for name, value in os.environ.items() if name.startswith("AWS")} == {
                name: value for name, value in before.items() if name.startswith("AWS")
            }
    """)
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_boto3_that_is_imported_in_the_test_keeps_no_session_of_it(project: pytest.Pytester) -> None:
    project.makepyfile("""
        def test_it(post3_s3_environment):
            import boto3
            boto3.client("s3").list_buckets()
            assert boto3.DEFAULT_SESSION is not None

        def test_all_is_as_before():
            import boto3
            assert boto3.DEFAULT_SESSION is None
    """)
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_project_that_uses_no_fixture_does_not_pay(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys

        def test_nothing_is_there():
            assert not {"sanic", "boto3", "post3.dispatch", "post3.testing.s3_server"} & set(sys.modules)
    """)
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_fixtures_are_told_of(project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): pass")
    told = project.runpytest_subprocess("--fixtures").stdout
    told.fnmatch_lines(["post3_s3 *", "    An empty S3 server*", "post3_s3_environment *"])
