"""What somebody may do with a bucket and what is in it: bucket policy, ownership, ACLs, and the block of public access.

The order is AWS's. A policy that denies wins over everything; else the owner, a policy that allows, or an ACL that
grants is enough; else the answer is no. Objects have owners and ACLs of their own, so what asks for an object's bytes
is decided when its version is known, by `check_version`; all else by `check`, when the bucket is.

- An ACL that was never set grants its owner everything. One that was set grants what it says: an owner who is not named
  in it may still read and write the ACL itself, and change the bucket, but not what ACLs grant.
- What a policy allows is done to objects of the bucket's owner: no policy gives away what others own. What it denies
  is denied for all of them.
- An object's tags are its owner's: no ACL grants them.
- An administrator may do everything, whatever any policy says: whoever holds the root keys can always mend it.
- Whoever began an upload may look at it and abort it, as long as no policy denies that.
- Whoever is granted WRITE may hide a key behind a delete marker, but never deletes a version for good: only the
  bucket's owner does, and whom a policy allows it.
- A bucket's owner may always read, write and delete its policy, so that nobody locks themselves out.
- Whoever may not list a bucket is not told that a key is absent.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from typing import Final, TypeAlias

from post3.errors import AccessDenied, S3Error
from post3.model import ownership, public_access
from post3.model.bucket import Bucket
from post3.model.grants import Grants, Permission, permits
from post3.model.identity import ANONYMOUS, Identity
from post3.model.object import ObjectVersion
from post3.model.policy import Policy, Question, Verdict, evaluate, is_public, parse_policy
from post3.model.policy_patterns import fold_key

Context: TypeAlias = Mapping[str, Sequence[str]]
"""A request as the conditions of policies see it: lower-case condition keys to values."""

_OF_POLICY: Final = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
_ALWAYS_THE_OWNERS: Final[frozenset[Permission | None]] = frozenset({None, "READ_ACP", "WRITE_ACP"})
"""What an owner may do without being named in the ACL."""
_EXISTING_TAG: Final = fold_key("s3:ExistingObjectTag/")
_NEVER_GRANTED: Final = frozenset({"s3:DeleteObjectVersion"})
"""What the WRITE of a bucket's ACL gives to its owner alone.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping"""


class Basis(Enum):
    """Why something is allowed."""

    OWNER = "owner"
    POLICY = "policy"
    GRANT = "grant"


