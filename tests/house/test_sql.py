"""SQL stands in .sql files alone, every statement prepares, the schema can be spread, and pages cost what they show."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest

import post3
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.migrate import load_migrations
from post3.storage.postgres.sql import in_schema, load_statements
from tests.conftest import create_bucket
from tests.databases import database_url, fresh_schema, postgres_backend

PACKAGE: Final = Path(post3.__file__).parent
INDEX: Final = {PACKAGE / "storage" / "filesystem" / name for name in ("index.py", "scan.py")}
"""Of SQLite: docs/decisions/0010 says why its statements stand with their code."""
SQL: Final = re.compile(
    r"\A\s*(?:SELECT\b|INSERT INTO\b|UPDATE \S+ SET\b|DELETE FROM\b|WITH \w+ AS\b|(?:CREATE|ALTER|DROP) [A-Z]+ \w"
    r"|COPY \w+ (?:FROM|TO)\b|BEGIN\b|COMMIT\b|ROLLBACK\b|VACUUM\b|SET \w+ (?:=|TO)\b|PRAGMA\b|EXPLAIN\b)"
)
KEYS: Final = 100_000
FOLDERS: Final = 2_000
PAGE: Final = 1_001
BUFFERS_PER_ROW: Final = 4
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def store() -> AsyncIterator[PostgresBackend]:
    backend = postgres_backend()
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = await asyncpg.connect(database_url())
    yield made
    await made.close()


def parts_of(text: str) -> list[str]:
    """The statements of a text, without comments."""
    return [part for part in re.sub(r"--.*", "", text).split(";") if part.strip()]


def strings_in(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


# Where it stands


def test_sql_stands_in_sql_files_alone() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {text.strip().splitlines()[0]}"
        for path in PACKAGE.rglob("*.py")
        if path not in INDEX
        for text in strings_in(path)
        if SQL.match(text)
    ]
    assert not found


def test_the_search_for_sql_finds_it() -> None:
    for path in INDEX:
        assert [text for text in strings_in(path) if SQL.match(text)]


def test_every_statement_is_used_and_every_used_one_is_there() -> None:
    words = {text for path in (PACKAGE / "storage" / "postgres").rglob("*.py") for text in strings_in(path)}
    delimited = {f"{word}_delimited" for word in words}
    assert set(load_statements()) <= words | delimited


def test_a_schema_of_another_name_is_named_everywhere() -> None:
    texts = [*load_statements("other").values(), *(in_schema(step.text, "other") for step in load_migrations())]
    assert not [text for text in texts if re.search(r"\bpost3\.", text)]


# What PostgreSQL thinks of it


async def test_every_statement_prepares(store: PostgresBackend, connection: Connection) -> None:
    statements = load_statements(store.store.schema)
    assert len(statements) > 50
    for name, text in statements.items():
        for part in parts_of(text):
            try:
                await connection.prepare(part)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")


async def test_the_schema_can_be_spread(store: PostgresBackend, connection: Connection) -> None:
    """Every unique index begins with the column that rows are placed by; only the nodes' own copies are exempt."""
    indexes = await connection.fetch(
        """
        SELECT t.relname AS table, i.relname AS index,
               (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = x.indkey[0]) AS first
          FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         WHERE t.relnamespace = $1::regnamespace AND x.indisunique AND t.relkind = 'r'
        """,
        store.store.schema,
    )
    exempt = {"buckets", "records", "migrations"}
    placed = {row["table"] for row in indexes}
    assert placed == {
        "buckets",
        "versions",
        "uploads",
        "parts",
        "blocks",
        "garbage",
        "records",
        "journal",
        "migrations",
    }
    wrong = [
        row["index"]
        for row in indexes
        if row["table"] not in exempt and row["first"] != ("blob_id" if row["table"] == "blocks" else "bucket_id")
    ]
    assert not wrong


