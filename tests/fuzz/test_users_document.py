"""Whatever somebody writes into a users file: users, or one line that says what is wrong and shows no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from post3.auth.credentials import CredentialsError
from post3.auth.users_document import parse_users

SECRET = "open-sesame-0123"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
keys = st.fixed_dictionaries(
    {},
    optional={
        "access_key": st.sampled_from(["AKIA", "BKIA", SECRET + "/", ""]) | anything,
        "secret_key": st.just(SECRET) | anything,
    },
)
users = st.fixed_dictionaries(
    {"id": st.sampled_from(["alice", "bob", "post3"]) | anything},
    optional={
        "display_name": st.text(max_size=5) | anything,
        "email": st.sampled_from(["a@b.c", "A@B.c", ""]) | anything,
        "admin": st.booleans() | anything,
        "keys": st.lists(keys, max_size=3) | anything,
    },
)
documents = st.fixed_dictionaries({"users": st.lists(users | anything, max_size=3) | anything}) | anything


def said_of(text: str) -> str:
    """What is wrong with a document; empty when nothing is."""
    try:
        parse_users(text)
    except CredentialsError as error:
        return str(error)
    return ""


@given(documents)
def test_a_document_is_users_or_one_line_without_secrets(document: Any) -> None:
    said = said_of(json.dumps(document))
    if said:
        assert said.isprintable()
        assert SECRET not in said
        return
    found = parse_users(json.dumps(document))
    assert len({user.identity.id for user in found}) == len(document["users"])
    access_keys = [key.access_key for user in found for key in user.keys]
    assert len(set(access_keys)) == len(access_keys)
    assert all(key.identity is user.identity for user in found for key in user.keys)


@given(st.text() | st.text(alphabet='{}[]":,usersid0 \n'))
def test_a_text_is_users_or_one_line(text: str) -> None:
    said = said_of(text)
    assert said == "" or said.isprintable()
