"""Documents: an ACL is short in them, and one without is as it was before there were ACLs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from post3.model.grants import ALL_USERS, Grant, Grants
from post3.model.upload import Upload
from post3.storage.documents import acl_member, load_acl, to_json
from post3.storage.filesystem import sidecar
from post3.storage.postgres import rows
from tests.conftest import ACLS, LONG_AGO, a_bucket, a_version

BUCKET: Final = a_bucket("photos")
VERSION: Final = a_version(BUCKET, "key")
UPLOAD: Final = Upload("photos", "key", "id", LONG_AGO, "alice")


def documents(acl: Grants | None) -> dict[str, Any]:
    """The document of each kind of record in each store that keeps."""
    bucket, version, upload = replace(BUCKET, acl=acl), replace(VERSION, acl=acl), replace(UPLOAD, acl=acl)
    return {
        "bucket's row": rows.bucket_document(bucket),
        "version's row": rows.version_document(version),
        "upload's row": rows.upload_document(upload),
        "bucket's file": sidecar.dump_bucket(bucket),
        "version's file": sidecar.dump_version(version),
        "upload's file": sidecar.dump_upload(upload),
    }


@pytest.mark.parametrize("record", documents(None))
def test_a_record_without_an_acl_says_nothing_of_it(record: str) -> None:
    assert "acl" not in json.loads(documents(None)[record])


@pytest.mark.parametrize("record", documents(None))
def test_a_record_tells_its_acl_in_pairs(record: str) -> None:
    acl = (Grant(ALL_USERS, "READ"), Grant("alice", "FULL_CONTROL"))
    assert json.loads(documents(acl)[record])["acl"] == [[ALL_USERS, "READ"], ["alice", "FULL_CONTROL"]]
    assert json.loads(documents(())[record])["acl"] == []


@pytest.mark.parametrize("acl", ACLS, ids=str)
def test_an_acl_survives_being_written_and_read(acl: Grants | None) -> None:
    document = json.loads(to_json(acl_member(acl)))
    assert load_acl(document) == acl
    assert all(isinstance(grant, Grant) for grant in load_acl(document) or ())
