"""Object ownership: how it is set, who owns what is put, and which ACLs are accepted."""

from __future__ import annotations

import pytest

from post3.errors import (
    AccessControlListNotSupported,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    MalformedXML,
)
from post3.model.grants import ALL_USERS, LOG_DELIVERY, Grant, Grants, Permission, canned
from post3.model.ownership import (
    DEFAULT,
    OWNERSHIPS,
    SUBRESOURCE,
    ObjectOwnership,
    check_acl,
    check_bucket_acl,
    from_document,
    from_header,
    of_bucket,
    owner_of_object,
    to_document,
)
from post3.model.tree import Tree
from post3.s3.xml import parse, render
from tests.conftest import a_bucket

FULL: Permission = "FULL_CONTROL"
LAX: list[ObjectOwnership] = ["ObjectWriter", "BucketOwnerPreferred"]


@pytest.mark.parametrize("ownership", OWNERSHIPS.values())
def test_what_is_told_or_stored_is_read_again(ownership: ObjectOwnership) -> None:
    tree = to_document(ownership)
    whole = render("OwnershipControls", tree)
    assert f"<Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule>".encode() in whole
    assert from_document(parse(whole, "OwnershipControls")) == ownership
    assert of_bucket(a_bucket("photos", configurations={SUBRESOURCE: tree})) == ownership
    assert from_header(ownership) == ownership


def test_a_bucket_without_the_document_leaves_objects_to_their_writers() -> None:
    assert of_bucket(a_bucket("photos")) == DEFAULT == "ObjectWriter"


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"Rule": ""},
        {"Rule": {}},
        {"Rule": {"ObjectOwnership": ""}},
        {"Rule": {"ObjectOwnership": "bucketownerenforced"}},
        {"Rule": {"ObjectOwnership": ["ObjectWriter", "ObjectWriter"]}},
        {"Rule": [{"ObjectOwnership": "ObjectWriter"}, {"ObjectOwnership": "ObjectWriter"}]},
        {"ObjectOwnership": "ObjectWriter"},
    ],
)
def test_a_document_has_one_rule_of_a_known_value(tree: Tree) -> None:
    with pytest.raises(MalformedXML):
        from_document(tree)


@pytest.mark.parametrize("value", ["", "objectwriter", "BucketOwnerEnforced ", "None"])
def test_an_unknown_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        from_header(value)
    assert raised.value.details == {"ArgumentName": "x-amz-object-ownership", "ArgumentValue": value}


@pytest.mark.parametrize("canned_acl", [None, "private", "public-read", "bucket-owner-read"])
def test_an_object_is_its_writers_unless_ownership_is_enforced(canned_acl: str | None) -> None:
    assert owner_of_object("ObjectWriter", "alice", "bob", canned_acl) == "alice"
    assert owner_of_object("BucketOwnerPreferred", "alice", "bob", canned_acl) == "alice"
    assert owner_of_object("BucketOwnerEnforced", "alice", "bob", canned_acl) == "bob"


def test_an_object_is_handed_over_where_the_buckets_owner_is_preferred() -> None:
    assert owner_of_object("ObjectWriter", "alice", "bob", "bucket-owner-full-control") == "alice"
    assert owner_of_object("BucketOwnerPreferred", "alice", "bob", "bucket-owner-full-control") == "bob"
    assert owner_of_object("BucketOwnerEnforced", "alice", "bob", "bucket-owner-full-control") == "bob"


@pytest.mark.parametrize("ownership", LAX)
@pytest.mark.parametrize("canned_acl", [None, "private", "public-read"])
def test_any_acl_is_accepted_where_they_count(ownership: ObjectOwnership, canned_acl: str | None) -> None:
    grants = canned_acl and canned(canned_acl, "alice", "bob", of_bucket=False)
    check_acl(ownership, canned_acl, grants or None, "bob")
    check_acl(ownership, None, (Grant(ALL_USERS, "WRITE"),), "bob")


def test_where_they_do_not_count_an_acl_must_say_what_holds_anyway() -> None:
    check_acl("BucketOwnerEnforced", None, None, "bob")
    check_acl("BucketOwnerEnforced", None, (Grant("bob", FULL),), "bob")
    owned = owner_of_object("BucketOwnerEnforced", "alice", "bob", "bucket-owner-full-control")
    grants = canned("bucket-owner-full-control", owned, "bob", of_bucket=False)
    check_acl("BucketOwnerEnforced", "bucket-owner-full-control", grants, "bob")


@pytest.mark.parametrize("name", ["private", "public-read", "bucket-owner-read", "authenticated-read", "aws-exec-read"])
def test_any_other_canned_acl_is_refused_where_they_do_not_count(name: str) -> None:
    with pytest.raises(AccessControlListNotSupported):
        check_acl("BucketOwnerEnforced", name, canned(name, "bob", "bob", of_bucket=False), "bob")


@pytest.mark.parametrize(
    "grants",
    [
        (),
        (Grant("alice", FULL),),
        (Grant("bob", "READ"),),
        (Grant("bob", FULL), Grant("alice", "READ")),
        (Grant("bob", FULL), Grant(ALL_USERS, "READ")),
    ],
    ids=str,
)
def test_any_other_grants_are_refused_where_they_do_not_count(grants: Grants) -> None:
    with pytest.raises(AccessControlListNotSupported):
        check_acl("BucketOwnerEnforced", None, grants, "bob")


def test_ownership_is_enforced_on_a_bucket_that_lets_nobody_else_in() -> None:
    accepted: list[Grants | None] = [None, (), (Grant("bob", FULL),), (Grant("bob", "READ"),)]
    refused: list[Grants] = [
        (Grant("bob", FULL), Grant("alice", "READ")),
        (Grant(ALL_USERS, "READ"), Grant("bob", FULL)),
        (Grant(LOG_DELIVERY, "WRITE"),),
    ]
    for grants in accepted:
        check_bucket_acl("BucketOwnerEnforced", grants, "bob")
    for grants in refused:
        with pytest.raises(InvalidBucketAclWithObjectOwnership):
            check_bucket_acl("BucketOwnerEnforced", grants, "bob")
        for ownership in LAX:
            check_bucket_acl(ownership, grants, "bob")
