"""Makes the buckets that a server is told to have from its start."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from post3.errors import BucketAlreadyExists
from post3.model.bucket import Bucket
from post3.model.grants import canned
from post3.model.identity import ROOT, Identity
from post3.storage.protocol import Buckets


async def make_buckets(backend: Buckets, buckets: Iterable[tuple[str, str]], owner: Identity = ROOT) -> None:
    """Make those of the buckets (name, canned ACL or "") that are missing; one that is there stays as it is.

    Several processes may do so at once.
    """
    for name, canned_acl in buckets:
        acl = canned(canned_acl, owner.id, owner.id, of_bucket=True) if canned_acl else None
        with suppress(BucketAlreadyExists):
            await backend.create_bucket(Bucket(id="", name=name, owner=owner.id, created=datetime.now(UTC), acl=acl))
