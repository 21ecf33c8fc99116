"""Who has which keys, and which of several sources counts."""

from __future__ import annotations

import pytest

from post3.auth.credentials import (
    ACCESS_KEY,
    EMAIL,
    SECRET_KEY,
    USER_ID,
    CredentialsError,
    Key,
    Rule,
    Source,
    StaticCredentials,
    User,
    merge,
)
from post3.model.identity import ANONYMOUS, ROOT, Identity

ALICE = Identity("alice", "Alice", "Alice@example.com")
BOB = Identity("bob", "Bob")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (ACCESS_KEY, "abc"),
        (ACCESS_KEY, "AKIA+-.:=~!" + "x" * 117),
        (SECRET_KEY, "12345678"),
        (SECRET_KEY, "pass/word, with é 🦄"),
        (SECRET_KEY, "x" * 128),
        (USER_ID, "a"),
        (USER_ID, "post3x"),
        (USER_ID, "me@example.com"),
        (USER_ID, "0" * 128),
        (EMAIL, "a@b"),
    ],
)
def test_what_a_text_may_be_is_taken_as_it_is(rule: Rule, text: str) -> None:
    assert rule.parse(text) == text


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (ACCESS_KEY, "ab"),
        (ACCESS_KEY, "x" * 129),
        (ACCESS_KEY, "a/b"),
        (ACCESS_KEY, "a,b"),
        (ACCESS_KEY, "a b"),
        (ACCESS_KEY, "abc\n"),
        (ACCESS_KEY, "abé"),
        (SECRET_KEY, "1234567"),
        (SECRET_KEY, "x" * 129),
        (SECRET_KEY, "12345678\n"),
        (SECRET_KEY, "1234567\0"),
        (SECRET_KEY, "1234567\ud800"),
        (USER_ID, ""),
        (USER_ID, "a/b"),
        (USER_ID, "a\n"),
        (USER_ID, "é"),
        (USER_ID, "x" * 129),
        (USER_ID, ROOT.id),
        (USER_ID, ANONYMOUS.id),
        (EMAIL, "nobody"),
        (EMAIL, "a@b@c"),
        (EMAIL, '"a"@b'),
        (EMAIL, "a@b\n"),
        (EMAIL, "@b"),
        (EMAIL, "a@" + "b" * 253),
    ],
)
def test_what_a_text_may_not_be_is_refused_and_not_shown(rule: Rule, text: str) -> None:
    with pytest.raises(CredentialsError) as refused:
        rule.parse(text)
    assert str(refused.value) == f"must be {rule.allowed}"


def test_a_key_does_not_show_its_secret() -> None:
    key = Key("AKIA", "open sesame", ALICE)

    assert "sesame" not in repr(key)
    assert "sesame" not in repr(User(ALICE, (key,)))


async def test_a_key_a_user_and_an_address_are_found() -> None:
    key = Key("AKIA", "12345678", ALICE)
    credentials = StaticCredentials([key], [BOB])

    await credentials.refresh()
    assert credentials.find("AKIA") is key
    assert credentials.find("akia") is None
    assert [credentials.by_id(id) for id in ("alice", "bob", "carol")] == [ALICE, BOB, None]
    assert credentials.by_email("ALICE@example.com") is ALICE
    assert credentials.by_email("") is None


def test_root_is_known_and_nobody_may_have_a_key() -> None:
    credentials = StaticCredentials([], [ALICE])

    assert credentials.by_id(ROOT.id) is ROOT
    assert credentials.is_empty
    assert not StaticCredentials([Key("AKIA", "12345678", ROOT)]).is_empty


def test_sources_that_do_not_clash_are_all_known() -> None:
    keys = Key("A", "12345678", ROOT), Key("B", "12345678", ALICE), Key("C", "12345678", BOB)
    sources = [Source(f"The {key.access_key}", [User(key.identity, (key,))]) for key in keys]

    credentials, clashes = merge(*sources)

    assert [credentials.find(name) for name in "ABC"] == list(keys)
    assert credentials.by_email("alice@example.com") == ALICE
    assert clashes == ()


def test_of_two_users_of_one_id_the_first_counts_with_their_keys() -> None:
    first, second = Key("A", "12345678", ALICE), Key("B", "12345678", Identity("alice", "Another"))

    credentials, clashes = merge(
        Source("The file", [User(ALICE, (first,))]), Source("The store", [User(second.identity, (second,))])
    )

    assert credentials.by_id("alice") == ALICE
    assert (credentials.find("A"), credentials.find("B")) == (first, None)
    assert clashes == ("The store names a user alice who is known already; that one and their keys are ignored.",)


def test_of_two_equal_access_keys_the_first_counts() -> None:
    first, second, third = Key("A", "12345678", ALICE), Key("A", "abcdefgh", BOB), Key("B", "abcdefgh", BOB)

    credentials, clashes = merge(
        Source("The file", [User(ALICE, (first,))]), Source("The store", [User(BOB, (second, third))])
    )

    assert (credentials.find("A"), credentials.find("B")) == (first, third)
    assert credentials.by_id("bob") == BOB
    assert clashes == ("The store gives the user bob the access key A, which alice has already; it stays theirs.",)


def test_of_two_equal_addresses_the_first_counts() -> None:
    bob = Identity("bob", "Bob", "alice@EXAMPLE.com")
    key = Key("B", "12345678", bob)

    credentials, clashes = merge(Source("The file", [User(ALICE)]), Source("The store", [User(bob, (key,))]))

    assert credentials.by_email("alice@example.com") == ALICE
    assert credentials.by_id("bob") == BOB
    found = credentials.find("B")
    assert found is not None
    assert found.identity == BOB
    assert clashes == ("The store gives the user bob an email address that another user has.",)
