"""A bucket's versioning: never set, enabled, or suspended."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from post3.errors import IllegalVersioningConfigurationException, MalformedXML, OperationNotImplemented
from post3.model.bucket import VERSIONING_STATES, Bucket
from post3.model.tree import text
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import operation

ROOT: Final = "VersioningConfiguration"


@operation("GET", "bucket", "versioning")
async def get_bucket_versioning(call: Call) -> Response:
    """The state; without Status when it was never set."""
    return document(ROOT, {"Status": call.bucket.versioning or None})


@operation("PUT", "bucket", "versioning")
async def put_bucket_versioning(call: Call) -> Response:
    """Enable or suspend; there is no way back to a bucket that never had versions."""
    configuration = await call.document(ROOT)
    status = text(configuration, "Status")
    if status is None:
        raise IllegalVersioningConfigurationException
    if status not in VERSIONING_STATES:
        raise MalformedXML
    if text(configuration, "MfaDelete") == "Enabled":
        raise OperationNotImplemented(Element="MfaDelete")

    def change(bucket: Bucket) -> Bucket:
        return replace(bucket, configurations={**bucket.configurations, "versioning": {"Status": status}})

    await call.update_bucket(change)
    return Response()
