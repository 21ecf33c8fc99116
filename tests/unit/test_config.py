"""Settings from flags and environment."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from post3.auth.credentials import Key
from post3.config import (
    MASTER_KEY,
    OPTIONS,
    VARIABLES,
    ConfigError,
    Endpoint,
    NewBucket,
    Settings,
    check_reach,
    parse_domains,
    parse_endpoint,
    parse_networks,
)
from post3.model.identity import ROOT
from post3.model.kms import NO_KEYS

ROOT_KEY = {"POST3_ACCESS_KEY": "ROOT", "POST3_SECRET_KEY": "open sesame"}


def test_each_setting_has_one_row_and_each_row_a_setting() -> None:
    rows = [option.field for option in OPTIONS] + [variable.field for variable in (*VARIABLES, MASTER_KEY)]
    assert rows == list(dict.fromkeys(rows))
    assert set(rows) == {field.name for field in fields(Settings)}


def test_the_defaults_in_the_help_are_the_defaults() -> None:
    shown = {option.field: option.default for option in OPTIONS}

    of_values = ("backend", "data_dir", "pg_schema", "pg_connections", "endpoint", "workers", "durability", "gc_grace")
    assert Settings.load({}, {}) == Settings() == Settings.load({name: shown[name] for name in of_values}, {})


def test_every_flag_has_a_variable() -> None:
    assert Settings.load(
        {},
        {
            "POST3_BACKEND": "fs",
            "POST3_DATA_DIR": "/srv/s3",
            "DATABASE_URL": "postgresql://me:secret@db/objects",
            "POST3_PG_SCHEMA": "mine",
            "POST3_PG_CONNECTIONS": "20",
            "POST3_PG_USER": "postgres",
            "POST3_PG_ARCHIVE": "/srv/wal",
            "POST3_HOST": "[::1]:9001",
            "POST3_WORKERS": "4",
            "POST3_DURABILITY": "relaxed",
            "POST3_GC_GRACE": "30s",
            "POST3_DOMAIN": "S3.Example.com, localhost",
            "POST3_TLS_CERT": "/etc/tls/cert.pem",
            "POST3_TLS_KEY": "/etc/tls/key.pem",
            "POST3_TRUSTED_PROXY": "127.0.0.1,10.0.0.0/8, ::1",
            "POST3_ALLOW_ANONYMOUS": "1",
            "POST3_ALLOW_NETWORK_DISK": "true",
            "POST3_ACCESS_LOG": "yes",
            "POST3_USERS": "/srv/users.json",
            "POST3_BUCKETS": "photos, site:public-read",
            "POST3_SIGV2": "0",
            "POST3_ALLOW_SIGV2": "1",
        },
    ) == Settings(
        backend="fs",
        data_dir=Path("/srv/s3"),
        database_url="postgresql://me:secret@db/objects",
        pg_schema="mine",
        pg_connections=20,
        pg_user="postgres",
        pg_archive=Path("/srv/wal"),
        endpoint=Endpoint("::1", 9001),
        workers=4,
        durability="relaxed",
        gc_grace=timedelta(seconds=30),
        domains=("s3.example.com", "localhost"),
        tls_cert=Path("/etc/tls/cert.pem"),
        tls_key=Path("/etc/tls/key.pem"),
        trusted_proxies=tuple(map(ip_network, ("127.0.0.1/32", "10.0.0.0/8", "::1/128"))),
        allow_anonymous=True,
        allow_network_disk=True,
        access_log=True,
        users=Path("/srv/users.json"),
        buckets=(NewBucket("photos"), NewBucket("site", "public-read")),
        sigv2_links=False,
        sigv2_headers=True,
    )


def test_a_flag_wins_over_its_variable() -> None:
    settings = Settings.load({"backend": "memory", "access_log": "0"}, {"POST3_BACKEND": "fs", "POST3_ACCESS_LOG": "1"})

    assert (settings.backend, settings.access_log) == ("memory", False)


@pytest.mark.parametrize(
    ("variable", "flag", "field", "value"),
    [
        ("POST3_BACKEND", "--backend", "backend", "s3"),
        ("POST3_DATA_DIR", "--data-dir", "data_dir", ""),
        ("POST3_PG_SCHEMA", "--pg-schema", "pg_schema", "pg_mine"),
        ("POST3_PG_SCHEMA", "--pg-schema", "pg_schema", 'a"b'),
        ("POST3_PG_CONNECTIONS", "--pg-connections", "pg_connections", "0"),
        ("POST3_PG_USER", "--pg-user", "pg_user", ""),
        ("POST3_PG_ARCHIVE", "--pg-archive", "pg_archive", ""),
        ("POST3_HOST", "--host", "endpoint", "localhost:99999"),
        ("POST3_WORKERS", "--workers", "workers", "0"),
        ("POST3_WORKERS", "--workers", "workers", "two"),
        ("POST3_WORKERS", "--workers", "workers", "1000"),
        ("POST3_DURABILITY", "--durability", "durability", "some"),
        ("POST3_GC_GRACE", "--gc-grace", "gc_grace", "1"),
        ("POST3_GC_GRACE", "--gc-grace", "gc_grace", "-1h"),
        ("POST3_ALLOW_ANONYMOUS", "--allow-anonymous", "allow_anonymous", "perhaps"),
        ("POST3_USERS", "--users", "users", ""),
        ("POST3_BUCKETS", "--buckets", "buckets", "ab"),
        ("POST3_BUCKETS", "--buckets", "buckets", "photos:"),
        ("POST3_BUCKETS", "--buckets", "buckets", "photos:bucket-owner-read"),
        ("POST3_BUCKETS", "--buckets", "buckets", "photos,site,photos:private"),
        ("POST3_SIGV2", "--sigv2", "sigv2_links", "old"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_allowed(
    variable: str, flag: str, field: str, value: str
) -> None:
    for name, flags, environment in ((flag, {field: value}, {}), (variable, {}, {variable: value})):
        with pytest.raises(ConfigError) as refused:
            Settings.load(flags, environment)
        sentence = str(refused.value)
        assert sentence.startswith(f"{name} is {value!r}, but must be ")
        assert sentence.endswith(".")
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1", Endpoint("127.0.0.1", 9000)),
        ("127.0.0.1:0", Endpoint("127.0.0.1", 0)),
        ("localhost:80", Endpoint("localhost", 80)),
        ("[::1]", Endpoint("::1", 9000)),
        ("[::1]:9000", Endpoint("::1", 9000)),
        ("s3-1.example.com:443", Endpoint("s3-1.example.com", 443)),
    ],
)
def test_an_endpoint_is_read_and_written_alike(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["", "9000", ":9000", "::1", "[::1", "[zz]", "a b", "host:", "host:-1", "http://host"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "grace"),
    [("30s", timedelta(seconds=30)), ("5m", timedelta(minutes=5)), ("1h", timedelta(hours=1)), ("2d", timedelta(2))],
)
def test_a_duration_has_a_unit(text: str, grace: timedelta) -> None:
    assert Settings.load({"gc_grace": text}, {}).gc_grace == grace


@pytest.mark.parametrize("host", ["0.0.0.0:9000", "[::]:9000", "192.0.2.1", "s3.example.com"])
def test_an_address_beyond_this_machine_must_be_asked_for(host: str) -> None:
    flags = {"backend": "fs", "endpoint": host}

    with pytest.raises(ConfigError, match="--allow-anonymous"):
        check_reach(Settings.load(flags, {}), has_credentials=False)
    check_reach(Settings.load({**flags, "allow_anonymous": "1"}, {}), has_credentials=False)
    check_reach(Settings.load(flags, {}), has_credentials=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3:9000", "[::1]:9000"])
def test_an_address_of_this_machine_may_be_open(host: str) -> None:
    settings = Settings.load({"backend": "fs", "endpoint": host}, {})
    settings.check()
    check_reach(settings, has_credentials=False)


def test_what_needs_no_store_to_know_is_refused_before_one_is_open() -> None:
    beyond = {"backend": "memory", "endpoint": "0.0.0.0:9000"}

    with pytest.raises(ConfigError, match="--allow-anonymous"):
        Settings.load(beyond, {}).check()
    Settings.load(beyond, ROOT_KEY).check()
    Settings.load({**beyond, "users": "users.json"}, {}).check()
    Settings.load({**beyond, "backend": "fs"}, {}).check()


@pytest.mark.parametrize(
    ("flags", "environment", "part"),
    [({}, ROOT_KEY, "there is a root key"), ({"users": "users.json"}, {}, "--users (POST3_USERS) names a file")],
)
def test_anyone_and_whoever_has_a_key_contradict_each_other(
    flags: dict[str, str], environment: dict[str, str], part: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load({"backend": "fs", "allow_anonymous": "1", **flags}, environment).check()
    assert part in str(refused.value)


def test_anyone_and_users_in_the_store_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="users of the store have keys"):
        check_reach(Settings.load({"allow_anonymous": "1"}, {}), has_credentials=True)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@db/objects",
        "postgresql://me:secret@db:port/objects",
        "postgresql://me:secret@db:65536/objects",
        "postgresql://me:secret@db:0/objects",
        "postgresql://me:secret@db:+5432/objects",
        "postgresql://me:secret@[::1]:secret/objects",
        "postgresql://me:secret@[::1/objects",
        "postgresql://me:secret@one,two:secret/objects",
        "postgresql://me:secret@/objects?port=5432,secret",
        "postgresql://me:5432/secret@db/objects",
        "postgresql://me:5432?secret@db/objects",
        "postgresql://me:5432#secret@db/objects",
        "postgresql://me:a@secret@db/objects",
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^DATABASE_URL is not shown here, but must be a URL such as ") as refused:
        Settings.load({}, {"DATABASE_URL": url})
    assert "secret" not in str(refused.value)
    assert "an @ in a password written %40" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://",
        "postgresql://me@/objects?host=%2Frun%2Fpostgresql&port=5433",
        "postgresql://me:p%40ss%2Fword@db/objects",
        "postgresql://[::1]:5432/objects?sslmode=require",
        "postgresql://one:5433,two,[::2]:5434/objects",
    ],
)
def test_a_url_of_any_form_is_taken(url: str) -> None:
    assert Settings.load({}, {"DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize("field", ["pg_user", "pg_archive"])
@pytest.mark.parametrize(("store", "value"), [("backend", "fs"), ("database_url", "postgresql://db/objects")])
def test_what_is_for_a_postgresql_of_its_own_goes_with_no_other_store(field: str, store: str, value: str) -> None:
    with pytest.raises(ConfigError, match="--" + field.replace("_", "-")):
        Settings.load({field: "/x", store: value}, {}).check()


def test_memory_belongs_to_one_process() -> None:
    with pytest.raises(ConfigError, match="one worker"):
        Settings.load({"backend": "memory", "workers": "2"}, {}).check()


# The root key


def test_the_root_key_comes_from_the_environment() -> None:
    settings = Settings.load({}, ROOT_KEY)

    assert settings.root_key == Key("ROOT", "open sesame", ROOT)
    assert settings.has_credentials
    assert Settings.load({}, {}).root_key is None


def test_the_root_key_is_shown_nowhere() -> None:
    settings = Settings.load({}, ROOT_KEY)

    for shown in (repr(settings), str(settings), repr(settings.root_key)):
        assert "sesame" not in shown
    assert "ROOT" not in repr(settings)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_each_half_may_come_from_a_file(tmp_path: Path, end: str) -> None:
    (tmp_path / "access").write_bytes(f"ROOT{end}".encode())
    (tmp_path / "secret").write_bytes(f"sésame, ouvre{end}".encode())

    for names in (("POST3_ACCESS_KEY", "POST3_SECRET_KEY"), ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")):
        files = {f"{name}_FILE": str(tmp_path / file) for name, file in zip(names, ("access", "secret"), strict=True)}
        assert Settings.load({}, files).root_key == Key("ROOT", "sésame, ouvre", ROOT)


def test_another_server_s_variables_count_where_there_are_none_of_its_own() -> None:
    other = {"MINIO_ROOT_USER": "minio", "MINIO_ROOT_PASSWORD": "minio-secret"}

    assert Settings.load({}, other).root_key == Key("minio", "minio-secret", ROOT)
    assert Settings.load({}, {**other, **ROOT_KEY}).root_key == Key("ROOT", "open sesame", ROOT)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("POST3_ACCESS_KEY", "POST3_SECRET_KEY"),
        ("POST3_SECRET_KEY", "POST3_ACCESS_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
        ("MINIO_ROOT_PASSWORD", "MINIO_ROOT_USER"),
    ],
)
def test_one_half_alone_is_refused_also_beside_another_server_s(there: str, missing: str) -> None:
    other = {} if there.startswith("MINIO") else {"MINIO_ROOT_USER": "minio", "MINIO_ROOT_PASSWORD": "minio-secret"}

    with pytest.raises(ConfigError) as refused:
        Settings.load({}, {**other, there: "open sesame".replace(" ", "-")})
    assert str(refused.value) == f"{there} is set, but {missing} is not; a key needs both."


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("POST3_ACCESS_KEY", "open/sesame"),
        ("POST3_ACCESS_KEY", ""),
        ("POST3_SECRET_KEY", "sesame"),
        ("POST3_SECRET_KEY", ""),
    ],
)
def test_a_wrong_half_is_told_and_not_shown(tmp_path: Path, variable: str, text: str) -> None:
    (tmp_path / "file").write_text(text)
    as_file = {name: value for name, value in ROOT_KEY.items() if name != variable}

    for environment, source in (
        ({**ROOT_KEY, variable: text}, variable),
        ({**as_file, f"{variable}_FILE": str(tmp_path / "file")}, f"The file of {variable}_FILE"),
    ):
        with pytest.raises(ConfigError) as refused:
            Settings.load({}, environment)
        assert str(refused.value).startswith(f"{source} is not shown here, but must be ")
        assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("missing", "cannot be read: No such file or directory"),
        (".", "cannot be read: Is a directory"),
        ("nul\0", "cannot be read: there can be no such file"),
        ("latin", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path, file: str, why: str) -> None:
    (tmp_path / "latin").write_bytes(b"\xff" * 20)
    path = f"{tmp_path}/{file}"

    with pytest.raises(ConfigError) as refused:
        Settings.load({}, {"POST3_ACCESS_KEY": "ROOT", "POST3_SECRET_KEY_FILE": path})
    assert str(refused.value) == f"POST3_SECRET_KEY_FILE names {path!r}, which {why}."


def test_a_variable_and_its_file_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="POST3_SECRET_KEY and POST3_SECRET_KEY_FILE are both set"):
        Settings.load({}, {**ROOT_KEY, "POST3_SECRET_KEY_FILE": "/srv/secret"})


# Master keys

KEY_TEXT = base64.b64encode(bytes(range(32))).decode()


def test_there_are_no_master_keys_unless_they_are_given() -> None:
    assert Settings.load({}, {}).read_master_keys() == NO_KEYS


def test_one_master_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY_TEXT + "\n")
    for environment in ({"POST3_MASTER_KEY": KEY_TEXT}, {"POST3_MASTER_KEY_FILE": str(tmp_path / "key")}):
        keys = Settings.load({}, environment).read_master_keys()
        assert (keys.default, keys.keys) == ("master", {"master": bytes(range(32))})


def test_named_master_keys_come_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(json.dumps({"default": "new", "keys": {"old": KEY_TEXT, "new": KEY_TEXT}}))
    for flags, environment in (
        ({"master_keys": str(tmp_path / "keys")}, {}),
        ({}, {"POST3_MASTER_KEYS": str(tmp_path / "keys")}),
    ):
        keys = Settings.load(flags, environment).read_master_keys()
        assert (keys.default, list(keys.keys)) == ("new", ["old", "new"])


def test_a_master_key_is_shown_nowhere() -> None:
    settings = Settings.load({}, {"POST3_MASTER_KEY": KEY_TEXT})
    for shown in (repr(settings), str(settings), repr(settings.read_master_keys())):
        assert KEY_TEXT not in shown
        assert repr(bytes(range(32))) not in shown


@pytest.mark.parametrize("text", ["secret-" * 6, KEY_TEXT[:-1], base64.b64encode(bytes(31)).decode(), KEY_TEXT + "="])
def test_a_wrong_master_key_is_told_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load({}, {"POST3_MASTER_KEY": text})
    assert str(refused.value).startswith("POST3_MASTER_KEY is not shown here, but must be 32 bytes in base64")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "but it is no JSON (line 1, column 2)."),
        (b"[]", 'but it must have the form {"default": "id", "keys": {"id": "base64"}}.'),
        (b"\xff", "which is not UTF-8."),
        (b'{"default": "a", "keys": {"a": "secret"}}', "but of the key 'a': a master key must be 32 bytes in base64"),
        (None, "which cannot be read: No such file or directory."),
    ],
)
def test_a_file_of_master_keys_that_cannot_be_is_told_by_its_name(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        Settings(backend="fs", master_keys=path).check()
    assert str(refused.value).startswith(f"--master-keys names {str(path)!r}, {why}")
    assert "secret" not in str(refused.value)


def test_one_master_key_and_a_file_of_them_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both set; put the key into the file, under the name master"):
        Settings(backend="fs", master_keys=tmp_path / "keys", master_key=KEY_TEXT).check()


@pytest.mark.parametrize("text", ["", " "])
def test_lists_may_be_empty(text: str) -> None:
    assert parse_domains(text) == parse_networks(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a,",
            "a.example:9000",
            "*.example",
            "http://a.example",
            "a..b",
            "-a",
            "a-",
            ".a",
            "10.0.0.1",
            "::1",
            "a b",
            "ä",
        ),
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"POST3_DOMAIN is .* s3\.example\.com"):
        Settings.load({}, {"POST3_DOMAIN": text})


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1,", "10.0.0.1:80", "unix:/run/s"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"POST3_TRUSTED_PROXY is .* 10\.0\.0\.0/8"):
        Settings.load({}, {"POST3_TRUSTED_PROXY": text})


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ConfigError, match="--tls-cert"):
        Settings(tls_key=Path("key.pem")).check()
    Settings(tls_cert=Path("both.pem")).check()