async def test_foreign_keys_lead_to_buckets_only_and_nothing_happens_behind_the_scenes(
    store: PostgresBackend, connection: Connection
) -> None:
    schema = store.store.schema
    foreign = await connection.fetch(
        "SELECT conrelid::regclass::text AS from, confrelid::regclass::text AS to, confdeltype AS how"
        "  FROM pg_constraint WHERE contype = 'f' AND connamespace = $1::regnamespace",
        schema,
    )
    assert {row["to"] for row in foreign} == {f"{schema}.buckets"}
    assert {row["from"] for row in foreign if row["how"] == b"c"} == {f"{schema}.uploads"}
    triggers = "SELECT tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = $1::regnamespace"
    assert not await connection.fetch(f"{triggers} AND NOT tgisinternal", schema)
    sequences = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = $1::regnamespace"
    assert [row[0] for row in await connection.fetch(sequences, schema)] == ["buckets_id_seq"]
    functions = "SELECT proname FROM pg_proc WHERE pronamespace = $1::regnamespace"
    assert not await connection.fetch(functions, schema)


# What pages cost


FILL: Final = f"""
    INSERT INTO post3.versions (bucket_id, key, version_id, sequence, is_current, content, owner, modified)
    SELECT $bucket, convert_to(format('%s/%s', lpad((n % {FOLDERS})::text, 4, '0'), n), 'UTF8'),
           format('v%s', age), 2 - age, age = 0, gen_random_uuid(), 'owner', now()
      FROM generate_series(1, {KEYS}) AS n, generate_series(0, 1) AS age;
    INSERT INTO post3.versions (bucket_id, key, version_id, sequence, is_current, content, owner, modified)
    SELECT $bucket, 'many', format('v%s', n), n, n = 5000, gen_random_uuid(), 'owner', now()
      FROM generate_series(1, 5000) AS n;
    INSERT INTO post3.uploads (bucket_id, key, upload_id, content, owner, document)
    SELECT $bucket, convert_to(format('%s/%s', lpad((n % {FOLDERS})::text, 4, '0'), n), 'UTF8'), format('u%s', n),
           gen_random_uuid(), 'owner', '{{}}'
      FROM generate_series(1, {KEYS}) AS n;
    INSERT INTO post3.parts (bucket_id, content, number, start, size, blob_id, stored, etag)
    SELECT $bucket, ('00000000-0000-0000-0000-00000000000' || u)::uuid, n, n * 5, 5, gen_random_uuid(), 5, ''
      FROM generate_series(1, 9) AS u, generate_series(1, 10000) AS n;
    INSERT INTO post3.garbage (bucket_id, id, since)
    SELECT $bucket, gen_random_uuid(), now() - n * interval '1 second' FROM generate_series(1, {KEYS}) AS n;
    INSERT INTO post3.records (kind, id, document)
    SELECT 'kind', convert_to(n::text, 'UTF8'), '{{}}' FROM generate_series(1, {KEYS}) AS n;
    """


@pytest.fixture(scope="module")
def filled() -> tuple[int, str]:
    """A bucket of 100,000 keys in 2,000 folders, each with an older version, and as many open uploads; its schema."""
    return asyncio.run(fill(fresh_schema()))


async def fill(schema: str) -> tuple[int, str]:
    backend = postgres_backend(schema=schema)
    await backend.open()
    bucket = (await create_bucket(backend, "bucket")).id
    await backend.close()
    connection = await asyncpg.connect(database_url())
    await connection.execute(in_schema(FILL, schema).replace("$bucket", bucket))
    for table in ("versions", "uploads", "parts", "garbage", "records"):
        await connection.execute(f"VACUUM (ANALYZE) {schema}.{table}")
    await connection.close()
    return int(bucket), schema


