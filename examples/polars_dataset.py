"""A year of weather as Parquet files by month, written by PyArrow and asked by Polars, which opens only what it needs.

    pip install pyarrow polars
    python examples/polars_dataset.py

POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables, else none are used.
"""

import os
import random
from datetime import date, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import S3FileSystem

from post3 import Client

FIELDS = [("day", pa.date32()), ("station", pa.string()), ("celsius", pa.float64()), ("month", pa.int32())]
SCHEMA = pa.schema(FIELDS)
BY_MONTH = ds.partitioning(pa.schema(FIELDS[-1:]), flavor="hive")


def main() -> None:
    bucket = f"example-{uuid4()}"
    with Client() as s3:
        s3.create_bucket(bucket)
        try:
            measure(s3, bucket)
        finally:
            s3.delete_bucket(bucket, force=True)


def file_system(endpoint: str) -> S3FileSystem:
    """PyArrow's way to the server; it takes keys from the environment by itself."""
    to = urlsplit(endpoint)
    anonymous = "AWS_ACCESS_KEY_ID" not in os.environ
    return S3FileSystem(endpoint_override=to.netloc, scheme=to.scheme, region="us-east-1", anonymous=anonymous)


def measure(s3: Client, bucket: str) -> None:
    table = a_year()
    where = {"filesystem": file_system(s3.endpoint), "format": "parquet", "partitioning": BY_MONTH}
    ds.write_dataset(table, f"{bucket}/weather", create_dir=False, **where)  # S3 has no folders
    keys = [found.key for found in s3.list_objects(bucket, "weather/")]
    print(f"{len(table)} rows in {len(keys)} files, such as {keys[0]}")
    assert len(keys) == 12

    # Whoever opened one of the other months now would fail.
    for key in keys:
        if "/month=6/" not in key:
            s3.put_object(bucket, key, b"no Parquet any more")

    weather = pl.scan_pyarrow_dataset(ds.dataset(f"{bucket}/weather", schema=SCHEMA, **where))
    hot = weather.filter((pl.col("month") == 6) & (pl.col("celsius") > 25))
    days = hot.group_by("station").len("days").sort("days", "station", descending=[True, False]).collect()
    print(f"days in June over 25 °C, by station, from one file of twelve:\n{days.head(3)}")
    wanted = sum(row["month"] == 6 and row["celsius"] > 25 for row in table.to_pylist())
    assert days["days"].sum() == wanted > 0


def a_year() -> pa.Table:
    """A row for each day and each of a hundred stations."""
    weather = random.Random(2026)
    rows = [
        {"day": day, "station": f"station {number}", "celsius": weather.gauss(9, 8), "month": day.month}
        for number in range(100)
        for day in (date(2026, 1, 1) + timedelta(n) for n in range(365))
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


if __name__ == "__main__":
    main()
