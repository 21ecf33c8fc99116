"""Documents: ACLs and tags are short in them, and one without is as it was before there were any."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from post3.model.encryption import Encryption, Envelope
from post3.model.grants import ALL_USERS, Grant, Grants
from post3.model.object import Blob
from post3.model.upload import Upload
from post3.storage.documents import (
    acl_member,
    encryption_member,
    envelope_member,
    load_acl,
    load_encryption,
    load_envelope,
    load_tags,
    tags_member,
    to_json,
)
from post3.storage.filesystem import sidecar
from post3.storage.postgres import rows
from tests.conftest import ACLS, AN_ENVELOPE, ENCRYPTIONS, LONG_AGO, SOME_TAGS, a_bucket, a_version, part_of

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


def tagged_documents(tags: dict[str, str]) -> dict[str, str | bytes]:
    """The document of each kind of record that has tags, in each store that keeps."""
    version, upload = replace(VERSION, tags=tags), replace(UPLOAD, tags=tags)
    return {
        "version's row": rows.version_document(version),
        "upload's row": rows.upload_document(upload),
        "version's file": sidecar.dump_version(version),
        "upload's file": sidecar.dump_upload(upload),
    }


@pytest.mark.parametrize("record", tagged_documents({}))
def test_a_record_without_tags_says_nothing_of_them(record: str) -> None:
    assert "tags" not in json.loads(tagged_documents({})[record])


@pytest.mark.parametrize("record", tagged_documents({}))
def test_a_record_tells_its_tags_in_their_order(record: str) -> None:
    told = json.loads(tagged_documents(dict(SOME_TAGS))[record])["tags"]
    assert list(told.items()) == list(SOME_TAGS.items())


@pytest.mark.parametrize("tags", [SOME_TAGS, {}], ids=str)
def test_tags_survive_being_written_and_read(tags: dict[str, str]) -> None:
    assert list(load_tags(json.loads(to_json(tags_member(tags)))).items()) == list(tags.items())


@pytest.mark.parametrize("acl", ACLS, ids=str)
def test_an_acl_survives_being_written_and_read(acl: Grants | None) -> None:
    document = json.loads(to_json(acl_member(acl)))
    assert load_acl(document) == acl
    assert all(isinstance(grant, Grant) for grant in load_acl(document) or ())


def encrypted_documents(encryption: Encryption | None, envelope: Envelope | None) -> dict[str, Any]:
    """The document of each kind of record that tells of encryption, in each store that keeps."""
    part = replace(part_of(Blob("id", 3), b"abc"), encryption=envelope)
    version, upload = replace(VERSION, encryption=encryption), replace(UPLOAD, encryption=encryption)
    return {
        "version's row": rows.version_document(version),
        "upload's row": rows.upload_document(upload),
        "part's row": rows.part_document(part),
        "version's file": sidecar.dump_version(version),
        "upload's file": sidecar.dump_upload(upload),
        "part's file": to_json(sidecar.dump_part(part)),
    }


@pytest.mark.parametrize("record", encrypted_documents(None, None))
def test_a_record_that_is_not_encrypted_says_nothing_of_it(record: str) -> None:
    assert "encryption" not in json.loads(encrypted_documents(None, None)[record])
    assert "encryption" in json.loads(encrypted_documents(ENCRYPTIONS[0], AN_ENVELOPE)[record])


@pytest.mark.parametrize("encryption", ENCRYPTIONS, ids=str)
def test_an_encryption_survives_being_written_and_read(encryption: Encryption | None) -> None:
    assert load_encryption(json.loads(to_json(encryption_member(encryption)))) == encryption


@pytest.mark.parametrize("envelope", [AN_ENVELOPE, None])
def test_an_envelope_survives_being_written_and_read(envelope: Envelope | None) -> None:
    assert load_envelope(json.loads(to_json(envelope_member(envelope)))) == envelope
