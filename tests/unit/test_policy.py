"""Bucket policies: what a document may say, whom and what a statement speaks of, and which policies are public."""

from __future__ import annotations

import json
from typing import Any

import pytest

from post3.errors import MalformedPolicy
from post3.model.policy import MAX_SIZE, Verdict, is_public, parse_policy
from tests.policies import ARN, BUCKET, ask, document, policy, statement

ALLOW, DENY, NONE = Verdict.ALLOW, Verdict.DENY, Verdict.NONE
DENIAL = statement(Effect="Deny")


def test_a_deny_outweighs_every_allow() -> None:
    assert ask(policy(statement())) is ALLOW
    assert ask(policy(statement(), DENIAL)) is DENY
    assert ask(policy(DENIAL, statement(), statement())) is DENY
    assert ask(policy(statement(), DENIAL), "s3:PutObject") is NONE


def test_a_single_statement_needs_no_list() -> None:
    assert ask(parse_policy(json.dumps({"Statement": statement(Sid="Public read", Principal="*")}), BUCKET)) is ALLOW


@pytest.mark.parametrize(
    ("principal", "users"),
    [
        ("*", {None, "ann", "bob", "acme$ann"}),
        ({"AWS": "*"}, {None, "ann", "bob", "acme$ann"}),
        ({"AWS": ["bob", "*"]}, {None, "ann", "bob", "acme$ann"}),
        ({"AWS": "ann"}, {"ann"}),
        ({"AWS": "acme$ann"}, {"acme$ann"}),
        ({"AWS": "arn:aws:iam::ann:root"}, {"ann"}),
        ({"AWS": "arn:aws-cn:iam::ann:root"}, {"ann"}),
        ({"AWS": "arn:aws:iam:::user/ann"}, {"ann"}),
        ({"AWS": "arn:aws:iam::acme:user/ann"}, {"ann", "acme$ann"}),
        ({"AWS": "arn:aws:iam::bob:user/someone"}, {"someone", "bob$someone"}),
        ({"AWS": ["arn:aws:iam::ann:root", "bob"]}, {"ann", "bob"}),
        ({"CanonicalUser": "ann"}, {"ann"}),
        ({"CanonicalUser": ["ann"], "AWS": "bob"}, {"ann", "bob"}),
        ({"Service": "logging.s3.amazonaws.com"}, set()),
        ({"Federated": "cognito-identity.amazonaws.com"}, set()),
        ({"AWS": "arn:aws:iam::ann:role/ann"}, set()),
        ({"AWS": "arn:aws:sts::ann:assumed-role/ann/ann"}, set()),
    ],
)
def test_a_principal_speaks_of_its_users_and_a_not_principal_of_the_others(
    principal: object, users: set[str | None]
) -> None:
    for user in (None, "ann", "bob", "acme$ann"):
        assert (ask(policy(statement(Principal=principal)), by=user) is ALLOW) == (user in users)
        others = statement(Effect="Deny", NotPrincipal=principal)
        assert (ask(policy(others), by=user) is DENY) == (user not in users)


@pytest.mark.parametrize(
    "principal",
    [
        "",
        "ann",
        "arn:aws:iam::ann:root",
        ["*"],
        {},
        {"AWS": []},
        {"AWS": 5},
        {"AWS": [["ann"]]},
        {"AWS": ""},
        {"AWS": "an*"},
        {"AWS": "arn:aws:iam::ann:user/*"},
        {"AWS": "arn:aws:iam::*:root"},
        {"AWS": "arn:aws:iam:::root"},
        {"AWS": "arn:aws:iam::ann:user/"},
        {"AWS": "arn:aws:iam::ann:user"},
        {"AWS": "arn:aws:iam::ann:root/x"},
        {"AWS": "arn:aws:iam::ann:robot/x"},
        {"AWS": "arn:aws:s3:::photos"},
        {"CanonicalUser": "*"},
        {"Service": "*"},
        {"aws": "*"},
        {"Everyone": "ann"},
        None,
    ],
)
def test_a_principal_that_names_nobody_is_refused(principal: object) -> None:
    for told in (
        statement() | {"Principal": principal},
        statement(Effect="Deny", NotPrincipal=0) | {"NotPrincipal": principal},
    ):
        with pytest.raises(MalformedPolicy, match="Invalid principal in policy"):
            policy(told)


