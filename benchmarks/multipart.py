"""Multipart uploads, as SDKs make them: some parts at a time, each on a connection of its own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Final

from benchmarks.bodies import MIB, body_of
from benchmarks.client import Outcome, told
from benchmarks.signing import Body
from benchmarks.stores import BUCKET, Failure, Store

PART: Final = 16 * MIB
PARTS: Final = 8
AT_A_TIME: Final = 4


@dataclass(frozen=True, slots=True)
class _Sent:
    number: int
    etag: str


def upload(store: Store, key: str, parts: int) -> None:
    """Upload an object of so many parts of 16 MiB. Raises Failure."""
    path = f"/{BUCKET}/{key}"
    told_id = re.search(rb"<UploadId>([^<]+)", store.want(store.signer.request("POST", path, {"uploads": ""})).body)
    if told_id is None:
        raise Failure("an upload was begun without an id")
    upload_id = told_id[1].decode()

    def send(number: int) -> _Sent:
        query = {"partNumber": str(number), "uploadId": upload_id}
        reply = store.want(store.signer.put(path, part_body(number), query))
        return _Sent(number, reply.header("etag"))

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        sent = list(threads.map(send, range(1, parts + 1)))
    named = "".join(f"<Part><PartNumber>{one.number}</PartNumber><ETag>{one.etag}</ETag></Part>" for one in sent)
    body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{named}</CompleteMultipartUpload>'
    reply = store.want(store.signer.request("POST", path, {"uploadId": upload_id}, Body(body.encode())))
    if b"<ETag>" not in reply.body:
        raise Failure(f"an upload was not completed: {told(reply)} {reply.body[:200]!r}")


def part_body(number: int) -> Body:
    """The bytes of a part: of a few different ones, so that a client need not make them anew."""
    return body_of(f"part-{number % PARTS}", PART)


def upload_again_and_again(store: Store, key: str, seconds: float) -> Outcome:
    """Uploads of 8 x 16 MiB one after the other, for so many seconds at least."""
    for number in range(1, PARTS + 1):  # hashed before the clock runs
        part_body(number).sha256, part_body(number).crc32  # remembered once asked for
    began, count = monotonic(), 0
    while monotonic() < began + seconds:
        upload(store, f"{key}-{count % 4}", PARTS)
        count += 1
    return Outcome(count, monotonic() - began, 0)
