"""Makes the buckets that a server is told to have from its start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

from post3.config import ConfigError
from post3.errors import BucketAlreadyExists
from post3.model.bucket import Bucket
from post3.model.identity import ROOT, Identity
from post3.storage.protocol import Buckets


def no_canned_acl(bucket: Bucket, canned_acl: str) -> Bucket:
    """Refuse what cannot be kept. Raises ConfigError."""
    if canned_acl:
        raise ConfigError(f"--buckets gives {bucket.name} the ACL {canned_acl}, and post3 keeps no ACLs yet.")
    return bucket


async def make_buckets(
    backend: Buckets,
    buckets: Iterable[tuple[str, str]],
    owner: Identity = ROOT,
    *,
    with_canned_acl: Callable[[Bucket, str], Bucket] = no_canned_acl,
) -> None:
    """Make those of the buckets (name, canned ACL or "") that are missing; one that is there stays as it is.

    Several processes may do so at once. `with_canned_acl` gives a new bucket its ACL.
    """
    for name, canned_acl in buckets:
        bucket = Bucket(id="", name=name, owner=owner.id, created=datetime.now(UTC))
        with suppress(BucketAlreadyExists):
            await backend.create_bucket(with_canned_acl(bucket, canned_acl))
