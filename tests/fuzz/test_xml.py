"""XML under random trees and random bytes: the same tree again, or MalformedXML, and nothing else."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import MalformedXML
from post3.model.tree import TYPE, Tree
from post3.s3.xml import MAX_DEPTH, NAMESPACE, parse, render
from tests.fuzz.bounds import bounded

# A name as S3 has them, and text of which XML 1.0 can speak.
names = st.text(string.ascii_letters, min_size=1, max_size=8)
texts = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cn"]) | st.sampled_from("\t\n\r<>&\"']"), max_size=20
)


def branches(children: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """An element with children, of which some repeat."""
    repeated = st.lists(children, min_size=2, max_size=4)
    return st.dictionaries(names, children | repeated, min_size=1, max_size=4)


def typed(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """An element with children, and of a type."""
    return st.tuples(branches(children), names).map(lambda pair: {TYPE: pair[1], **pair[0]})


trees = branches(st.recursive(texts, lambda inner: branches(inner) | typed(inner), max_leaves=12))


@bounded
@given(trees, st.sampled_from(["", NAMESPACE]))
def test_a_tree_survives_being_written_and_read(tree: Tree, namespace: str) -> None:
    assert parse(render("Root", tree, namespace), "Root") == tree


leaves = st.none() | st.booleans() | st.integers() | st.datetimes() | st.text(max_size=10)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | branches(inner), max_leaves=12)


@bounded
@given(st.dictionaries(names, leaves | branches(leaves), max_size=5))
def test_every_tree_can_be_written(tree: Tree) -> None:
    whole = render("Root", tree)
    assert whole.endswith(b"</Root>")
    with contextlib.suppress(MalformedXML):  # some characters are beyond XML, though S3 sends them
        parse(whole, "Root")


TYPED = "<B xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:type='C'>"
TAGS = ["<A>", "</A>", "<A/>", "<B>", "</B>", "<B c='d'>", TYPED, "<x:A xmlns:x='urn:y'>", "</x:A>", "xmlns='urn:x'"]
TEXT = ["text", " ", "\x00", "&amp;", "&lt", "&e;", "&#0;", "&#xd800;", "&#x110000;", "<![CDATA[", "]]>"]
ASIDES = ["<!--", "-->", "<?pi?>", "<!DOCTYPE A>", "<!DOCTYPE A [", "<!ENTITY e 'x'>", "]>"]
markup = st.sampled_from([*TAGS, *TEXT, *ASIDES, "<?xml version='1.0' encoding='utf-16'?>"])


@bounded
@given(st.one_of(st.binary(max_size=100), st.lists(markup, max_size=15).map("".join).map(str.encode)))
@example(b"<?xml version='1.0' encoding='rot13'?><A/>")
@example(b"<?xml version='1.0' encoding='hex'?><A/>")
@example(b"<?xml version='1.0' encoding='idna'?><A>x</A>")
@example(b"<?xml version='1.0' encoding='big5'?><A>\xa4\xa4</A>")
def test_any_bytes_give_a_tree_or_malformed_xml(body: bytes) -> None:
    try:
        tree = parse(body, "A")
    except MalformedXML:
        return
    assert isinstance(tree, Mapping)
    assert is_tree(tree)


def is_tree(value: object) -> bool:
    """Whether it is text, a mapping of names to trees, or a list of several."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and is_tree(child) for name, child in value.items())
    if isinstance(value, str):
        return True
    return isinstance(value, Sequence) and len(value) > 1 and all(map(is_tree, value))


@bounded
@given(trees, st.text(string.ascii_letters, min_size=1, max_size=8), texts)
def test_a_doctype_is_refused_before_any_document(tree: Tree, name: str, value: str) -> None:
    document = render("Root", tree).decode().partition("\n")[2]
    quoted = value.translate({ord(character): None for character in "<>&\"'%"})
    for doctype in (
        f"<!DOCTYPE {name}>",
        f'<!DOCTYPE Root SYSTEM "{quoted}">',
        f'<!DOCTYPE Root [<!ENTITY {name} "{quoted}">]>',
        f'<!DOCTYPE Root [<!ENTITY {name} SYSTEM "file:///dev/zero">]>',
    ):
        with pytest.raises(MalformedXML):
            parse((doctype + document).encode(), "Root")


@bounded
@given(st.integers(1, 5000), st.booleans())
def test_depth_is_bounded(depth: int, closed: bool) -> None:
    body = "<Root>" + "<A>" * depth + "x" + ("</A>" * depth + "</Root>" if closed else "")
    if closed and depth <= MAX_DEPTH:
        assert parse(body.encode(), "Root")
    else:
        with pytest.raises(MalformedXML):
            parse(body.encode(), "Root")