@pytest.mark.parametrize(
    ("action", "asked", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:GetObject", "s3:GetObjectAcl", False),
        ("s3:Get*", "s3:GetObjectAcl", True),
        ("s3:*Object", "s3:PutObject", True),
        ("s3:?etObject", "s3:GetObject", True),
        ("s3:?etObject", "s3:PutObject", False),
        ("s3:*", "s3:ListBucket", True),
        ("*", "s3:ListBucket", True),
        (["s3:PutObject", "s3:GetObject"], "s3:GetObject", True),
        (["s3:PutObject", "s3:DeleteObject"], "s3:GetObject", False),
    ],
)
def test_an_action_is_a_pattern_of_any_case(action: Any, asked: str, expected: bool) -> None:
    assert (ask(policy(statement(Action=action)), asked) is ALLOW) == expected
    assert (ask(policy(statement(NotAction=action)), asked) is ALLOW) != expected


@pytest.mark.parametrize("action", ["", "GetObject", "s3:", "s3", "ec2:*", "s3:Get Object", 5, [], ["s3:*", 5], None])
def test_an_action_of_another_service_is_refused(action: object) -> None:
    with pytest.raises(MalformedPolicy, match="Policy has invalid action"):
        policy(statement() | {"Action": action})


@pytest.mark.parametrize(
    ("resource", "bucket_itself", "keys"),
    [
        (ARN, True, set()),
        (f"{ARN}/*", False, {"a", "A", "a/b"}),
        (f"{ARN}*", True, {"a", "A", "a/b"}),
        (f"{ARN}/a", False, {"a"}),
        (f"{ARN}/a/*", False, {"a/b"}),
        (f"{ARN}/?", False, {"a", "A"}),
        (f"{ARN}/*/b", False, {"a/b"}),
        ("arn:aws:s3:::*", True, {"a", "A", "a/b"}),
        ("arn:aws:s3:::*/*", False, {"a", "A", "a/b"}),
        ("arn:aws:s3:::ph?tos/a", False, {"a"}),
        ("arn:aws-us-gov:s3:::photos/a", False, {"a"}),
        ("arn:*:s3:::photos/a", False, {"a"}),
        ([ARN, f"{ARN}/a"], True, {"a"}),
        (f"{ARN}/${{aws:username}}", False, {"a"}),
    ],
)
def test_a_resource_is_a_pattern_of_the_bucket_and_its_keys(resource: Any, bucket_itself: bool, keys: set[str]) -> None:
    for key, expected in [(None, bucket_itself), *((key, key in keys) for key in ("a", "A", "a/b"))]:
        for element, wanted in (("Resource", expected), ("NotResource", not expected)):
            found = ask(policy(statement(**{element: resource})), key=key, context={"aws:username": "a"})
            assert (found is ALLOW) == wanted


