"""The document of users, and the places of what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from post3.auth.credentials import CredentialsError, Key, User
from post3.auth.users_document import parse_users
from post3.model.identity import Identity

KEY = {"access_key": "AKIA", "secret_key": "open sesame"}


def wrong(document: Any) -> str:
    """What is said of a document."""
    with pytest.raises(CredentialsError) as refused:
        parse_users(document if isinstance(document, str) else json.dumps(document))
    return str(refused.value)


def test_all_members_are_read() -> None:
    tester = Identity("testid", "M. Tester", "t@example.com", is_admin=True)
    document = {
        "users": [
            {
                "id": "testid",
                "display_name": "M. Tester",
                "email": "t@example.com",
                "admin": True,
                "keys": [KEY, {"access_key": "BKIA", "secret_key": "12345678"}],
            }
        ]
    }

    keys = Key("AKIA", "open sesame", tester), Key("BKIA", "12345678", tester)
    assert parse_users(json.dumps(document)) == (User(tester, keys),)


def test_an_id_is_enough() -> None:
    assert parse_users('{"users": [{"id": "a"}, {"id": "b", "display_name": "", "email": ""}]}') == (
        User(Identity("a", "a")),
        User(Identity("b", "b")),
    )


def test_there_may_be_no_users() -> None:
    assert parse_users('{"users": []}') == ()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "line 1, column 1 is not JSON"),
        ('{"users": [\n  {"id": }]}', "line 2, column 10 is not JSON"),
        ("[" * 100_000, "the document is nested too deeply"),
        ([], "the document must be an object"),
        ({}, "users is missing"),
        ({"users": {}}, "users must be a list"),
        ({"users": [], "groups": []}, "groups is not known"),
        ({"users": [], "a\nb": 1}, "'a\\nb' is not known"),
        ({"users": [1]}, "users[0] must be an object"),
        ({"users": [{"id": "a"}, {}]}, "users[1].id is missing"),
        ({"users": [{"id": 7}]}, "users[0].id must be a string"),
        ({"users": [{"id": "a", "name": "A"}]}, "users[0].name is not known"),
        ({"users": [{"id": "a", "admin": 1}]}, "users[0].admin must be true or false"),
        ({"users": [{"id": "a", "email": None}]}, "users[0].email must be a string"),
        ({"users": [{"id": "a", "keys": KEY}]}, "users[0].keys must be a list"),
        ({"users": [{"id": "a", "keys": ["AKIA"]}]}, "users[0].keys[0] must be an object"),
        (
            {"users": [{"id": "a"}, {"id": "b"}, {"id": "c", "keys": [{"secret_key": "12345678"}]}]},
            "users[2].keys[0].access_key is missing",
        ),
        ({"users": [{"id": "a", "keys": [{"access_key": "AKIA"}]}]}, "users[0].keys[0].secret_key is missing"),
        ({"users": [{"id": "a", "keys": [{**KEY, "secret": "x"}]}]}, "users[0].keys[0].secret is not known"),
        ({"users": [{"id": "a"}, {"id": "a"}]}, "users[1].id is the same as users[0].id"),
        (
            {"users": [{"id": "a", "email": "a@b.c"}, {"id": "b", "email": "A@b.C"}]},
            "users[1].email is the same as users[0].email",
        ),
        (
            {"users": [{"id": "a", "keys": [KEY]}, {"id": "b", "keys": [KEY]}]},
            "users[1].keys[0].access_key is the same as users[0].keys[0].access_key",
        ),
        (
            {"users": [{"id": "a", "keys": [KEY, KEY]}]},
            "users[0].keys[1].access_key is the same as users[0].keys[0].access_key",
        ),
        ('{"users": [], "users": []}', "an object has the member users twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Any, said: str) -> None:
    assert wrong(document) == said


@pytest.mark.parametrize(
    ("member", "text"),
    [("id", "post3"), ("id", "a b"), ("display_name", "a\nb"), ("email", "nobody"), ("email", "x" * 300)],
)
def test_a_text_that_may_not_be_is_told_with_its_place(member: str, text: str) -> None:
    assert wrong({"users": [{"id": "a", member: text}]}).startswith(f"users[0].{member} must be ")


def test_neither_half_of_a_key_is_shown() -> None:
    swapped = {"access_key": "open/sesame", "secret_key": "AKIA"}

    assert wrong({"users": [{"id": "a", "keys": [swapped]}]}) == (
        "users[0].keys[0].access_key must be 3 to 128 printable ASCII characters without spaces, commas and slashes"
    )
