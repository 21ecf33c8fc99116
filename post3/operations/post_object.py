"""Browser uploads: an object as one part of a form, with the right to send it in another.

Who asks is told by the form, so nothing of this is looked at before the bucket is there and the form's fields have
come. From then on it is a PutObject whose headers are the fields and whose body is the file.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from post3.auth.post_policy import PostPolicy, parse_post_policy, substitute_filename
from post3.errors import (
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    MalformedPOSTRequest,
)
from post3.model.object import ObjectVersion
from post3.model.tagging import HEADER as TAGGING
from post3.model.tagging import object_tags, to_header
from post3.operations.objects import put, put_headers
from post3.operations.unsupported import refuse_unsupported_headers
from post3.s3.call import Call
from post3.s3.forms import Data, FieldsReady, FormDecoder, parse_boundary
from post3.s3.headers import quoted
from post3.s3.message import Response
from post3.s3.router import OPERATIONS, Needs, operation
from post3.s3.xml import parse, render

UNBOUNDED: Final = (0, 2**63)
_HEADERS: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
    }
)
"""Fields that mean what the header of their name does. So do those that begin with x-amz-."""
_OF_BROWSER: Final = ("host", "referer", "user-agent")
"""Headers of the form's own request that stay: a bucket's policy may ask for them."""
_OF_SIGNATURE: Final = frozenset(
    f"x-amz-{name}" for name in ("algorithm", "credential", "date", "signature", "content-sha256", "security-token")
)
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header can hold; a field can."""


@operation("POST", "bucket", action="s3:PutObject", needs=Needs.NOTHING, asks_in_form=True)
async def post_object(call: Call) -> Response:
    """Store the form's file under the key that the form names."""
    form = _Form(call.take_pieces(), parse_boundary(call.headers.get("content-type", "")))
    ready = await form.fields()
    proof = call.gate.identify_form(ready.fields, call.now)
    fields = substitute_filename(ready.fields, ready.filename)
    key = fields.get("key", "")
    if not key:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ArgumentName="key",
        )
    policy = _allowed(call, fields)
    request = replace(
        call.request,
        address=call.request.address._replace(key=key),
        query={},
        headers=_as_headers(call, fields),
        body=_within(form.file(), policy.size_range if policy and policy.size_range else UNBOUNDED),
    )
    inner = Call(request, OPERATIONS["PutObject"], proof, call.backend, call.gate, call.bucket, call.keys, call.clock)
    inner.authorise()
    refuse_unsupported_headers(request.headers, inner.operation)
    return _answer(inner, fields, await put(inner))


def _allowed(call: Call, fields: Mapping[str, str]) -> PostPolicy | None:
    """The form's policy, when it allows this form; None without one. Raises AccessDenied, InvalidPolicyDocument."""
    if "policy" not in fields:
        return None
    policy = parse_post_policy(fields["policy"])
    policy.check_time(call.now)
    policy.check_fields(fields, call.bucket.name)
    return policy


def _as_headers(call: Call, fields: Mapping[str, str]) -> dict[str, str]:
    """The headers that a PutObject with these fields would have."""
    headers = {
        name: value
        for name, value in fields.items()
        if name in _HEADERS or (name.startswith("x-amz-") and name not in _OF_SIGNATURE)
    }
    if "acl" in fields:
        headers["x-amz-acl"] = fields["acl"]
    if fields.get("tagging"):
        headers[TAGGING] = to_header(object_tags(parse(fields["tagging"].encode(), "Tagging")))
    for name, value in headers.items():
        if _UNWRITABLE.search(value):
            raise InvalidArgument("Header fields must not hold control characters.", ArgumentName=name)
    kept = {name: call.headers[name] for name in _OF_BROWSER if name in call.headers}
    return {**headers, **kept, "transfer-encoding": "chunked"}


async def _within(pieces: AsyncIterator[bytes], sizes: tuple[int, int]) -> AsyncIterator[bytes]:
    """The same pieces. Raises EntityTooLarge, or at their end EntityTooSmall, unless they are as long as allowed."""
    low, high = sizes
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > high:
            raise EntityTooLarge(ProposedSize=size, MaxSizeAllowed=high)
        yield piece
    if size < low:
        raise EntityTooSmall(ProposedSize=size, MinSizeAllowed=low)


class _Form:
    """A form as it arrives: its fields first, then its file."""

    def __init__(self, pieces: AsyncIterator[bytes], boundary: bytes) -> None:
        self._pieces = pieces
        self._decoder = FormDecoder(boundary)
        self._begun: list[bytes] = []
        """Of the file, what came with the fields."""

    async def fields(self) -> FieldsReady:
        """All that comes before the file. Raises MalformedPOSTRequest and the like."""
        ready: FieldsReady | None = None
        async for piece in self._pieces:
            for event in self._decoder.feed(piece):
                if isinstance(event, FieldsReady):
                    ready = event
                elif isinstance(event, Data):
                    self._begun.append(bytes(event.data))
            if ready is not None:
                return ready
        self._decoder.finish()
        raise MalformedPOSTRequest

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes. Raises MalformedPOSTRequest at their end, unless the whole form is well-formed."""
        for data in self._begun:
            yield data
        async for piece in self._pieces:
            for event in self._decoder.feed(piece):
                if isinstance(event, Data):
                    yield bytes(event.data)
        self._decoder.finish()


def _answer(call: Call, fields: Mapping[str, str], stored: ObjectVersion) -> Response:
    headers = put_headers(call.bucket, stored)
    redirect = _redirect(fields.get("success_action_redirect", fields.get("redirect", "")), stored)
    if redirect:
        return Response(303, {**headers, "location": redirect})
    place = "" if call.request.host_bucket else f"/{stored.bucket}"
    headers["location"] = f"{call.request.base_url}{place}/{quote(stored.key)}"
    status = {"200": 200, "201": 201}.get(fields.get("success_action_status", ""), 204)
    if status != 201:
        return Response(status, headers)
    tree = {
        "Location": headers["location"],
        "Bucket": stored.bucket,
        "Key": stored.key,
        "ETag": quoted(stored.etag),
    }
    return Response(201, {**headers, "content-type": "application/xml"}, render("PostResponse", tree, namespace=""))


def _redirect(target: str, stored: ObjectVersion) -> str:
    """Where the browser is sent, with what was stored in the query; empty for what is no URL, as S3 leaves that out."""
    try:
        url = urlsplit(target)
    except ValueError:
        return ""
    if url.scheme not in ("http", "https") or not url.netloc or _UNWRITABLE.search(target):
        return ""
    told = urlencode({"bucket": stored.bucket, "key": stored.key, "etag": quoted(stored.etag)}, quote_via=quote)
    query = f"{url.query}&{told}" if url.query else told
    return quote(urlunsplit(url._replace(query=query)), safe=string.punctuation)