def test_a_resource_whose_variable_has_no_value_is_no_resource() -> None:
    home = f"{ARN}/${{aws:username}}/*"
    assert ask(policy(statement(Resource=home)), key="/x") is NONE
    assert ask(policy(statement(NotResource=home)), key="/x") is ALLOW
    assert ask(policy(statement(Resource=f"{ARN}/${{aws:username, 'guest'}}/*")), key="guest/x") is ALLOW


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "*",
        BUCKET,
        "arn:aws:s3:::",
        "arn:aws:s3:::other/*",
        "arn:aws:s3:::photos2",
        "arn:aws:s3:::Photos/*",
        "arn:aws:s3:::photo/s",
        "arn:aws:s3:eu-west-1::photos/*",
        "arn:aws:sqs:::photos",
        f"{ARN}/${{aws:username",
        [],
        [ARN, "arn:aws:s3:::other"],
        {"a": ARN},
        None,
    ],
)
def test_a_resource_outside_the_bucket_is_refused(resource: object) -> None:
    with pytest.raises(MalformedPolicy, match="Policy has invalid resource"):
        policy(statement() | {"Resource": resource})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "This policy contains invalid Json"),
        ("{", "This policy contains invalid Json"),
        ("[" * 5_000, "This policy contains invalid Json"),
        ('{"Version": NaN}', "This policy contains invalid Json"),
        ("[]", "the first byte must be '{'"),
        ('"text"', "the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
        ('{"Statement": []}', "Statement is empty!"),
        ('{"Statement": ["a"]}', "Invalid policy syntax."),
        ('{"Statement": {}}', "Missing required field Effect"),
        (document(statement(), Version="2012-10-18"), "must contain a valid version string"),
        (document(statement(), Version=2012), "must contain a valid version string"),
        (document(statement(), Id=5), "Invalid policy syntax."),
        (document(statement(), Owner="ann"), "Unknown field Owner"),
        (document(statement(Condtion={})), "Unknown field Condtion"),
        (document(statement(sid="a")), "Unknown field sid"),
        (document(statement(Sid=5)), "Invalid policy syntax."),
        (document(statement(Effect="allow")), "Invalid effect: allow"),
        (document(statement(Effect=["Allow"])), "Invalid policy syntax."),
        (document(statement(Effect=None)), "Missing required field Effect"),
        (document(statement(Principal=None)), "Missing required field Principal"),
        (document(statement(Action=None)), "Missing required field Action"),
        (document(statement(Resource=None)), "Missing required field Resource"),
        (document(DENIAL | {"NotPrincipal": "*"}), "only one of Principal and NotPrincipal"),
        (document(statement() | {"NotAction": "s3:*"}), "only one of Action and NotAction"),
        (document(statement() | {"NotResource": ARN}), "only one of Resource and NotResource"),
        (document(statement(NotPrincipal={"AWS": "ann"})), "Allow with NotPrincipal is not allowed."),
        ('{"Id": "a", "Id": "b", "Statement": []}', "Duplicate fields in policy."),
        ('{"Statement": {"Effect": "Deny", "Effect": "Allow"}}', "Duplicate fields in policy."),
    ],
)
def test_a_document_that_is_no_policy_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, BUCKET)
    assert message in refused.value.message


def test_no_depth_of_nesting_is_too_much() -> None:
    for depth in range(500, 1_000):  # a parser's limit lies among these, that of what tells the reason a little lower
        with pytest.raises(MalformedPolicy):
            parse_policy('{"Statement": {"Effect":' + "[" * depth + "]" * depth + "}}", BUCKET)
        with pytest.raises(MalformedPolicy):
            parse_policy('{"Statement": ' + "[" * depth + "]" * depth + "}", BUCKET)


def test_a_policy_has_at_most_twenty_kibibytes() -> None:
    text = document(statement())
    assert parse_policy(text + " " * (MAX_SIZE - len(text)), BUCKET)
    with pytest.raises(MalformedPolicy, match="exceeds the maximum allowed document size"):
        parse_policy(text + " " * (MAX_SIZE - len(text) + 1), BUCKET)


def test_a_refusal_shows_what_it_is_about() -> None:
    with pytest.raises(MalformedPolicy) as refused:
        policy(statement(Resource=["arn:aws:s3:::other/*"]))
    assert refused.value.details == {"Detail": '"arn:aws:s3:::other/*"'}


def test_a_policy_tells_which_keys_it_asks_for() -> None:
    asking = policy(
        statement(Condition={"StringEquals": {"S3:ExistingObjectTag/Team": "${aws:PrincipalTag/Team}"}}),
        statement(Resource=f"{ARN}/${{aws:UserName}}/*", Condition={"Null": {"aws:Referer": "true"}}),
    )
    for prefix in (
        "s3:existingobjecttag/",
        "s3:existingobjecttag/Team",
        "aws:principaltag/",
        "aws:username",
        "aws:ref",
    ):
        assert asking.mentions(prefix)
    assert not asking.mentions("s3:existingobjecttag/team")
    assert not asking.mentions("s3:prefix")
    assert not policy(statement()).mentions("")


