"""Access control lists: given by name, by headers and by document, told again, and what they allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from post3.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    S3Error,
    UnresolvableGrantByEmailAddress,
)
from post3.model.grants import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    GROUPS,
    LOG_DELIVERY,
    MAX_GRANTS,
    PERMISSIONS,
    Grant,
    Grants,
    Permission,
    canned,
    from_document,
    from_headers,
    in_force,
    is_public,
    permits,
    to_document,
)
from post3.model.identity import ANONYMOUS, Identity
from post3.model.tree import TYPE, Tree
from post3.s3.xml import parse, render

ALICE: Final = Identity("alice", "Alice A.", "alice@example.com")
BOB: Final = Identity("bob", "Bob B.", "bob@example.com")
NAMELESS: Final = Identity("nameless", "")
GONE: Final = Identity("gone", "Once known")
"""Somebody whom the directory no longer has."""


class Known:
    """A directory of three."""

    def by_id(self, id: str) -> Identity | None:
        return next((user for user in (ALICE, BOB, NAMELESS) if user.id == id), None)

    def by_email(self, email: str) -> Identity | None:
        return next((user for user in (ALICE, BOB, NAMELESS) if user.email == email), None)


KNOWN: Final = Known()
EVERYTHING: Final = Grant("alice", "FULL_CONTROL")
READERS: Final = Grant(ALL_USERS, "READ")


# By name


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("private", ()),
        ("public-read", (READERS,)),
        ("public-read-write", (READERS, Grant(ALL_USERS, "WRITE"))),
        ("authenticated-read", (Grant(AUTHENTICATED_USERS, "READ"),)),
        ("aws-exec-read", ()),
    ],
)
@pytest.mark.parametrize("of_bucket", [True, False])
def test_a_canned_list_names_groups_and_then_the_owner(name: str, before: Grants, of_bucket: bool) -> None:
    assert canned(name, "alice", "bob", of_bucket=of_bucket) == (*before, EVERYTHING)


@pytest.mark.parametrize(
    ("name", "permission"), [("bucket-owner-read", "READ"), ("bucket-owner-full-control", "FULL_CONTROL")]
)
def test_a_canned_list_names_the_buckets_owner_on_somebody_elses_object(name: str, permission: Permission) -> None:
    assert canned(name, "alice", "bob", of_bucket=False) == (EVERYTHING, Grant("bob", permission))
    assert canned(name, "alice", "alice", of_bucket=False) == (EVERYTHING,)
    assert canned(name, "alice", "alice", of_bucket=True) == (EVERYTHING,)


def test_logs_are_delivered_to_buckets_alone() -> None:
    assert canned("log-delivery-write", "alice", "alice", of_bucket=True) == (
        Grant(LOG_DELIVERY, "WRITE"),
        Grant(LOG_DELIVERY, "READ_ACP"),
        EVERYTHING,
    )
    with pytest.raises(InvalidArgument):
        canned("log-delivery-write", "alice", "alice", of_bucket=False)


@pytest.mark.parametrize("name", ["", "public", "Private", "public-read ", "public-ready", "FULL_CONTROL"])
@pytest.mark.parametrize("of_bucket", [True, False])
def test_an_unknown_name_is_refused(name: str, of_bucket: bool) -> None:
    with pytest.raises(InvalidArgument) as raised:
        canned(name, "alice", "alice", of_bucket=of_bucket)
    assert raised.value.details == {"ArgumentName": "x-amz-acl", "ArgumentValue": name}


# By headers


def by_headers(headers: Mapping[str, str], *, owner: str = "alice", of_bucket: bool = False) -> Grants | None:
    return from_headers(headers, owner, "bob", KNOWN, of_bucket=of_bucket)


def test_without_headers_no_list_is_given() -> None:
    assert by_headers({}) is None
    assert by_headers({"x-amz-meta-acl": "private", "x-amz-grant": "id=alice", "grant-read": "id=alice"}) is None


def test_a_header_names_a_canned_list() -> None:
    assert by_headers({"x-amz-acl": "public-read"}) == (READERS, EVERYTHING)
    assert by_headers({"x-amz-acl": "bucket-owner-read"}) == (EVERYTHING, Grant("bob", "READ"))
    assert by_headers({"x-amz-acl": "bucket-owner-read"}, of_bucket=True) == (EVERYTHING,)
    for name in ("", "nonsense"):
        with pytest.raises(InvalidArgument):
            by_headers({"x-amz-acl": name})


def test_grants_by_header_come_in_an_order_of_their_own_and_leave_the_owner_out() -> None:
    names = ["full-control", "write-acp", "read-acp", "write", "read"]
    granted = by_headers({f"x-amz-grant-{name}": "id=bob" for name in names})
    assert granted == tuple(Grant("bob", permission) for permission in PERMISSIONS.values())
    assert list(PERMISSIONS) == ["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]


@pytest.mark.parametrize(
    ("value", "grantees"),
    [
        ("id=bob", ["bob"]),
        ('id="bob"', ["bob"]),
        ('id="alice", id="bob"', ["alice", "bob"]),
        ("id=bob,id=alice", ["bob", "alice"]),
        (' id = "bob" , uri="http://acs.amazonaws.com/groups/global/AllUsers" ', ["bob", ALL_USERS]),
        ("uri=http://acs.amazonaws.com/groups/global/AuthenticatedUsers", [AUTHENTICATED_USERS]),
        ("uri=http://acs.amazonaws.com/groups/s3/LogDelivery", [LOG_DELIVERY]),
        ('emailAddress="bob@example.com"', ["bob"]),
        ("EMAILADDRESS=bob@example.com,ID=alice", ["bob", "alice"]),
        ("id=bob,", ["bob"]),
        ("id=bob,id=bob", ["bob", "bob"]),
    ],
)
def test_a_grant_header_names_grantees(value: str, grantees: list[str]) -> None:
    assert by_headers({"x-amz-grant-read": value}) == tuple(Grant(grantee, "READ") for grantee in grantees)


@pytest.mark.parametrize(
    "value",
    ["", " ", ",", "bob", "id", "id=", "id=,", "id=bob id=alice", "name=bob", 'id="bob', 'id="bob"x', "id=bob,,id=bob",
     "id=bob,alice", 'id=b"ob', "xid=bob"],
)  # fmt: skip
def test_a_grant_header_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="format not recognized") as raised:
        by_headers({"x-amz-grant-write-acp": value})
    assert raised.value.details == {"ArgumentName": "x-amz-grant-write-acp", "ArgumentValue": value}


UNKNOWN: Final = [
    ("id=carol", InvalidArgument),
    ("id=Bob", InvalidArgument),
    ('id=""', InvalidArgument),
    ("id=bob@example.com", InvalidArgument),
    (f"id={ALL_USERS}", InvalidArgument),
    (f"id={ANONYMOUS.id}", InvalidArgument),
    ("uri=bob", InvalidArgument),
    ("uri=http://acs.amazonaws.com/groups/global/allusers", InvalidArgument),
    ("emailAddress=carol@example.com", UnresolvableGrantByEmailAddress),
    ('emailAddress=""', UnresolvableGrantByEmailAddress),
    ("emailAddress=bob", UnresolvableGrantByEmailAddress),
]


@pytest.mark.parametrize(("value", "error"), UNKNOWN)
def test_a_grant_header_for_nobody_is_refused(value: str, error: type[S3Error]) -> None:
    with pytest.raises(error):
        by_headers({"x-amz-grant-read": f"id=bob,{value}"})


def test_a_canned_list_and_grants_are_not_given_together() -> None:
    for name in ("x-amz-grant-read", "x-amz-grant-full-control"):
        with pytest.raises(InvalidRequest):
            by_headers({"x-amz-acl": "private", name: "id=bob"})


def test_headers_grant_no_more_than_a_list_holds() -> None:
    read, write = (["id=bob"] * number for number in (MAX_GRANTS - 1, 2))
    assert len(by_headers({"x-amz-grant-read": ",".join(read), "x-amz-grant-write": write[0]}) or ()) == MAX_GRANTS
    with pytest.raises(MalformedACLError):
        by_headers({"x-amz-grant-read": ",".join(read), "x-amz-grant-write": ",".join(write)})


# By document


def a_document(*grants: Tree, owner: str = "alice") -> dict[str, Any]:
    """As it is parsed: one grant is no list, and none are text."""
    listed: Any = {"Grant": list(grants) if len(grants) > 1 else grants[0]} if grants else ""
    return {"Owner": {"ID": owner, "DisplayName": "whoever"}, "AccessControlList": listed}


def a_grant(kind: str = "CanonicalUser", element: str = "ID", value: Any = "bob", permission: Any = "READ") -> Tree:
    return {"Grantee": {TYPE: kind, element: value}, "Permission": permission}


def by_document(tree: Tree, owner: str = "alice") -> Grants:
    return from_document(tree, owner, KNOWN)


def test_a_document_names_users_and_groups() -> None:
    tree = a_document(
        a_grant(),
        a_grant("AmazonCustomerByEmail", "EmailAddress", "bob@example.com", "WRITE"),
        a_grant("Group", "URI", ALL_USERS, "READ_ACP"),
        a_grant("Group", "URI", LOG_DELIVERY, "WRITE_ACP"),
        {"Grantee": {TYPE: "CanonicalUser", "ID": "alice", "DisplayName": "x"}, "Permission": "FULL_CONTROL"},
    )
    assert by_document(tree) == (
        Grant("bob", "READ"),
        Grant("bob", "WRITE"),
        Grant(ALL_USERS, "READ_ACP"),
        Grant(LOG_DELIVERY, "WRITE_ACP"),
        EVERYTHING,
    )


def test_a_document_may_grant_one_thing_or_nothing() -> None:
    assert by_document(a_document(a_grant())) == (Grant("bob", "READ"),)
    assert by_document(a_document()) == ()
    assert by_document({**a_document(), "AccessControlList": "\n  "}) == ()


def test_an_owner_whom_nobody_knows_any_more_keeps_what_they_have() -> None:
    tree = a_document(a_grant(value="gone", permission="FULL_CONTROL"), owner="gone")
    assert by_document(tree, "gone") == (Grant("gone", "FULL_CONTROL"),)
    with pytest.raises(InvalidArgument):
        by_document(a_document(a_grant(value="gone")))


def test_a_document_cannot_change_the_owner() -> None:
    with pytest.raises(AccessDenied):
        by_document(a_document(a_grant(), owner="bob"))
    with pytest.raises(InvalidArgument, match="Invalid id"):
        by_document(a_document(a_grant(), owner="carol"))


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"Owner": {"ID": "alice"}},
        {"AccessControlList": {"Grant": a_grant()}},
        {**a_document(a_grant()), "Owner": ""},
        {**a_document(a_grant()), "Owner": "alice"},
        {**a_document(a_grant()), "Owner": {"DisplayName": "alice"}},
        {**a_document(a_grant()), "Owner": {"ID": ""}},
        {**a_document(a_grant()), "Owner": {"ID": ["alice", "alice"]}},
        {**a_document(a_grant()), "Owner": [{"ID": "alice"}, {"ID": "alice"}]},
        {**a_document(), "AccessControlList": "text"},
        {**a_document(), "AccessControlList": ["", ""]},
        {**a_document(), "AccessControlList": [{"Grant": a_grant()}, {"Grant": a_grant()}]},
        {**a_document(), "AccessControlList": {"Grant": "text"}},
        {**a_document(), "AccessControlList": {"Grant": [a_grant(), ""]}},
        a_document({"Grantee": {TYPE: "CanonicalUser", "ID": "bob"}}),
        a_document({"Permission": "READ"}),
        a_document({"Grantee": "bob", "Permission": "READ"}),
        a_document({"Grantee": [{TYPE: "CanonicalUser", "ID": "bob"}] * 2, "Permission": "READ"}),
        a_document({"Grantee": {"ID": "bob"}, "Permission": "READ"}),
        a_document(a_grant(permission="")),
        a_document(a_grant(permission="read")),
        a_document(a_grant(permission="FULL_CONTROL ")),
        a_document(a_grant(permission=["READ", "WRITE"])),
        a_document(a_grant(permission={"READ": ""})),
        a_document(a_grant(kind="User")),
        a_document(a_grant(kind="")),
        a_document(a_grant(kind="Group")),
        a_document(a_grant(element="URI", value=ALL_USERS)),
        a_document(a_grant(element="EmailAddress", value="bob@example.com")),
        a_document(a_grant(value=["bob", "alice"])),
        a_document(a_grant(value={"ID": "bob"})),
    ],
)
def test_a_document_of_another_form_is_refused(tree: Tree) -> None:
    with pytest.raises(MalformedACLError):
        by_document(tree)


@pytest.mark.parametrize(
    ("grant", "error", "message"),
    [
        (a_grant(value="_foo"), InvalidArgument, "Invalid id"),
        (a_grant(value=""), InvalidArgument, "Invalid id"),
        (a_grant(value=ALL_USERS), InvalidArgument, "Invalid id"),
        (a_grant(value=ANONYMOUS.id), InvalidArgument, "Invalid id"),
        (a_grant("Group", "URI", "bob"), InvalidArgument, "Invalid group uri"),
        (a_grant("Group", "URI", f"{ALL_USERS}/"), InvalidArgument, "Invalid group uri"),
        (
            a_grant("AmazonCustomerByEmail", "EmailAddress", "x@y.invalid"),
            UnresolvableGrantByEmailAddress,
            "email address",
        ),
        (a_grant("AmazonCustomerByEmail", "EmailAddress", ""), UnresolvableGrantByEmailAddress, "email address"),
    ],
)
def test_a_document_that_grants_to_nobody_is_refused(grant: Tree, error: type[S3Error], message: str) -> None:
    with pytest.raises(error, match=message):
        by_document(a_document(a_grant(), grant))


def test_a_document_grants_no_more_than_a_list_holds() -> None:
    assert len(by_document(a_document(*[a_grant()] * MAX_GRANTS))) == MAX_GRANTS
    with pytest.raises(MalformedACLError, match="100"):
        by_document(a_document(*[a_grant()] * (MAX_GRANTS + 1)))


# Told


def test_no_list_is_told_as_the_owner_with_everything() -> None:
    assert to_document(None, ALICE, KNOWN) == {
        "Owner": {"ID": "alice", "DisplayName": "Alice A."},
        "AccessControlList": {
            "Grant": [
                {
                    "Grantee": {TYPE: "CanonicalUser", "ID": "alice", "DisplayName": "Alice A."},
                    "Permission": "FULL_CONTROL",
                }
            ]
        },
    }


def told(grants: Grants, owner: Identity = ALICE) -> list[Any]:
    access: Any = to_document(grants, owner, KNOWN)["AccessControlList"]
    return list(access["Grant"])


def test_groups_are_told_first_and_otherwise_the_order_is_kept() -> None:
    grants = (EVERYTHING, Grant(ALL_USERS, "WRITE"), Grant("bob", "READ"), Grant(LOG_DELIVERY, "READ"), READERS)
    told_grants = [
        (grant["Grantee"].get("ID", grant["Grantee"].get("URI")), grant["Permission"]) for grant in told(grants)
    ]
    assert told_grants == [grants[1], grants[3], grants[4], grants[0], grants[2]]


def test_a_group_is_told_by_its_uri() -> None:
    assert told((READERS,)) == [{"Grantee": {TYPE: "Group", "URI": ALL_USERS}, "Permission": "READ"}]


@pytest.mark.parametrize(
    ("owner", "grantee", "name"),
    [(ALICE, "bob", "Bob B."), (ALICE, "gone", None), (GONE, "gone", "Once known"), (ALICE, "nameless", None)],
)
def test_a_user_is_told_by_id_and_name_if_they_have_one(owner: Identity, grantee: str, name: str | None) -> None:
    (grant,) = told((Grant(grantee, "READ"),), owner)
    assert grant["Grantee"] == {TYPE: "CanonicalUser", "ID": grantee, "DisplayName": name}


LISTS: Final[list[Grants]] = [
    (),
    (EVERYTHING,),
    (READERS, EVERYTHING),
    tuple(Grant(LOG_DELIVERY, permission) for permission in PERMISSIONS.values()),
    (Grant(AUTHENTICATED_USERS, "READ"), Grant("bob", "READ_ACP"), EVERYTHING),
]


@pytest.mark.parametrize("grants", LISTS, ids=str)
def test_what_is_told_can_be_given(grants: Grants) -> None:
    whole = render("AccessControlPolicy", to_document(grants, ALICE, KNOWN))
    assert by_document(parse(whole, "AccessControlPolicy")) == grants


@pytest.mark.parametrize("grants", LISTS, ids=str)
def test_botocore_reads_what_is_told_and_is_read_itself(grants: Grants) -> None:
    operation = botocore.session.get_session().get_service_model("s3").operation_model("PutBucketAcl")
    answer = operation.service_model.operation_model("GetBucketAcl")
    whole = render("AccessControlPolicy", to_document(grants, ALICE, KNOWN))
    response: Any = {"headers": {}, "status_code": 200, "body": whole}
    assert answer.output_shape is not None
    read = create_parser("rest-xml").parse(response, answer.output_shape)
    assert read["Owner"] == {"ID": "alice", "DisplayName": "Alice A."}
    assert [_as_grant(grant) for grant in read["Grants"]] == list(grants)
    policy = {"Owner": read["Owner"], "Grants": read["Grants"]}
    sent: Any = create_serializer("rest-xml").serialize_to_request(
        {"Bucket": "bucket", "AccessControlPolicy": policy}, operation
    )
    assert by_document(parse(sent["body"], "AccessControlPolicy")) == grants


def _as_grant(told_grant: Any) -> Grant:
    grantee = dict(told_grant["Grantee"])
    kind = grantee.pop("Type")
    called = grantee.pop("URI" if kind == "Group" else "ID")
    known = KNOWN.by_id(called)
    assert grantee == ({"DisplayName": known.display_name} if known else {})
    return Grant(called, told_grant["Permission"])


# What a list allows


def allowed(grants: Grants, identity: Identity, *, ignore_public: bool = False) -> set[str]:
    return {
        permission
        for permission in PERMISSIONS.values()
        if permits(grants, identity, permission, ignore_public=ignore_public)
    }


def test_no_list_is_the_owners_alone() -> None:
    assert in_force(None, "alice") == (EVERYTHING,)
    assert in_force((), "alice") == ()
    assert in_force((READERS,), "alice") == (READERS,)


@pytest.mark.parametrize("permission", PERMISSIONS.values())
def test_a_grant_gives_its_permission_to_its_grantee_alone(permission: Permission) -> None:
    grants = (Grant("bob", permission),)
    assert allowed(grants, BOB) == (set(PERMISSIONS) if permission == "FULL_CONTROL" else {permission})
    for other in (ALICE, ANONYMOUS, Identity("Bob", "Bob B."), Identity("bo", ""), Identity("", "bob", "bob")):
        assert allowed(grants, other) == set()


def test_full_control_is_more_than_all_other_permissions_together() -> None:
    grants = tuple(Grant("bob", permission) for permission in PERMISSIONS.values() if permission != "FULL_CONTROL")
    assert allowed(grants, BOB) == set(PERMISSIONS) - {"FULL_CONTROL"}


def test_permissions_of_several_grants_add_up() -> None:
    grants = (Grant("bob", "READ"), Grant(ALL_USERS, "READ_ACP"), Grant(AUTHENTICATED_USERS, "WRITE"), EVERYTHING)
    assert allowed(grants, BOB) == {"READ", "READ_ACP", "WRITE"}
    assert allowed(grants, NAMELESS) == {"READ_ACP", "WRITE"}
    assert allowed(grants, ANONYMOUS) == {"READ_ACP"}
    assert allowed((), ALICE) == set()


def test_all_users_are_everybody_and_authenticated_users_are_who_say_who_they_are() -> None:
    for identity in (ALICE, BOB, ANONYMOUS):
        assert allowed((READERS,), identity) == {"READ"}
        assert allowed((Grant(LOG_DELIVERY, "READ"),), identity) == set()
    assert allowed((Grant(AUTHENTICATED_USERS, "READ"),), BOB) == {"READ"}
    assert allowed((Grant(AUTHENTICATED_USERS, "READ"),), ANONYMOUS) == set()


def test_the_anonymous_are_no_user_who_could_be_granted_anything() -> None:
    assert allowed((Grant(ANONYMOUS.id, "FULL_CONTROL"),), ANONYMOUS) == set()
    assert allowed((Grant(ANONYMOUS.id, "FULL_CONTROL"),), BOB) == set()


def test_public_grants_can_be_left_out_of_account() -> None:
    grants = (Grant(ALL_USERS, "FULL_CONTROL"), Grant(AUTHENTICATED_USERS, "READ"), Grant("bob", "WRITE"))
    assert allowed(grants, BOB, ignore_public=True) == {"WRITE"}
    assert allowed(grants, ANONYMOUS, ignore_public=True) == set()


@pytest.mark.parametrize("permission", PERMISSIONS.values())
def test_a_list_is_public_if_a_public_group_gets_anything(permission: Permission) -> None:
    assert is_public((EVERYTHING, Grant(ALL_USERS, permission)))
    assert is_public((Grant(AUTHENTICATED_USERS, permission),))
    assert not is_public((EVERYTHING, Grant("bob", permission), Grant(LOG_DELIVERY, permission)))
    assert not is_public(())


def test_a_grant_knows_whether_it_is_a_groups() -> None:
    assert all(Grant(group, "READ").is_group for group in GROUPS)
    assert not Grant("bob", "READ").is_group