CONTENT: Final = "00000000-0000-0000-0000-000000000005"
BEHIND: Final = "\\xff"
START: Final = "\\x"
MIDDLE: Final = "\\x31303030"
"""1000, in the middle of the folders."""
MANY: Final = "\\x6d616e79"
PAGES: Final[dict[str, tuple[str, tuple[object, ...]]]] = {
    "the first objects": ("list_current", (START, BEHIND, PAGE)),
    "objects in the middle": ("list_current", (MIDDLE, BEHIND, PAGE)),
    "the first folders": ("list_current_delimited", (START, BEHIND, PAGE, 0, "\\x2f")),
    "folders in the middle": ("list_current_delimited", (MIDDLE, BEHIND, PAGE, 0, "\\x2f")),
    "the first versions": ("list_versions", (START, BEHIND, PAGE, START, 0)),
    "versions in the middle": ("list_versions", (MIDDLE, BEHIND, PAGE, MIDDLE, 0)),
    "versions inside a key": ("list_versions", (MANY + "00", BEHIND, PAGE, MANY, 3000)),
    "the first folders of versions": ("list_versions_delimited", (START, BEHIND, PAGE, START, 0, 0, "\\x2f")),
    "folders of versions in the middle": ("list_versions_delimited", (MIDDLE, BEHIND, PAGE, MIDDLE, 0, 0, "\\x2f")),
    "delimited versions inside a key": ("list_versions_delimited", (MANY + "00", BEHIND, PAGE, MANY, 3000, 0, "\\x2f")),
    "the first uploads": ("list_uploads", (START, BEHIND, PAGE, START, "")),
    "uploads in the middle": ("list_uploads", (MIDDLE, BEHIND, PAGE, MIDDLE, "")),
    "the first folders of uploads": ("list_uploads_delimited", (START, BEHIND, PAGE, START, "", 0, "\\x2f")),
    "the first parts": ("list_parts_of_content", (CONTENT, 0, PAGE)),
    "parts in the middle": ("list_parts_of_content", (CONTENT, 5000, PAGE)),
    "parts under a range": ("list_parts_of_range", (CONTENT, 0, 10_000, 20_001, 21_000)),
}
DEAR: Final = {"list_versions_delimited", "list_uploads_delimited"}
"""Each of their steps looks at two ranges: the rest of the key, and what is behind it."""


async def explained(connection: Connection, text: str, *values: object) -> dict[str, Any]:
    """The plan of a statement, run with these values, as it is made without knowing them."""
    await connection.execute(load_statements()["prepare_session"])
    await connection.execute(f"PREPARE page AS {text}")
    written = ", ".join(map(literal, values))
    change = connection.transaction()
    await change.start()
    try:
        row = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE page({written})")
    finally:
        await change.rollback()
        await connection.execute("DEALLOCATE page")
    plan: dict[str, Any] = json.loads(row)[0]["Plan"]
    return plan


def literal(value: object) -> str:
    """A value as SQL writes it; a list is an array."""
    if isinstance(value, list):
        return f"'{{{','.join('NULL' if one is None else json.dumps(str(one)) for one in value)}}}'"
    return "NULL" if value is None else f"'{value}'"


