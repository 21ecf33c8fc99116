"""Access control lists: who is granted what on a bucket or an object.

A list holds grants of a permission to a user or to a group, and allows only: nothing in it forbids. It is given by the
name of a *canned* list, by headers that each grant one permission, or by a document; where none is given, it is the
owner's alone.

Whoever asks without saying who they are is no user, though their objects have an owner's id (ANONYMOUS): a grant to
that id, and the ownership of such an object, admits nobody, since one of them cannot be told from any other.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from post3.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    MalformedXML,
    UnresolvableGrantByEmailAddress,
)
from post3.model.identity import ANONYMOUS, Identity
from post3.model.tree import TYPE, Tree, each, one, text

Permission = Literal["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]
PERMISSIONS: Final[Mapping[str, Permission]] = {
    "READ": "READ",
    "WRITE": "WRITE",
    "READ_ACP": "READ_ACP",
    "WRITE_ACP": "WRITE_ACP",
    "FULL_CONTROL": "FULL_CONTROL",
}
MAX_GRANTS: Final = 100
"""Of one list."""

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
PUBLIC_GROUPS: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS})
"""The groups that anybody can be in: whoever may make themselves a user is authenticated."""
GROUPS: Final = PUBLIC_GROUPS | {LOG_DELIVERY}


class Grant(NamedTuple):
    """One permission for one user or group."""

    grantee: str
    """A user's id, or a group's URI."""
    permission: Permission

    @property
    def is_group(self) -> bool:
        """Whether it is a group that gets the permission."""
        return self.grantee in GROUPS


Grants: TypeAlias = tuple[Grant, ...]
"""A list. Where there may be none (`Grants | None`), None means the owner alone, with everything."""


class Directory(Protocol):
    """The users that grants can name."""

    def by_id(self, id: str) -> Identity | None:
        """The user of this id."""

    def by_email(self, email: str) -> Identity | None:
        """The user of this email address."""


# What a list allows


def in_force(grants: Grants | None, owner: str) -> Grants:
    """The list that holds for a bucket or an object of this owner, whether or not one was given."""
    return (Grant(owner, "FULL_CONTROL"),) if grants is None else grants


def permits(grants: Grants, identity: Identity, permission: Permission, *, ignore_public: bool = False) -> bool:
    """Whether any of the grants gives somebody the permission; grants to public groups may be left out of account."""
    names = _names(identity) - PUBLIC_GROUPS if ignore_public else _names(identity)
    return any(grant.grantee in names and grant.permission in (permission, "FULL_CONTROL") for grant in grants)


def _names(identity: Identity) -> frozenset[str]:
    """All that a grant can call somebody."""
    if identity.id == ANONYMOUS.id:
        return frozenset({ALL_USERS})
    return frozenset({identity.id, ALL_USERS, AUTHENTICATED_USERS})


def is_public(grants: Grants) -> bool:
    """Whether any permission is granted to a public group.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    return any(grant.grantee in PUBLIC_GROUPS for grant in grants)


# Lists by name

_TO_GROUPS: Final[Mapping[str, Grants]] = {
    "private": (),
    "public-read": (Grant(ALL_USERS, "READ"),),
    "public-read-write": (Grant(ALL_USERS, "READ"), Grant(ALL_USERS, "WRITE")),
    "authenticated-read": (Grant(AUTHENTICATED_USERS, "READ"),),
    # It grants READ to Amazon EC2, which is nobody here: the owner is left.
    "aws-exec-read": (),
}
_TO_GROUPS_OF_BUCKETS: Final[Mapping[str, Grants]] = {
    **_TO_GROUPS,
    "log-delivery-write": (Grant(LOG_DELIVERY, "WRITE"), Grant(LOG_DELIVERY, "READ_ACP")),
}
_TO_BUCKET_OWNER: Final[Mapping[str, Permission]] = {
    "bucket-owner-read": "READ",
    "bucket-owner-full-control": "FULL_CONTROL",
}


def canned(name: str, owner: str, bucket_owner: str, *, of_bucket: bool) -> Grants:
    """The canned list of this name, for a bucket or object of that owner; groups first, then the owner.

    Those for the bucket's owner are `private` on a bucket. Raises InvalidArgument for an unknown name, and for
    log-delivery-write on an object.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
    """
    everything = Grant(owner, "FULL_CONTROL")
    to_groups = _TO_GROUPS_OF_BUCKETS if of_bucket else _TO_GROUPS
    if name in to_groups:
        return (*to_groups[name], everything)
    if name not in _TO_BUCKET_OWNER:
        raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=name)
    if of_bucket or owner == bucket_owner:
        return (everything,)
    return (everything, Grant(bucket_owner, _TO_BUCKET_OWNER[name]))


# Lists by headers

GRANT_HEADERS: Final[Mapping[str, Permission]] = {
    "x-amz-grant-read": "READ",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-read-acp": "READ_ACP",
    "x-amz-grant-write-acp": "WRITE_ACP",
    "x-amz-grant-full-control": "FULL_CONTROL",
}
_GRANTEE: Final = re.compile(r'\s*(id|uri|emailaddress)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*(?:,|$)', re.ASCII | re.I)


