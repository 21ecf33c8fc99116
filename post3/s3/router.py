"""Which operation a request asks for: one table, matched whole.

An operation is told from its siblings by verb, level and *selectors*: the query keys (or the copy header) that only it
has. A request must show exactly the selectors of one operation. What shows another subresource never falls through to
its neighbour: `DELETE /bucket?newthing` must not delete the bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from post3.errors import MethodNotAllowed, OperationNotImplemented
from post3.s3.address import Level

if TYPE_CHECKING:
    from post3.model.grants import Permission
    from post3.s3.call import Call
    from post3.s3.message import Request, Response

COPY_SOURCE: Final = "x-amz-copy-source"
"""The one selector that is a header."""

PREFLIGHT: Final = "OPTIONS"
"""The method by which browsers ask for leave. All else in such a request is that of the one to come."""

Handler: TypeAlias = "Callable[[Call], Awaitable[Response]]"
H = TypeVar("H", bound=Handler)


class Needs(Enum):
    """What an operation asks of whoever calls it, unless a bucket policy allows or denies its action.

    The names on the right are the permissions of ACLs.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions
    """

    NOTHING = ("", None)
    """It changes and tells nothing, or looks for itself."""
    USER = ("user", None)
    """Somebody who signs."""
    OWNER = ("bucket", None)
    """The bucket's owner."""
    LIST = ("bucket", "READ")
    WRITE = ("bucket", "WRITE")
    READ_BUCKET_ACL = ("bucket", "READ_ACP")
    WRITE_BUCKET_ACL = ("bucket", "WRITE_ACP")
    UPLOAD = ("upload", None)
    """The bucket's owner, or whoever began the upload; decided where it is loaded: `Call.check_upload`."""
    READ = ("object", "READ")
    """Of the version, and so decided where it is loaded: `Call.version`."""
    OBJECT_OWNER = ("object", None)
    """The object's owner: no ACL grants it."""
    READ_ACL = ("object", "READ_ACP")
    WRITE_ACL = ("object", "WRITE_ACP")

    def __init__(self, level: str, permission: Permission | None) -> None:
        self.level = level
        """Where it is decided: for the bucket, an upload, an object, or nowhere."""
        self.permission = permission
        """The ACL's permission that allows it; None: only who owns the bucket, or the object, may."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table."""

    name: str
    """As S3 spells it: GetObjectTagging."""
    method: str
    level: Level
    selectors: frozenset[str]
    """Query keys, `key=value` where the value tells, or the copy header."""
    parameters: frozenset[str]
    """Query keys that select a sibling, and are mere parameters here."""
    action: str
    """The right that it needs: s3:GetObjectTagging; empty where there is none."""
    handler: Handler
    needs: Needs
    loads_bucket: bool = True
    is_slow: bool = False
    """May take longer than clients wait in silence: answered with white space meanwhile."""
    asks_in_form: bool = False
    """Whether who asks is told by the form in the body, and the handler looks for itself."""

    @property
    def changes_bucket(self) -> bool:
        """Whether the bucket is not what it was once this is done."""
        return self.level == "bucket" and self.method in ("PUT", "DELETE")


OPERATIONS: Final[dict[str, Operation]] = {}
"""All that are declared, by name; filled by importing post3.operations."""


def operation(
    method: str,
    level: Level,
    *selectors: str,
    parameters: tuple[str, ...] = (),
    action: str | None = None,
    needs: Needs = Needs.OWNER,
    loads_bucket: bool = True,
    is_slow: bool = False,
    asks_in_form: bool = False,
) -> Callable[[H], H]:
    """Declare the function as an S3 operation; its name in snake case is the operation's name.

    Whoever says nothing of what it needs leaves it to the bucket's owner.
    """

    def declare(handler: H) -> H:
        name = "".join(word.capitalize() for word in handler.__name__.split("_"))
        add(
            Operation(
                name=name,
                method=method,
                level=level,
                selectors=frozenset(selectors),
                parameters=frozenset(parameters),
                action=f"s3:{name}" if action is None else action,
                handler=handler,
                needs=needs,
                loads_bucket=loads_bucket,
                is_slow=is_slow,
                asks_in_form=asks_in_form,
            )
        )
        return handler

    return declare


def add(row: Operation) -> None:
    """Put a row into the table. Raises ValueError when its name, or its selectors, are taken."""
    if row.name in OPERATIONS:
        raise ValueError(f"{row.name} is declared twice")
    for other in OPERATIONS.values():
        if (other.method, other.level, other.selectors) == (row.method, row.level, row.selectors):
            raise ValueError(f"{row.name} cannot be told from {other.name}")
    OPERATIONS[row.name] = row


class Router:
    """The table, arranged for look-ups."""

    def __init__(self, operations: dict[str, Operation]) -> None:
        self._rows: dict[tuple[str, Level], list[Operation]] = {}
        self._selectors: dict[Level, frozenset[str]] = {}
        for row in operations.values():
            self._rows.setdefault((row.method, row.level), []).append(row)
            self._selectors[row.level] = self._selectors.get(row.level, frozenset()) | row.selectors
        self._plain = {place: row for place, rows in self._rows.items() for row in rows if not row.selectors}
        """What is meant without a query."""
        self._keys = frozenset(name.partition("=")[0] for names in self._selectors.values() for name in names)

    def resolve(self, request: Request) -> Operation:
        """The operation asked for. Raises MethodNotAllowed, or NotImplemented for a subresource that nobody knows."""
        if not request.query:
            row = self._plain.get((request.method, request.address.level))
            if row is not None and not self._copies(request):
                return row
        level, shown = self._named(request)
        for row in self._rows.get((request.method, level), ()):
            if row.selectors <= shown <= row.selectors | row.parameters:
                return self._whole(row, request)
        raise MethodNotAllowed(Method=request.method, ResourceType=self._resource(level, shown))

    def _named(self, request: Request) -> tuple[Level, frozenset[str]]:
        """The level and the selectors that a request names; a preflight names nothing."""
        if request.method == PREFLIGHT:
            return "root", frozenset()
        level = request.address.level
        return level, self._shown(request, level)

    def _shown(self, request: Request, level: Level) -> frozenset[str]:
        known = self._selectors.get(level, frozenset())
        if not request.query:
            return known & {COPY_SOURCE} if self._copies(request) else frozenset()
        query = {name for key, value in request.query.items() for name in (key, f"{key}={value}")}
        if self._copies(request):
            query.add(COPY_SOURCE)
        return known & query

    @staticmethod
    def _copies(request: Request) -> bool:
        return request.method == "PUT" and COPY_SOURCE in request.headers

    def _whole(self, row: Operation, request: Request) -> Operation:
        """The row, unless a changing request names a subresource that is not the row's.

        That may be one which nobody knows, or one of another level: `DELETE /bucket?retention` is no DeleteBucket.
        """
        if request.query and request.method in ("PUT", "POST", "DELETE"):
            own = PARAMETERS.union(name.partition("=")[0] for name in row.selectors | row.parameters)
            foreign = sorted(request.valueless.union(self._keys.intersection(request.query)) - own)
            if foreign:
                raise OperationNotImplemented(Header=foreign[0])
        return row

    @staticmethod
    def _resource(level: Level, shown: frozenset[str]) -> str:
        return "&".join(sorted(shown)) or {"root": "SERVICE", "bucket": "BUCKET", "object": "OBJECT"}[level]


PARAMETERS: Final = frozenset({"versionId", "x-id", "partNumber", "prefix", "delimiter", "marker", "encoding-type"})
"""Query keys of changing requests which may be empty and still name no subresource."""
