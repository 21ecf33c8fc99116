"""What AWS's pages say that each operation needs, what may be granted, and what follows from both.

Nothing here comes from post3: it is what post3 is held to.

Sources, of the rows: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html and the
page of each operation; of the permissions: …/userguide/acl-overview.html#acl-access-policy-permission-mapping; of
uploads: …/userguide/mpuoverview.html#mpuAndPermissions; of the order in which all is weighed:
…/userguide/access-control-auth-workflow-bucket-operation.html and …-object-operation.html; of the rest:
…/userguide/access-control-block-public-access.html and …/userguide/about-object-ownership.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from post3.model.grants import ALL_USERS, AUTHENTICATED_USERS, PERMISSIONS, Grant, Grants
from post3.model.identity import ANONYMOUS, Identity
from tests.forms import BOUNDARY

OWNER, GRANTEE, WRITER = Identity("olga", "Olga"), Identity("greta", "Greta"), Identity("walter", "Walter")
STRANGER, ADMIN = Identity("sam", "Sam"), Identity("ada", "Ada", is_admin=True)
WHO: Final = (ANONYMOUS, STRANGER, GRANTEE, OWNER, WRITER, ADMIN)
"""The bucket and one object are the owner's; another object in it is the writer's; the grantee gets what is granted."""

BUCKET: Final = "bucket"
OWNED, WRITTEN, BEGUN, ABSENT = "key-of-owner", "key-of-writer", "key-of-grantee", "key-of-nobody"
OWNERS: Final = {OWNED: OWNER, WRITTEN: WRITER, BEGUN: GRANTEE}
"""Whose objects and uploads there are; of the grantee, an upload alone."""


# What AWS says that an operation needs


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that an operation needs."""

    of: str
    """`anybody`: nothing. `user`: a signature. `bucket`, `object`: its owner, an ACL, a policy. `part`: the same as
    `bucket`, but where an ACL alone allows it, only of an upload that one began. `upload`: the bucket's owner, whoever
    began it, a policy. `new`: of an object that one is to own, so that only a policy that denies it matters."""
    action: str = ""
    acl: str = ""
    """The permission that allows it; empty where none does."""
    is_acl_the_owners: bool = False
    """Whether that permission counts for the bucket's owner alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to ask for an operation."""

    method: str
    rights: tuple[Right, ...]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    path: str = f"/{BUCKET}"
    """May hold {key}; query, headers and body may hold {key} and {upload}."""
    keys: tuple[str, ...] = ("",)
    """On which objects, or uploads, it is tried."""
    names_version: bool = False

    @property
    def actions(self) -> list[str]:
        return [right.action for right in self.rights]


def bucket_case(method: str, query: str, action: str, acl: str = "", **fields: Any) -> Case:
    return Case(method, (Right("bucket", action, acl),), query, **fields)


def object_case(method: str, query: str, *rights: Right, **fields: Any) -> Case:
    return Case(method, rights, query, **{"path": f"/{BUCKET}/{{key}}", "keys": (OWNED, WRITTEN), **fields})


def upload_case(method: str, query: str, *rights: Right, **fields: Any) -> Case:
    return object_case(method, f"{query}uploadId={{upload}}", *rights, keys=(OWNED, WRITTEN, BEGUN), **fields)


def with_version(case: Case, *actions: str) -> Case:
    rights = tuple(replace(right, action=action) for right, action in zip(case.rights, actions, strict=True))
    query = "&".join(filter(None, (case.query, "versionId=null")))
    return replace(case, rights=rights, query=query, names_version=True)


PUT_ACL, PUBLICLY = Right("new", "s3:PutObjectAcl"), {"x-amz-acl": "public-read"}
LIST, PUT = Right("bucket", "s3:ListBucket", "READ"), Right("bucket", "s3:PutObject", "WRITE")
GET, PUT_PART = Right("object", "s3:GetObject", "READ"), Right("part", "s3:PutObject", "WRITE")
GET_VERSION = Right("object", "s3:GetObjectVersion", "READ")
DELETE = Right("bucket", "s3:DeleteObject", "WRITE")
TAG = Right("bucket", "s3:PutObjectTagging", "WRITE")
"""Of a new object, by whoever may put it."""
DELETE_VERSION = Right("bucket", "s3:DeleteObjectVersion", "WRITE", is_acl_the_owners=True)
ATTRIBUTES = Right("object", "s3:GetObjectAttributes", "READ")