def from_headers(
    headers: Mapping[str, str], owner: str, bucket_owner: str, directory: Directory, *, of_bucket: bool
) -> Grants | None:
    """The list that a request's headers (lower-case names) give a bucket or object of that owner; None for none.

    Grants by header come in the order of GRANT_HEADERS, and are all: the owner gets nothing unless named. Raises
    InvalidRequest for a canned list beside grants, InvalidArgument for what names no canned list, user or group,
    UnresolvableGrantByEmailAddress, and MalformedACLError for more than MAX_GRANTS.
    """
    name = headers.get("x-amz-acl")
    given = [(header, permission) for header, permission in GRANT_HEADERS.items() if header in headers]
    if name is not None and given:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if name is not None:
        return canned(name, owner, bucket_owner, of_bucket=of_bucket)
    if not given:
        return None
    named = [(kind, value, permission) for header, permission in given for kind, value in _named(header, headers)]
    _check_count(len(named))
    return tuple(Grant(_BY_HEADER[kind](value, owner, directory), permission) for kind, value, permission in named)


def _named(header: str, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The grantees of a header such as `id="alice", uri="http://…"`: their kinds and values."""
    value, place = headers[header], 0
    while place < len(value) or not place:
        match = _GRANTEE.match(value, place)
        if match is None:
            raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=value)
        yield match[1].lower(), match[2] if match[3] is None else match[3]
        place = match.end()


# Grantees, by what they are called


def _by_id(value: str, owner: str, directory: Directory) -> str:
    # The owner may be somebody whom the directory no longer has, and keep what they have.
    if value != owner and directory.by_id(value) is None:
        raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value)
    return value


def _by_email(value: str, _owner: str, directory: Directory) -> str:
    identity = directory.by_email(value) if value else None
    if identity is None:
        raise UnresolvableGrantByEmailAddress(EmailAddress=value)
    return identity.id


def _by_uri(value: str, _owner: str, _directory: Directory) -> str:
    if value not in GROUPS:
        raise InvalidArgument("Invalid group uri", ArgumentName="Group/URI", ArgumentValue=value)
    return value


_Resolve: TypeAlias = Callable[[str, str, Directory], str]
_BY_HEADER: Final[Mapping[str, _Resolve]] = {"id": _by_id, "uri": _by_uri, "emailaddress": _by_email}
_BY_ELEMENT: Final[Mapping[str | None, tuple[str, _Resolve]]] = {
    "CanonicalUser": ("ID", _by_id),
    "AmazonCustomerByEmail": ("EmailAddress", _by_email),
    "Group": ("URI", _by_uri),
}
"""By xsi:type: the element that names the grantee."""


# Lists by document


def from_document(tree: Tree, owner: str, directory: Directory) -> Grants:
    """The list of an AccessControlPolicy, for a bucket or object of that owner; it may be empty.

    Raises MalformedACLError, also for more than MAX_GRANTS; AccessDenied when it names another owner; InvalidArgument
    for unknown ids and groups; UnresolvableGrantByEmailAddress.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
    """
    try:
        _check_owner(text(one(tree, "Owner"), "ID"), owner, directory)
        listed = _listed(tree)
        _check_count(len(listed))
        return tuple(_parse_grant(grant, owner, directory) for grant in listed)
    except MalformedXML as error:
        raise MalformedACLError from error


def _check_owner(named: str | None, owner: str, directory: Directory) -> None:
    if not named:
        raise MalformedACLError
    if _by_id(named, owner, directory) != owner:
        raise AccessDenied("An access control list cannot change the owner.")


def _listed(tree: Tree) -> list[Tree]:
    value = tree.get("AccessControlList")
    if isinstance(value, str) and not value.strip():
        return []  # an element without children is text
    return list(each(one(tree, "AccessControlList"), "Grant"))


def _parse_grant(tree: Tree, owner: str, directory: Directory) -> Grant:
    grantee = one(tree, "Grantee")
    permission = PERMISSIONS.get(text(tree, "Permission") or "")
    named = _BY_ELEMENT.get(text(grantee, TYPE))
    if permission is None or named is None:
        raise MalformedACLError
    element, resolve = named
    value = text(grantee, element)
    if value is None:
        raise MalformedACLError
    return Grant(resolve(value, owner, directory), permission)


def _check_count(count: int) -> None:
    if count > MAX_GRANTS:
        raise MalformedACLError(f"An access control list has at most {MAX_GRANTS} grants.")


def to_document(grants: Grants | None, owner: Identity, directory: Directory) -> Tree:
    """The AccessControlPolicy that tells of a list; groups stand before users, as AWS shows those of canned lists."""
    shown = sorted(in_force(grants, owner.id), key=lambda grant: not grant.is_group)
    return {
        "Owner": _user(owner.id, owner),
        "AccessControlList": {
            "Grant": [
                {"Grantee": _told_grantee(grant, owner, directory), "Permission": grant.permission} for grant in shown
            ]
        },
    }


def _told_grantee(grant: Grant, owner: Identity, directory: Directory) -> Tree:
    if grant.is_group:
        return {TYPE: "Group", "URI": grant.grantee}
    known = owner if grant.grantee == owner.id else directory.by_id(grant.grantee)
    return {TYPE: "CanonicalUser", **_user(grant.grantee, known)}


def _user(id: str, known: Identity | None) -> Tree:
    """Without a name for somebody who has none, or is no longer known."""
    return {"ID": id, "DisplayName": (known and known.display_name) or None}
