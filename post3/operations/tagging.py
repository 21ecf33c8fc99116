"""Tags of objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from post3.model.object import ObjectVersion
from post3.model.tagging import Tags, object_tags, to_document
from post3.operations.objects import hidden_by, version_header
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

ROOT: Final = "Tagging"


@operation("GET", "object", "tagging", needs=Needs.OBJECT_OWNER)
async def get_object_tagging(call: Call) -> Response:
    """The tags of a version; there may be none. A delete marker has none to ask for, even as the current one."""
    version = await call.version()
    if version.is_delete_marker:
        raise call.hidden(hidden_by(version, named=True))
    return document(ROOT, to_document(version.tags), headers=version_header(call, version))


@operation("PUT", "object", "tagging", needs=Needs.OBJECT_OWNER)
async def put_object_tagging(call: Call) -> Response:
    """Put tags in place of those that a version has."""
    call.tags = object_tags(await call.document(ROOT))
    return Response(headers=version_header(call, await _tag(call, call.tags)))


@operation("DELETE", "object", "tagging", needs=Needs.OBJECT_OWNER)
async def delete_object_tagging(call: Call) -> Response:
    """Take all tags from a version."""
    return Response(204, version_header(call, await _tag(call, {})))


async def _tag(call: Call, tags: Tags) -> ObjectVersion:
    def change(version: ObjectVersion) -> ObjectVersion:
        return replace(version, tags=tags)

    return await call.update_version(change)