class Rights:
    """What one identity may do with one bucket, as it was loaded, in one request."""

    def __init__(self, identity: Identity, bucket: Bucket, context: Callable[[], Context]) -> None:
        """`context` is called at most once, and only where the bucket has a policy."""
        self._identity = identity
        self._bucket = bucket
        self._make_context = context

    def check(self, action: str, permission: Permission | None, key: str = "", version_id: str | None = None) -> None:
        """Raise AccessDenied unless the action on the bucket, or on what will be under the key, is allowed.

        With the id of a version it is the action on that very version.
        """
        if version_id is not None:
            action = of_version(action)
        if self._basis(action, permission, key, _condition("s3:versionid", version_id)) is None:
            raise AccessDenied

    def check_upload(self, action: str, permission: Permission | None, key: str, initiator: str | None) -> None:
        """Raise AccessDenied unless the action on an upload under the key is allowed.

        Whoever began it may; whom the bucket's ACL alone lets write may not touch what others began. `initiator` is
        None for an upload that is not there.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
        """
        began = self._identity.id == initiator
        if began and self._identity != ANONYMOUS and not self.denies(action, key):
            return
        basis = self._basis(action, permission, key, {})
        if basis is None or (basis is Basis.GRANT and not began and initiator is not None):
            raise AccessDenied

    def denies(self, action: str, key: str) -> bool:
        """Whether the policy denies what nothing else would."""
        return not self._identity.is_admin and self._verdict(action, key, {}) is Verdict.DENY

    def may_allow(self, permission: Permission) -> bool:
        """Whether what this permission of the bucket's ACL covers may be allowed on some key; a policy may tell keys
        apart.
        """
        return self._policy is not None or self._basis("", permission, "", {}) is not None

    def check_version(
        self, action: str, permission: Permission | None, version: ObjectVersion, *, is_named: bool
    ) -> None:
        """Raise AccessDenied unless the action on this version, named by its id or not, is allowed."""
        if not self.allows_version(action, permission, version, is_named=is_named):
            raise AccessDenied

    def allows_version(
        self, action: str, permission: Permission | None, version: ObjectVersion, *, is_named: bool
    ) -> bool:
        """Whether the action on this version, named by its id or not, is allowed. Without a permission no ACL grants
        it.
        """
        if self._identity.is_admin:
            return True
        verdict = self._verdict_on(of_version(action) if is_named else action, version, is_named)
        if verdict is Verdict.DENY:
            return False
        owner = self._bucket.owner if self._ignores_acls else version.owner
        if verdict is Verdict.ALLOW and owner == self._bucket.owner:
            return True
        is_the_owners = version.acl is None or permission in _ALWAYS_THE_OWNERS or self._ignores_acls
        if self._identity.id == owner != ANONYMOUS.id and is_the_owners:
            return True
        return permission is not None and self._grants(version.acl, permission)

    def hide(self, error: S3Error, key: str) -> S3Error:
        """The error for an object that is not there: AccessDenied for whoever may not list the bucket.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions)
        """
        may_list = self._basis("s3:ListBucket", "READ", "", {"s3:prefix": (key,)}) is not None
        return error if may_list else AccessDenied()

    @property
    def _owns_bucket(self) -> bool:
        return self._identity.id == self._bucket.owner

    def _basis(self, action: str, permission: Permission | None, key: str, conditions: Context) -> Basis | None:
        if self._identity.is_admin:
            return Basis.OWNER
        verdict = self._verdict(action, key, conditions)
        if verdict is Verdict.DENY and not (self._owns_bucket and action in _OF_POLICY):
            return None
        is_the_owners = self._bucket.acl is None or permission in _ALWAYS_THE_OWNERS or self._ignores_acls
        if self._owns_bucket and is_the_owners:
            return Basis.OWNER
        if verdict is Verdict.ALLOW:
            return Basis.POLICY
        return None if permission is None else self._granted(action, permission)

    def _granted(self, action: str, permission: Permission) -> Basis | None:
        """What the bucket's ACL says of it."""
        if not self._grants(self._bucket.acl, permission):
            return None
        if self._owns_bucket:
            return Basis.OWNER
        return None if action in _NEVER_GRANTED else Basis.GRANT

    def _grants(self, acl: Grants | None, permission: Permission) -> bool:
        if acl is None or self._ignores_acls:
            return False
        ignore_public = public_access.of_bucket(self._bucket).ignore_public_acls
        return permits(acl, self._identity, permission, ignore_public=ignore_public)

    @cached_property
    def _ignores_acls(self) -> bool:
        return ownership.ignores_acls(self._bucket)

    # The policy

    @cached_property
    def _policy(self) -> Policy | None:
        text = self._bucket.policy
        return None if text is None else _parsed(text, self._bucket.name)

    @cached_property
    def _context(self) -> Context:
        return self._make_context()

    def _verdict(self, action: str, key: str, conditions: Context) -> Verdict:
        policy = self._policy
        if policy is None:
            return Verdict.NONE
        if not self._owns_bucket and self._is_restricted(policy):
            return Verdict.DENY
        resource = f"{self._bucket.name}/{key}" if key else self._bucket.name
        principal = None if self._identity == ANONYMOUS else self._identity.id
        return evaluate(policy, Question(principal, action, resource, {**self._context, **conditions}))

    def _verdict_on(self, action: str, version: ObjectVersion, is_named: bool) -> Verdict:
        """The policy's word on a version: as S3 has it, its tags are looked at, but only where they matter."""
        conditions = _condition("s3:versionid", version.version_id if is_named else None)
        if self._policy is not None and self._policy.mentions(_EXISTING_TAG):
            conditions = {**conditions, **_existing_tags(version)}
        return self._verdict(action, version.key, conditions)

    def _is_restricted(self, policy: Policy) -> bool:
        return public_access.of_bucket(self._bucket).restrict_public_buckets and is_public(policy)


def _existing_tags(version: ObjectVersion) -> Context:
    """The tags as conditions see them. Puts and deletes are decided without: AWS knows the key for neither.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html
    """
    return {_EXISTING_TAG + key: (value,) for key, value in version.tags.items()}


@lru_cache(maxsize=1024)
def _parsed(text: str, bucket: str) -> Policy:
    """A stored policy, parsed once: it was valid when it was put."""
    return parse_policy(text, bucket)


def _condition(key: str, value: str | None) -> Context:
    """The value of a condition key; it has none where the value is None."""
    return {} if value is None else {key: (value,)}


def of_version(action: str) -> str:
    """The action's name where a version is named by its id: s3:GetObjectAcl becomes s3:GetObjectVersionAcl.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    return action.replace("Object", "ObjectVersion", 1) if action in _NAMED_BY_VERSION else action


_NAMED_BY_VERSION: Final = frozenset(
    f"s3:{verb}Object{what}"
    for verb, whats in {
        "Get": ("", "Acl", "Attributes", "Tagging", "Torrent"),
        "Put": ("Acl", "Tagging"),
        "Delete": ("", "Tagging"),
    }.items()
    for what in whats
)
