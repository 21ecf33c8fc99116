"""The round by DuckDB with its extension httpfs, which comes as a Python package: it fetches nothing as it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import duckdb_ext

from tests.clients.rounds import BUCKET
from tests.clients.steps import file
from tests.clients.tables import ROW_GROUP, Tables, is_virtual


def connection(secret: str) -> Any:
    """A database in memory that knows the server."""
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    db = duckdb.connect()
    (extension,) = Path(duckdb_ext.__path__[0]).glob("**/httpfs.duckdb_extension")
    db.execute(f"LOAD '{extension}'")
    db.execute("SET s3_uploader_max_filesize = '50GB'")  # the smallest parts that it makes: 5 MB, not 80
    db.execute(
        f"""CREATE SECRET (
            TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}', SECRET '{secret}',
            ENDPOINT '{endpoint.netloc}', REGION '{os.environ["AWS_REGION"]}',
            URL_STYLE '{"vhost" if is_virtual() else "path"}', USE_SSL {endpoint.scheme == "https"}
        )"""
    )
    return db


class DuckDB(Tables):
    """Globs list; COPY writes, always in parts."""

    version = duckdb.__version__
    refusals = ("HTTP code 403",)

    def __init__(self) -> None:
        super().__init__()
        self.db = connection(os.environ["AWS_SECRET_ACCESS_KEY"])

    def speaks(self, key: str) -> bool:
        # It cannot quote what it takes for a query or for a pattern, and its globs leave out what ends with a slash.
        return "?" not in key and "*" not in key and not key.endswith("/")

    def write(self, url: str, rows: Sequence[bytes]) -> None:
        source = file("to-put")
        source.write_text("".join(f"{n},{row.hex()}\n" for n, row in enumerate(rows)))
        self.db.execute(
            f"""COPY (
                SELECT n, unhex(piece) AS piece
                FROM read_csv('{source}', header = false, columns = {{'n': 'BIGINT', 'piece': 'VARCHAR'}})
            ) TO '{url.replace("'", "''")}' (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})"""
        )

    def read(self, url: str, first: int = 0, last: int = 2**31) -> Iterable[bytes]:
        query = f"SELECT piece FROM read_parquet(?) WHERE n BETWEEN {first} AND {last} ORDER BY n"
        return [row[0] for row in self.db.execute(query, [url]).fetchall()]

    def listed(self, prefix: str) -> list[str]:
        found = self.db.execute("SELECT file FROM glob(?)", [f"s3://{BUCKET}/{prefix}**"]).fetchall()
        return [row[0].removeprefix(f"s3://{BUCKET}/") for row in found]

    def put_as_stranger(self, key: str) -> None:
        connection("wrong").execute(f"COPY (SELECT 1) TO 's3://{BUCKET}/{key}' (FORMAT parquet)")


if __name__ == "__main__":
    DuckDB().go()