GET_OBJECT = object_case("GET", "", GET)
HEAD_OBJECT = object_case("HEAD", "", GET)
GET_ATTRIBUTES = object_case("GET", "attributes", ATTRIBUTES, GET, headers={"x-amz-object-attributes": "ETag"})
GET_OBJECT_ACL = object_case("GET", "acl", Right("object", "s3:GetObjectAcl", "READ_ACP"))
PUT_OBJECT_ACL = object_case(
    "PUT", "acl", Right("object", "s3:PutObjectAcl", "WRITE_ACP"), headers={"x-amz-acl": "private"}
)
TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
GET_TAGS = object_case("GET", "tagging", Right("object", "s3:GetObjectTagging"))
PUT_TAGS = object_case("PUT", "tagging", Right("object", "s3:PutObjectTagging"), body=TAGS)
DELETE_TAGS = object_case("DELETE", "tagging", Right("object", "s3:DeleteObjectTagging"))
CORS = (
    b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"
    b"</CORSConfiguration>"
)
ENCRYPTION = (
    b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
    b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
FROM_A_PAGE = {"origin": "http://page.example", "access-control-request-method": "GET"}
FROM_A_FREE_PLACE = {"x-amz-copy-source": "free/source"}
FROM_HERE, FROM_A_VERSION_HERE = (
    {"x-amz-copy-source": f"{BUCKET}/{{key}}{version}"} for version in ("", "?versionId=null")
)
COMPLETION = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
OWNERSHIP = b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
BLOCK = b"<PublicAccessBlockConfiguration><IgnorePublicAcls>false</IgnorePublicAcls></PublicAccessBlockConfiguration>"
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetBucketTagging",
            "Resource": f"arn:aws:s3:::{BUCKET}",
        },
    }
).encode()
BATCH = b"<Delete><Object><Key>{key}</Key></Object></Delete>"
BATCH_OF_VERSIONS = b"<Delete><Object><Key>{key}</Key><VersionId>null</VersionId></Object></Delete>"
FORM_HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}

CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "ListBuckets": (Case("GET", (Right("user"),), path="/"),),
    "CreateBucket": (Case("PUT", (Right("user"),), path="/made"),),
    "HeadBucket": (Case("HEAD", (LIST,)),),
    "DeleteBucket": (bucket_case("DELETE", "", "s3:DeleteBucket"),),
    "GetBucketLocation": (bucket_case("GET", "location", "s3:GetBucketLocation"),),
    "ListObjects": (Case("GET", (LIST,)), Case("GET", (LIST,), "prefix=key-of-o")),
    "ListObjectsV2": (Case("GET", (LIST,), "list-type=2"),),
    "ListObjectVersions": (bucket_case("GET", "versions", "s3:ListBucketVersions", "READ"),),
    "ListMultipartUploads": (bucket_case("GET", "uploads", "s3:ListBucketMultipartUploads", "READ"),),
    "GetBucketAcl": (bucket_case("GET", "acl", "s3:GetBucketAcl", "READ_ACP"),),
    "PutBucketAcl": (
        bucket_case("PUT", "acl", "s3:PutBucketAcl", "WRITE_ACP", headers={"x-amz-acl": "private"}),
        bucket_case("PUT", "acl", "s3:PutBucketAcl", "WRITE_ACP", headers={"x-amz-grant-read": "id=nobody"}),
    ),
    "GetBucketPolicy": (bucket_case("GET", "policy", "s3:GetBucketPolicy"),),
    "PutBucketPolicy": (bucket_case("PUT", "policy", "s3:PutBucketPolicy", body=POLICY),),
    "DeleteBucketPolicy": (bucket_case("DELETE", "policy", "s3:DeleteBucketPolicy"),),
    "GetBucketPolicyStatus": (bucket_case("GET", "policyStatus", "s3:GetBucketPolicyStatus"),),
    "GetBucketVersioning": (bucket_case("GET", "versioning", "s3:GetBucketVersioning"),),
    "PutBucketVersioning": (bucket_case("PUT", "versioning", "s3:PutBucketVersioning", body=VERSIONING),),
    "GetBucketOwnershipControls": (bucket_case("GET", "ownershipControls", "s3:GetBucketOwnershipControls"),),
    "PutBucketOwnershipControls": (
        bucket_case("PUT", "ownershipControls", "s3:PutBucketOwnershipControls", body=OWNERSHIP),
    ),
    # Whoever may put these two may delete them: there is no action of its own.
    "DeleteBucketOwnershipControls": (bucket_case("DELETE", "ownershipControls", "s3:PutBucketOwnershipControls"),),
    "GetPublicAccessBlock": (bucket_case("GET", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),),
    "PutPublicAccessBlock": (bucket_case("PUT", "publicAccessBlock", "s3:PutBucketPublicAccessBlock", body=BLOCK),),
    "DeletePublicAccessBlock": (bucket_case("DELETE", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),),
    # It tells of the bucket's CORS rules, which are for everybody.
    "Preflight": (Case("OPTIONS", (Right("anybody"),), path=f"/{BUCKET}/{OWNED}", headers=FROM_A_PAGE),),
    "GetBucketCors": (bucket_case("GET", "cors", "s3:GetBucketCORS"),),
    "PutBucketCors": (bucket_case("PUT", "cors", "s3:PutBucketCORS", body=CORS),),
    "DeleteBucketCors": (bucket_case("DELETE", "cors", "s3:PutBucketCORS"),),
    "GetBucketEncryption": (bucket_case("GET", "encryption", "s3:GetEncryptionConfiguration"),),
    "PutBucketEncryption": (bucket_case("PUT", "encryption", "s3:PutEncryptionConfiguration", body=ENCRYPTION),),
    "DeleteBucketEncryption": (bucket_case("DELETE", "encryption", "s3:PutEncryptionConfiguration"),),
    "GetBucketTagging": (bucket_case("GET", "tagging", "s3:GetBucketTagging"),),
    "PutBucketTagging": (bucket_case("PUT", "tagging", "s3:PutBucketTagging", body=TAGS),),
    "DeleteBucketTagging": (bucket_case("DELETE", "tagging", "s3:PutBucketTagging"),),
    # No permission of an ACL covers tags.
    "GetObjectTagging": (GET_TAGS, with_version(GET_TAGS, "s3:GetObjectVersionTagging")),
    "PutObjectTagging": (PUT_TAGS, with_version(PUT_TAGS, "s3:PutObjectVersionTagging")),
    "DeleteObjectTagging": (DELETE_TAGS, with_version(DELETE_TAGS, "s3:DeleteObjectVersionTagging")),
    "PutObject": (
        object_case("PUT", "", PUT, body=b"new"),
        object_case("PUT", "", PUT, headers={"if-none-match": "*"}, body=b"new"),
        object_case("PUT", "", PUT, PUT_ACL, headers=PUBLICLY, body=b"new"),
        object_case("PUT", "", PUT, TAG, headers={"x-amz-tagging": "a=b"}, body=b"new"),
    ),
    "PostObject": (Case("POST", (PUT,), headers=FORM_HEADERS, keys=(OWNED, WRITTEN)),),
    "GetObject": (GET_OBJECT, with_version(GET_OBJECT, "s3:GetObjectVersion")),
    "HeadObject": (HEAD_OBJECT, with_version(HEAD_OBJECT, "s3:GetObjectVersion")),
    "GetObjectAttributes": (
        GET_ATTRIBUTES,
        with_version(GET_ATTRIBUTES, "s3:GetObjectVersionAttributes", "s3:GetObjectVersion"),
    ),
    "GetObjectAcl": (GET_OBJECT_ACL, with_version(GET_OBJECT_ACL, "s3:GetObjectVersionAcl")),
    "PutObjectAcl": (
        PUT_OBJECT_ACL,
        with_version(PUT_OBJECT_ACL, "s3:PutObjectVersionAcl"),
        replace(PUT_OBJECT_ACL, headers={"x-amz-grant-read": "emailaddress=nobody@example.com"}),
        replace(PUT_OBJECT_ACL, headers={}, body=b"no document"),
    ),
    "DeleteObject": (
        object_case("DELETE", "", DELETE),
        object_case("DELETE", "", DELETE, headers={"if-match": '"another"'}),
        object_case("DELETE", "versionId=null", DELETE_VERSION, names_version=True),
    ),
    "DeleteObjects": (
        Case("POST", (DELETE,), "delete", body=BATCH, keys=(OWNED, WRITTEN)),
        Case("POST", (DELETE_VERSION,), "delete", body=BATCH_OF_VERSIONS, keys=(OWNED, WRITTEN)),
    ),
    "CopyObject": (
        object_case("PUT", "", PUT, headers=FROM_A_FREE_PLACE),
        object_case("PUT", "", PUT, PUT_ACL, headers={**FROM_A_FREE_PLACE, **PUBLICLY}),
        object_case("PUT", "", GET, path="/free/copy", headers=FROM_HERE),
        object_case("PUT", "", GET_VERSION, path="/free/copy", headers=FROM_A_VERSION_HERE, names_version=True),
    ),
    "CreateMultipartUpload": (
        object_case("POST", "uploads", PUT),
        object_case("POST", "uploads", PUT, PUT_ACL, headers=PUBLICLY),
    ),
    "UploadPart": (upload_case("PUT", "partNumber=2&", PUT_PART, body=b"part"),),
    "UploadPartCopy": (
        upload_case("PUT", "partNumber=2&", PUT_PART, headers=FROM_A_FREE_PLACE),
        object_case("PUT", "partNumber=2&uploadId={free}", GET, path="/free/upload", headers=FROM_HERE),
    ),
    "CompleteMultipartUpload": (upload_case("POST", "", PUT_PART, body=COMPLETION),),
    "AbortMultipartUpload": (upload_case("DELETE", "", Right("upload", "s3:AbortMultipartUpload")),),
    "ListParts": (upload_case("GET", "", Right("upload", "s3:ListMultipartUploadParts")),),
}
"""Each operation's ways, and what AWS's pages say that each needs.

They leave open whether READ covers GetObjectAttributes; it tells less than GetObject, which it needs too."""

