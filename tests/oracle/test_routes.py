"""botocore's model as judge of the operation table."""

from __future__ import annotations

import pytest

from post3.auth.authentication import UNSIGNED
from post3.errors import MethodNotAllowed, OperationNotImplemented
from post3.operations import OPERATIONS
from post3.operations.unsupported import UNSUPPORTED
from post3.s3.call import Call
from post3.s3.router import COPY_SOURCE, Router
from tests.oracle.model import BROWSERS, SAME_REQUEST, SERVICE, make_request, operations, request_for, required_query

ROUTER = Router(OPERATIONS)
ALIASES = {name: names[0] for names in UNSUPPORTED.values() for name in names} | SAME_REQUEST
DECLARED = sorted(set(OPERATIONS) - {names[0] for names in UNSUPPORTED.values()} - BROWSERS)


@pytest.mark.parametrize("name", operations())
def test_every_operation_of_the_model_is_declared_or_listed_as_unsupported(name: str) -> None:
    assert name in DECLARED or name in ALIASES


@pytest.mark.parametrize("name", [*DECLARED, *sorted(ALIASES)])
def test_every_operation_here_is_in_the_model(name: str) -> None:
    assert name in SERVICE.operation_names


@pytest.mark.parametrize("name", operations())
def test_a_request_as_botocore_writes_it_finds_its_operation(name: str) -> None:
    assert ROUTER.resolve(request_for(name)).name == ALIASES.get(name, name)


@pytest.mark.parametrize("name", DECLARED)
def test_verb_level_and_selectors_agree_with_the_model(name: str) -> None:
    ours, theirs = OPERATIONS[name], SERVICE.operation_model(name)
    path, _, query = theirs.http["requestUri"].partition("?")
    level = {"/": "root", "/{Bucket}": "bucket", "/{Bucket}/{Key+}": "object"}[path]
    selectors: frozenset[str] = frozenset({part for part in query.split("&") if part} | required_query(theirs))
    if "CopySource" in (theirs.input_shape.required_members if theirs.input_shape else ()):
        selectors |= {COPY_SOURCE}
    assert (ours.method, ours.level, ours.selectors) == (theirs.http["method"], level, selectors)


@pytest.mark.parametrize("names", UNSUPPORTED.values(), ids=lambda names: names[0])
async def test_an_unsupported_operation_answers_not_implemented(names: tuple[str, ...]) -> None:
    for name in names:
        request = request_for(name)
        operation = ROUTER.resolve(request)
        call = Call(request, operation, UNSIGNED, backend=None, gate=None, loaded=None)  # type: ignore[arg-type]
        with pytest.raises(OperationNotImplemented):
            await operation.handler(call)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/bucket", "/bucket/key"])
@pytest.mark.parametrize("query", ["brandNewThing", "brandNewThing=", "brandNewThing&x-id=Something"])
def test_a_subresource_that_nobody_knows_never_reaches_its_neighbour(method: str, path: str, query: str) -> None:
    with pytest.raises((OperationNotImplemented, MethodNotAllowed)):
        ROUTER.resolve(make_request(method, path, query))


@pytest.mark.parametrize("query", ["acl", "tagging", "uploadId=1", "partNumber=1", "legal-hold", "retention"])
def test_a_known_subresource_never_falls_through_to_a_delete(query: str) -> None:
    try:
        found = ROUTER.resolve(make_request("DELETE", "/bucket/key", query)).name
    except MethodNotAllowed:
        return
    assert found != "DeleteObject"
