"""Preflights: browsers ask, on behalf of a page from elsewhere, whether it may send a request.

They sign nothing and need not: the answer tells what the bucket's rules allow, and nothing of what is in it. What AWS
answers is not documented; its order is: an origin, a bucket, rules, a method, a rule that fits.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html
"""

from __future__ import annotations

from post3.errors import AccessForbidden, BadRequest, NoSuchBucket
from post3.model import cors
from post3.s3.call import Call
from post3.s3.message import Response
from post3.s3.router import PREFLIGHT, Needs, operation


@operation(PREFLIGHT, "root", action="", needs=Needs.NOTHING, loads_bucket=False)
async def preflight(call: Call) -> Response:
    """Tell of the first rule that fits. Raises BadRequest, and AccessForbidden where none does."""
    question = cors.read_question(call.headers, PREFLIGHT)
    if question is None:
        raise BadRequest
    rules = await _rules(call, question)
    if question.method not in cors.METHODS:
        method = call.headers.get(cors.REQUEST_METHOD) or "null"
        raise BadRequest(f"Invalid Access-Control-Request-Method: {method}")
    headers = cors.answer(rules, question)
    if not headers:
        raise AccessForbidden(Method=question.method, ResourceType="OBJECT" if call.key else "BUCKET")
    return Response(headers=headers)


async def _rules(call: Call, question: cors.Question) -> cors.Rules:
    """The rules of the bucket that the path names, as they are now. Raises AccessForbidden where there are none."""
    name = call.request.address.bucket
    try:
        bucket = await call.backend.get_bucket(name) if name else None
    except NoSuchBucket:
        bucket = None
    rules = cors.of_bucket(bucket) if bucket else ()
    if not rules:
        why = "CORS is not enabled for this bucket." if bucket else "Bucket not found"
        raise AccessForbidden(f"CORSResponse: {why}", Method=question.method, ResourceType="BUCKET")
    return rules