def buffers_of(plan: dict[str, Any]) -> int:
    """Pages that were looked at, in memory or not."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def rows_of(plan: dict[str, Any]) -> int:
    """What is shown: rows, or what was gathered into one."""
    gathered = next((step for step in plan.get("Plans", ()) if step["Node Type"] == "Aggregate"), None)
    return int((plan if gathered is None else gathered["Plans"][-1])["Actual Rows"])


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_costs_what_it_shows(filled: tuple[int, str], connection: Connection, page: str) -> None:
    bucket, schema = filled
    name, values = PAGES[page]
    plan = await explained(connection, load_statements(schema)[name], bucket, *values)
    rows, buffers = rows_of(plan), buffers_of(plan)
    assert rows >= min(PAGE, 200)
    # A few more for the way down the tree.
    assert buffers <= (2 if name in DEAR else 1) * BUFFERS_PER_ROW * rows + 20, f"{buffers} buffers for {rows} rows"


@pytest.mark.parametrize(
    ("name", "values", "most"),
    [
        ("list_due", ("1s", "1970-01-01", "00000000-0000-0000-0000-000000000000", 100), 8),
        ("list_records", ("kind", START, 1000), 4),
    ],
)
async def test_the_other_pages_too(
    filled: tuple[int, str], connection: Connection, name: str, values: tuple[object, ...], most: int
) -> None:
    _, schema = filled
    plan = await explained(connection, load_statements(schema)[name], *values)
    rows, buffers = plan["Actual Rows"], buffers_of(plan)
    assert rows >= 100
    assert buffers <= most * rows + 20


# What one row costs, when the tables are not as they were when they were last looked at


GROWN: Final = """
    ALTER TABLE post3.versions SET (autovacuum_enabled = false);
    ALTER TABLE post3.uploads SET (autovacuum_enabled = false);
    ALTER TABLE post3.journal SET (autovacuum_enabled = false);
    INSERT INTO post3.buckets (name, owner, created)
    SELECT format('bucket-%s', n), 'owner', now() FROM generate_series(1, 304) AS n;
    INSERT INTO post3.versions (bucket_id, key, version_id, sequence, is_current, content, owner, modified)
    SELECT 1 + n % $buckets, convert_to(format('a/key/of/some/length/%s', md5(n::text)), 'UTF8'), md5(n::text), n, true,
           gen_random_uuid(), 'owner', now()
      FROM generate_series(1, 100000) AS n;
    INSERT INTO post3.uploads (bucket_id, key, upload_id, content, owner, document)
    SELECT 1 + n % $buckets, convert_to(format('a/key/of/some/length/which/is/long/%s', md5(n::text)), 'UTF8'),
           md5(n::text), gen_random_uuid(), 'owner', '{}'
      FROM generate_series(1, 100000) AS n;
    INSERT INTO post3.journal (bucket_id, id, stream, document, due)
    SELECT 301, gen_random_uuid(), 'stream', '{}', now() - interval '1 minute' FROM generate_series(1, 10);
    ANALYZE post3.versions;
    ANALYZE post3.uploads;
    ANALYZE post3.journal;
    INSERT INTO post3.versions (bucket_id, key, version_id, sequence, is_current, content, owner, modified)
    SELECT 301, 'many', md5(format('v%s', n)), n, n = 20000, gen_random_uuid(), 'owner', now()
      FROM generate_series(1, 20000) AS n;
    INSERT INTO post3.versions (bucket_id, key, version_id, sequence, is_current, content, owner, modified,
                                is_delete_marker)
    SELECT 302, convert_to(format('deleted/%s', n), 'UTF8'), md5(format('m%s', n)), n, true, gen_random_uuid(), 'owner',
           now(), true
      FROM generate_series(1, 9000) AS n;
    INSERT INTO post3.uploads (bucket_id, key, upload_id, content, owner, document, version_id)
    SELECT 303, 'k', md5(format('u%s', n)), gen_random_uuid(), 'owner', '{}', 'null'
      FROM generate_series(1, 30000) AS n;
