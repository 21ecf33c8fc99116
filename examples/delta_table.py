"""A Delta table that two writers append to at once: conditional writes let one commit win each version, and the other
tries the next, so that no commit is lost. No lock table beside the store is needed.

    pip install deltalake pyarrow
    python examples/delta_table.py

POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables, else none are used.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from post3 import Client

COMMITS = 5
WRITERS = ("ada", "grace")


def main() -> None:
    bucket = f"example-{uuid4()}"
    with Client() as s3:
        s3.create_bucket(bucket)
        try:
            race(f"s3://{bucket}/events", storage(s3.endpoint))
        finally:
            s3.delete_bucket(bucket, force=True)


def storage(endpoint: str) -> dict[str, str]:
    """What deltalake has to be told; it takes keys from the environment by itself."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "aws_conditional_put": "etag",  # If-None-Match on each commit
        "AWS_SKIP_SIGNATURE": str("AWS_ACCESS_KEY_ID" not in os.environ).lower(),
    }


def race(table: str, options: dict[str, str]) -> None:
    def rows(writer: str, number: int) -> pa.Table:
        return pa.table({"writer": [writer], "number": pa.array([number], pa.int64())})

    write_deltalake(table, rows("nobody", 0), storage_options=options)
    ready = Barrier(len(WRITERS))
    persistent = CommitProperties(max_commit_retries=50)

    def write(writer: str) -> None:
        ready.wait()
        for number in range(COMMITS):
            write_deltalake(
                table, rows(writer, number), mode="append", storage_options=options, commit_properties=persistent
            )

    with ThreadPoolExecutor(len(WRITERS)) as threads:
        list(threads.map(write, WRITERS))

    delta = DeltaTable(table, storage_options=options)
    events = sorted((row["writer"], row["number"]) for row in delta.to_pyarrow_table().to_pylist())
    print(f"version {delta.version()}: {events}")
    assert events == sorted([("nobody", 0), *((writer, n) for writer in WRITERS for n in range(COMMITS))])
    assert [commit["version"] for commit in delta.history()] == list(range(COMMITS * len(WRITERS), -1, -1))


if __name__ == "__main__":
    main()