ACTIONS: Final = sorted({action for cases in CASES.values() for case in cases for action in case.actions} - {""})


# What may be granted

Say: TypeAlias = Callable[[Case], list[dict[str, Any]]]
"""The statements of a policy, for what a case does."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the bucket's owner, and the owners of its objects, have granted."""

    bucket_acl: Grants | None = None
    object_acl: Grants | None = None
    statements: Say | None = None
    block: str = ""
    """The one switch of the public access block that is on."""
    is_enforced: bool = False


def says(effect: str, who: str, **actions: Any) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    return {"Effect": effect, "Principal": "*" if who == "*" else {"AWS": who}, "Resource": resources, **actions}


def these(effect: str, who: str) -> Say:
    return lambda case: [says(effect, who, Action=case.actions)]


def all_but_these(case: Case) -> list[dict[str, Any]]:
    return [says("Allow", GRANTEE.id, Action=[action for action in ACTIONS if action not in case.actions])]


def all_but_one(case: Case) -> list[dict[str, Any]]:
    """Of an operation that needs two things, the second alone."""
    return [says("Allow", GRANTEE.id, Action=[action for action in ACTIONS if action != case.actions[0]])]


def denied_though_allowed(case: Case) -> list[dict[str, Any]]:
    allowed = says("Allow", "*", Action="s3:*")
    return [allowed, says("Deny", GRANTEE.id, Action=case.actions[-1:])]


def not_these(effect: str) -> Say:
    return lambda case: [says(effect, GRANTEE.id, NotAction=case.actions)]


def everything_to(who: str) -> Say:
    return lambda _case: [says("Allow", who, Action="s3:*")]


def canned(*grants: tuple[str, str]) -> Grants:
    return tuple(Grant(who, PERMISSIONS[what]) for who, what in (*grants, (OWNER.id, "FULL_CONTROL")))


PUBLIC_READ, PUBLIC_WRITE = canned((ALL_USERS, "READ")), canned((ALL_USERS, "READ"), (ALL_USERS, "WRITE"))
AUTHENTICATED_READ = canned((AUTHENTICATED_USERS, "READ"))
TO_ANONYMOUS = (Grant(ANONYMOUS.id, "FULL_CONTROL"),)
TO_GRANTEE = canned((GRANTEE.id, "FULL_CONTROL"))
EVERYTHING_PUBLIC = canned((ALL_USERS, "FULL_CONTROL"))
SWITCHES: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

