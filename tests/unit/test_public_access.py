"""The public access block: read, told, and read again."""

from __future__ import annotations

import json
from itertools import product

import pytest

from post3.errors import InvalidRequest, MalformedXML
from post3.model.public_access import SUBRESOURCE, PublicAccessBlock, from_document, of_bucket, to_document
from post3.model.tree import Tree
from post3.s3.xml import parse, render
from tests.conftest import a_bucket


@pytest.mark.parametrize("switches", list(product([True, False], repeat=4)))
def test_what_is_told_or_stored_is_read_again(switches: tuple[bool, bool, bool, bool]) -> None:
    block = PublicAccessBlock(*switches)
    tree = to_document(block)
    whole = render("PublicAccessBlockConfiguration", tree)
    assert from_document(parse(whole, "PublicAccessBlockConfiguration")) == block
    stored = json.loads(json.dumps(tree))
    assert of_bucket(a_bucket("photos", configurations={SUBRESOURCE: stored})) == block


def test_each_element_is_the_switch_of_its_name() -> None:
    assert from_document({"BlockPublicAcls": "true"}) == PublicAccessBlock(block_public_acls=True)
    assert from_document({"IgnorePublicAcls": "true"}) == PublicAccessBlock(ignore_public_acls=True)
    assert from_document({"BlockPublicPolicy": "TRUE"}) == PublicAccessBlock(block_public_policy=True)
    assert from_document({"RestrictPublicBuckets": "True"}) == PublicAccessBlock(restrict_public_buckets=True)
    assert from_document({"BlockPublicAcls": "false"}) == PublicAccessBlock()


def test_all_four_are_told() -> None:
    assert to_document(PublicAccessBlock(ignore_public_acls=True)) == {
        "BlockPublicAcls": False,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": False,
    }


def test_a_bucket_without_the_document_has_all_switches_off() -> None:
    assert of_bucket(a_bucket("photos")) == PublicAccessBlock(False, False, False, False)


@pytest.mark.parametrize(
    "tree",
    [
        {"BlockPublicAcls": ""},
        {"BlockPublicAcls": "yes"},
        {"BlockPublicAcls": "1"},
        {"BlockPublicAcls": ["true", "true"]},
        {"BlockPublicAcls": {"true": ""}},
        {"BlockPublicACLs": "true"},
        {"BlockPublicAcls": "true", "BlockEverything": "true"},
    ],
)
def test_what_might_be_meant_as_a_switch_is_refused(tree: Tree) -> None:
    with pytest.raises(MalformedXML):
        from_document(tree)


def test_a_document_without_a_switch_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        from_document({})