"""
"""Versions that are all current, and uploads that are all open, when they are looked at; then a key of 20,000 versions,
a bucket of 9,000 markers, one of 30,000 completed uploads, and one that is empty."""
VERSIONS: Final = 301
MARKERS: Final = 302
COMPLETED: Final = 303
EMPTY: Final = 304


@pytest.fixture(scope="module", params=[1, 300], ids=["of one bucket", "of many buckets"])
def grown(request: pytest.FixtureRequest) -> str:
    """The schema of a store that has grown since it was analysed."""
    return asyncio.run(grow(fresh_schema(), request.param))


async def grow(schema: str, buckets: int) -> str:
    backend = postgres_backend(schema=schema)
    await backend.open()
    await backend.close()
    connection = await asyncpg.connect(database_url())
    await connection.execute(in_schema(GROWN, schema).replace("$buckets", str(buckets)))
    await connection.close()
    return schema


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


NEWEST: Final = md5("v20000")
MIDST: Final = md5("v10000")
MARKER: Final = "\\x" + b"deleted/4500".hex()
MARK: Final = (False, None, None)
"""Nobody looks."""
MADE: Final = (
    "00000000-0000-0000-0000-000000000007",
    None,
    False,
    False,
    0,
    1,
    "etag",
    "STANDARD",
    "owner",
    "{}",
    None,
    None,
    ":",
)
"""What is put: content to checksums."""
LOOK: Final = 16
"""Buffers for one row or two, by way of an index or two, and for the bucket's."""
CHANGE: Final = 80
"""The same with rows written to all indexes."""
ROWS: Final[dict[str, tuple[str, tuple[object, ...], int]]] = {
    "the current version of many": ("get_current", ([VERSIONS], [MANY], [None], [None]), LOOK),
    "a current marker": ("get_current", ([MARKERS], [MARKER], [None], [None]), LOOK),
    "one that is absent": ("get_current", ([EMPTY], [MANY], [None], [None]), LOOK),
    "an old version": ("get_version", (VERSIONS, MANY, MIDST), LOOK),
    "a null version that is absent": ("get_version", (VERSIONS, MANY, "null"), LOOK),
    "what a guard sees of an old version": ("get_current_and_named", (VERSIONS, MANY, MIDST), LOOK),
    "what a guard sees of the current one": ("get_current_and_named", (VERSIONS, MANY, NEWEST), LOOK),
    "what a guard sees of none": ("get_current_and_named", (VERSIONS, MANY, "null"), LOOK),
    "the objects of a bucket of markers": ("list_current", (MARKERS, START, BEHIND, PAGE), LOOK),
    "the folders of a bucket of markers": ("list_current_delimited", (MARKERS, START, BEHIND, PAGE, 0, "\\x2f"), LOOK),
    "the objects of a bucket of many versions": ("list_current", (VERSIONS, START, BEHIND, PAGE), LOOK),
    "the folders of one": ("list_current_delimited", (VERSIONS, START, BEHIND, PAGE, 0, "\\x2f"), LOOK),
    "one version in the midst": ("list_versions", (VERSIONS, MANY + "00", BEHIND, 1, MANY, 9000), LOOK),
    "the open uploads of a bucket of completed ones": (
        "list_uploads",
        (COMPLETED, START, BEHIND, PAGE, None, ""),
        LOOK,
    ),
    "the folders of these": ("list_uploads_delimited", (COMPLETED, START, BEHIND, PAGE, None, "", 0, "\\x2f"), LOOK),
    "whether an empty bucket holds anything": ("holds_versions", (EMPTY,), LOOK),
    "a small put without versions": (
        "put_small",
        ([EMPTY], [1], [0], [0], [MANY], [MADE[0]], *([value] for value in MADE[3:])),
        CHANGE,
    ),
    "a put without versions": ("put_null", (EMPTY, 1, MANY, *MADE, *MARK), CHANGE),
    "a put of a new version": (
        "put_version",
        (VERSIONS, 1, MANY, *MADE, *MARK, "", "0123456789abcdef", None, None),
        CHANGE,
    ),
    "a put of a null version": (
        "put_version",
        (VERSIONS, 1, MANY, *MADE, *MARK, "null", "0123456789abcdef", None, None),
        CHANGE,
    ),
    "a version restored among many": (
        "restore_version",
        (VERSIONS, 1, MANY, *MADE, *MARK, "null", 9_000_000, "2001-02-03", None, None),
        CHANGE,
    ),
    "a change of an old version": (
        "update_version",
        (VERSIONS, 1, MANY, MADE[0], 1, False, MIDST, "owner", "etag", "STANDARD", "{}", ":"),
        CHANGE,
    ),
    "the end of an old version": ("delete_version", (VERSIONS, 1, MANY, MIDST, *MARK, None, None), CHANGE),
    "the end of the newest version": ("delete_version", (VERSIONS, 1, MANY, NEWEST, *MARK, None, None), CHANGE),
}


@pytest.mark.parametrize("row", ROWS)
async def test_a_row_costs_little_however_many_stand_beside_it(grown: str, connection: Connection, row: str) -> None:
    name, values, most = ROWS[row]
    plan = await explained(connection, load_statements(grown)[name], *values)
    assert buffers_of(plan) <= most


async def test_a_worker_takes_no_more_of_the_journal_than_it_asked_for(grown: str, connection: Connection) -> None:
    plan = await explained(connection, load_statements(grown)["take_journal"], "stream", 3, "1 hour")
    assert plan["Actual Rows"] == 3