SETTINGS: Final[Mapping[str, Setting]] = {
    "nothing": Setting(),
    **{f"{what} of the bucket": Setting(bucket_acl=canned((GRANTEE.id, what))) for what in PERMISSIONS},
    **{f"{what} of the objects": Setting(object_acl=canned((GRANTEE.id, what))) for what in PERMISSIONS},
    "public-read": Setting(PUBLIC_READ, PUBLIC_READ),
    "public-read of the bucket": Setting(PUBLIC_READ),
    "public-read of the objects": Setting(None, PUBLIC_READ),
    "public-read-write": Setting(PUBLIC_WRITE, PUBLIC_WRITE),
    "authenticated-read": Setting(AUTHENTICATED_READ, AUTHENTICATED_READ),
    "lists that grant nothing": Setting((), ()),
    "a grant to the id of the anonymous": Setting(TO_ANONYMOUS, TO_ANONYMOUS),
    "a policy that allows it": Setting(statements=these("Allow", GRANTEE.id)),
    "a policy that allows everything but it": Setting(statements=all_but_these),
    "a policy that allows half of it": Setting(statements=all_but_one),
    "a policy that allows and denies it": Setting(statements=denied_though_allowed),
    "a policy that allows NotAction": Setting(statements=not_these("Allow")),
    "a policy that denies NotAction, and a list": Setting(TO_GRANTEE, TO_GRANTEE, not_these("Deny")),
    "a policy that denies it, and lists": Setting(TO_GRANTEE, TO_GRANTEE, these("Deny", GRANTEE.id)),
    "a policy that denies it to everybody": Setting(EVERYTHING_PUBLIC, EVERYTHING_PUBLIC, these("Deny", "*")),
    "a policy that allows it to everybody": Setting(statements=these("Allow", "*")),
    **{f"a public list, {one}": Setting(EVERYTHING_PUBLIC, EVERYTHING_PUBLIC, block=one) for one in SWITCHES},
    **{f"a public policy, {one}": Setting(statements=everything_to("*"), block=one) for one in SWITCHES},
    **{f"a policy for one, {one}": Setting(statements=everything_to(GRANTEE.id), block=one) for one in SWITCHES},
    "enforced": Setting(is_enforced=True),
    "enforced, and lists": Setting(TO_GRANTEE, EVERYTHING_PUBLIC, is_enforced=True),
    "enforced, and a policy": Setting(statements=these("Allow", GRANTEE.id), is_enforced=True),
    "enforced, and a policy that denies": Setting(statements=these("Deny", "*"), is_enforced=True),
}


# What follows from it, as AWS's pages have it


def may(who: Identity, case: Case, setting: Setting, key: str) -> bool:
    if setting.block == "BlockPublicAcls" and case.headers.get("x-amz-acl") == "public-read":
        return False
    return all(has_right(who, right, case, setting, key) for right in case.rights)


def has_right(who: Identity, right: Right, case: Case, setting: Setting, key: str) -> bool:
    if right.of in ("anybody", "user") or who is ADMIN:
        return right.of == "anybody" or who is not ANONYMOUS
    said = said_by_policy(who, right.action, case, setting)
    if said == "Deny":
        # No owner locks themselves out: they can always mend the policy.
        return who is OWNER and right.action.endswith("BucketPolicy")
    if right.of == "object":
        return may_touch_object(who, right, setting, key, is_allowed=said == "Allow")
    began = who is OWNERS.get(key)
    if said == "Allow" or right.of == "new" or (right.of == "upload" and began):
        return True
    is_granted = granted(who, right.acl, setting.bucket_acl, setting)
    if who is OWNER:
        # An owner whom the list does not name loses what lists grant, but for the list itself.
        is_unlisted = setting.bucket_acl is None or setting.is_enforced or right.acl in ("", "READ_ACP", "WRITE_ACP")
        return is_unlisted or is_granted
    return is_granted and not right.is_acl_the_owners and (right.of != "part" or began)


def may_touch_object(who: Identity, right: Right, setting: Setting, key: str, *, is_allowed: bool) -> bool:
    owner = OWNER if setting.is_enforced else OWNERS[key]
    if is_allowed and owner is OWNER:
        return True
    if setting.is_enforced:
        return who is OWNER
    if who is owner and (setting.object_acl is None or right.acl in ("", "READ_ACP", "WRITE_ACP")):
        return True
    return granted(who, right.acl, setting.object_acl, setting)


def granted(who: Identity, permission: str, acl: Grants | None, setting: Setting) -> bool:
    if acl is None or setting.is_enforced or not permission:
        return False
    names = {ALL_USERS} if who is ANONYMOUS else {who.id, ALL_USERS, AUTHENTICATED_USERS}
    if setting.block == "IgnorePublicAcls":
        names -= {ALL_USERS, AUTHENTICATED_USERS}
    return any(name in names and given in (permission, "FULL_CONTROL") for name, given in acl)


def said_by_policy(who: Identity, action: str, case: Case, setting: Setting) -> str:
    statements = setting.statements(case) if setting.statements else []
    effects = {one["Effect"] for one in statements if speaks_of(one, who, action)}
    is_public = any(one["Effect"] == "Allow" and one["Principal"] == "*" for one in statements)
    if setting.block == "RestrictPublicBuckets" and is_public and who is not OWNER:
        return "Deny"  # "blocks all cross-account access"
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else ""


def speaks_of(statement: dict[str, Any], who: Identity, action: str) -> bool:
    is_meant = statement["Principal"] == "*" or (who is not ANONYMOUS and statement["Principal"]["AWS"] == who.id)
    if "NotAction" in statement:
        return is_meant and action not in statement["NotAction"]
    return is_meant and (statement["Action"] == "s3:*" or action in statement["Action"])
