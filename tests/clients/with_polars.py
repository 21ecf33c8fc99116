"""The round by polars, whose cloud reader and writer is Rust's object_store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

os.environ["POLARS_UPLOAD_CHUNK_SIZE"] = str(5 * 2**20)  # not 64 MiB: 20 MiB are to go in parts

import polars  # it reads the variable when it is imported

from tests.clients.rounds import BUCKET
from tests.clients.steps import file, signed
from tests.clients.tables import ROW_GROUP, Tables, is_virtual


def options(**more: str) -> dict[str, str]:
    """What polars is told beside the environment."""
    plain = os.environ["AWS_ENDPOINT_URL"].startswith("http:")
    return {"aws_virtual_hosted_style_request": str(is_virtual()).lower(), "allow_http": str(plain).lower(), **more}


class Polars(Tables):
    """scan_parquet with a predicate reads ranges; a glob lists."""

    version = polars.__version__

    def speaks(self, key: str) -> bool:
        return "//" not in key and not key.endswith("/")  # its paths have no empty segments

    def write(self, url: str, rows: Sequence[bytes]) -> None:
        table = polars.DataFrame(
            {"n": range(len(rows)), "piece": list(rows)}, {"n": polars.Int64, "piece": polars.Binary}
        )
        table.write_parquet(url, storage_options=options(), row_group_size=ROW_GROUP)

    def read(self, url: str, first: int = 0, last: int = 2**31) -> Iterable[bytes]:
        scan = polars.scan_parquet(url, storage_options=options(), glob=False)
        rows = scan.filter(polars.col("n").is_between(first, last)).sort("n").collect()
        return list(rows["piece"])

    def put_many(self, keys: Sequence[str]) -> None:
        """As curl does it, but files that can be scanned."""
        polars.DataFrame({"n": [1]}).write_parquet(file("one"))
        signed("-T", file("one"), keys=keys)

    def listed(self, prefix: str) -> list[str]:
        scan = polars.scan_parquet(f"s3://{BUCKET}/{prefix}**/*", storage_options=options(), include_file_paths="path")
        return [path.removeprefix(f"s3://{BUCKET}/") for path in scan.select("path").unique().collect()["path"]]

    def put_as_stranger(self, key: str) -> None:
        wrong = options(aws_secret_access_key="wrong")
        polars.DataFrame({"n": [1]}).write_parquet(f"s3://{BUCKET}/{key}", storage_options=wrong)


if __name__ == "__main__":
    Polars().go()