FIXED = {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (statement(), True),
        (statement(Principal={"AWS": ["ann", "*"]}), True),
        (statement(Principal={"AWS": "ann"}), False),
        (statement(Principal={"Service": "logging.s3.amazonaws.com"}), False),
        (DENIAL, False),
        (statement(Condition=FIXED), False),
        (statement(Condition={"StringLike": {"aws:SourceVpc": "vpc-*"}}), True),
        (statement(Condition={"StringLike": {"aws:SourceVpc": "vpc-91237329"}}), False),
        (statement(Condition={"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-?"]}}), True),
        (statement(Condition={"StringEquals": {"aws:SourceVpc": "${aws:username}"}}), True),
        (statement(Condition={"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}), True),
        (statement(Condition={"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}), True),
        (statement(Condition={"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}}), True),
        (statement(Condition={"ForAnyValue:StringEquals": {"aws:PrincipalOrgID": "o-1"}}), False),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::a"}}), False),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}), True),
        (statement(Condition={"StringEquals": {"aws:Referer": "http://example.com/"}}), True),
        (statement(Condition={"StringEquals": {"aws:Referer": "x", "aws:SourceVpc": "vpc-1"}}), False),
        (statement(Condition={"Null": {"aws:SourceVpc": "false"}}), True),
        (statement(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), False),
        (statement(Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}), False),
        (statement(Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}), True),
        (statement(Condition={"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "::/0"]}}), True),
        (statement(Condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), True),
        (statement(Condition={"IpAddressIfExists": {"aws:SourceIp": "203.0.113.0/24"}}), True),
    ],
)
def test_a_policy_is_public_that_allows_everybody_from_anywhere(told: dict[str, Any], expected: bool) -> None:
    assert is_public(policy(told)) is expected


def test_one_public_statement_makes_the_policy_public_whatever_is_denied() -> None:
    assert is_public(policy(statement(Principal={"AWS": "ann"}), DENIAL, statement()))


# The situations of AWS's pages of examples, with post3's own names.


def test_a_bucket_of_a_web_site_is_read_by_everybody_and_written_by_nobody() -> None:
    site = policy(statement(Action=["s3:GetObject", "s3:GetObjectVersion"]))
    assert ask(site) is ALLOW
    assert ask(site, "s3:PutObject") is NONE
    assert ask(site, "s3:ListBucket", None) is NONE


def test_uploads_are_taken_only_when_the_owner_gets_full_control() -> None:
    given = policy(
        statement(
            Principal={"AWS": "arn:aws:iam::partner:root"},
            Action=["s3:PutObject", "s3:PutObjectAcl"],
            Condition={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
        )
    )
    acl = {"s3:x-amz-acl": "bucket-owner-full-control"}
    assert ask(given, "s3:PutObject", by="partner", context=acl) is ALLOW
    assert ask(given, "s3:PutObject", by="partner") is NONE
    assert ask(given, "s3:PutObject", by="other", context=acl) is NONE


def test_a_network_is_let_in_but_for_one_of_its_machines() -> None:
    office = policy(
        statement(
            Action="s3:*",
            Condition={
                "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
                "NotIpAddress": {"aws:SourceIp": "192.0.2.188/32"},
            },
        )
    )
    assert ask(office, context={"aws:SourceIp": "192.0.2.1"}) is ALLOW
    assert ask(office, context={"aws:SourceIp": "192.0.2.188"}) is NONE
    assert ask(office, context={"aws:SourceIp": "198.51.100.1"}) is NONE


def test_pictures_are_shown_on_the_pages_of_one_site() -> None:
    shown = policy(
        statement(Condition={"StringLike": {"aws:Referer": ["http://www.example.com/*", "http://example.com/*"]}})
    )
    assert ask(shown, context={"aws:Referer": "http://example.com/page"}) is ALLOW
    assert ask(shown, context={"aws:Referer": "http://elsewhere.example/?http://example.com/"}) is NONE
    assert ask(shown) is NONE


def test_what_is_not_encrypted_in_one_way_is_not_taken() -> None:
    header = "s3:x-amz-server-side-encryption"
    strict = policy(
        statement(Action="s3:PutObject"),
        statement(Effect="Deny", Action="s3:PutObject", Condition={"StringNotEquals": {header: "aws:kms"}}),
        statement(Effect="Deny", Action="s3:PutObject", Condition={"Null": {header: "true"}}),
    )
    assert ask(strict, "s3:PutObject", context={header: "aws:kms"}) is ALLOW
    assert ask(strict, "s3:PutObject", context={header: "AES256"}) is DENY
    assert ask(strict, "s3:PutObject") is DENY


def test_plain_http_is_denied() -> None:
    tls = policy(
        statement(), statement(Effect="Deny", Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    )
    assert ask(tls, context={"aws:SecureTransport": "true"}) is ALLOW
    assert ask(tls, context={"aws:SecureTransport": "false"}) is DENY


def test_each_user_has_a_folder() -> None:
    homes = policy(
        statement(Action=["s3:GetObject", "s3:PutObject"], Resource=f"{ARN}/home/${{aws:username}}/*"),
        statement(
            Action="s3:ListBucket",
            Resource=ARN,
            Condition={"StringLike": {"s3:prefix": ["home/${aws:username}/*", "home/${aws:username}"]}},
        ),
    )
    ann = {"aws:username": "ann"}
    assert ask(homes, "s3:PutObject", "home/ann/x", by="ann", context=ann) is ALLOW
    assert ask(homes, "s3:PutObject", "home/bob/x", by="ann", context=ann) is NONE
    assert ask(homes, "s3:PutObject", "home//x") is NONE
    assert ask(homes, "s3:ListBucket", None, by="ann", context=ann | {"s3:prefix": "home/ann/"}) is ALLOW
    assert ask(homes, "s3:ListBucket", None, by="ann", context=ann | {"s3:prefix": ""}) is NONE
    assert ask(homes, "s3:ListBucket", None, by="ann", context=ann) is NONE


def test_a_page_of_a_listing_is_limited() -> None:
    listing = policy(
        statement(Action="s3:ListBucket", Resource=ARN, Condition={"NumericLessThanEquals": {"s3:max-keys": "10"}})
    )
    assert ask(listing, "s3:ListBucket", None, context={"s3:max-keys": "10"}) is ALLOW
    assert ask(listing, "s3:ListBucket", None, context={"s3:max-keys": "11"}) is NONE
    assert ask(listing, "s3:ListBucket", None) is NONE


def test_only_objects_with_a_tag_are_read() -> None:
    tagged = policy(statement(Condition={"StringEquals": {"s3:ExistingObjectTag/environment": "production"}}))
    assert ask(tagged, context={"s3:ExistingObjectTag/environment": "production"}) is ALLOW
    assert ask(tagged, context={"s3:ExistingObjectTag/environment": "Production"}) is NONE
    assert ask(tagged, context={"s3:ExistingObjectTag/Environment": "production"}) is NONE


def test_uploads_carry_no_tags_but_the_known_ones() -> None:
    known = policy(
        statement(
            Action="s3:PutObject",
            Condition={"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["Owner", "Created*"]}},
        )
    )
    tags = "s3:RequestObjectTagKeys"
    assert ask(known, "s3:PutObject", context={tags: ["Owner", "CreatedBy"]}) is ALLOW
    assert ask(known, "s3:PutObject", context={tags: ["Owner", "Colour"]}) is NONE
    assert ask(known, "s3:PutObject") is ALLOW


def test_all_but_one_user_are_kept_out() -> None:
    vault = policy(
        statement(Action="s3:*"),
        statement(Effect="Deny", NotPrincipal={"AWS": "arn:aws:iam::ann:root"}, Action="s3:*"),
    )
    assert ask(vault, by="ann") is ALLOW
    assert ask(vault, by="bob") is DENY
    assert ask(vault, by=None) is DENY


def test_access_ends_on_a_day() -> None:
    ending = policy(statement(Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}))
    assert ask(ending, context={"aws:CurrentTime": "2029-12-31T23:59:59Z"}) is ALLOW
    assert ask(ending, context={"aws:CurrentTime": "2030-01-01T00:00:00Z"}) is NONE
