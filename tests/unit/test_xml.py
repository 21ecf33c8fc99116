"""XML out and in: what is written, what is read, and what is never read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from post3.errors import MalformedXML
from post3.model.tree import TYPE, Tree
from post3.s3.xml import DECLARATION, INSTANCE, MAX_DEPTH, MAX_ELEMENTS, NAMESPACE, parse, render, timestamp


def rendered(tree: Tree) -> str:
    whole = render("A", tree, namespace="").decode()
    assert whole.startswith(DECLARATION.decode())
    return whole.removeprefix(DECLARATION.decode()).removeprefix("<A>").removesuffix("</A>")


def test_a_document_has_a_declaration_and_s3s_namespace() -> None:
    assert render("A", {"B": "c"}) == DECLARATION + f'<A xmlns="{NAMESPACE}"><B>c</B></A>'.encode()


@pytest.mark.parametrize(
    ("tree", "xml"),
    [
        ({}, ""),
        ({"B": "text"}, "<B>text</B>"),
        ({"B": ""}, "<B></B>"),
        ({"B": None, "C": "x"}, "<C>x</C>"),
        ({"B": {}}, "<B></B>"),
        ({"B": {"C": "x", "D": "y"}}, "<B><C>x</C><D>y</D></B>"),
        ({"B": ["x", "y"]}, "<B>x</B><B>y</B>"),
        ({"B": [{"C": "x"}, {"C": "y"}]}, "<B><C>x</C></B><B><C>y</C></B>"),
        ({"B": []}, ""),
        ({"": [{"B": "x"}, {"C": "y"}, {"B": "z"}]}, "<B>x</B><C>y</C><B>z</B>"),
        ({"B": True, "C": False, "D": 5}, "<B>true</B><C>false</C><D>5</D>"),
        ({"B": datetime(2026, 2, 3, 4, 5, 6, 789_999, tzinfo=UTC)}, "<B>2026-02-03T04:05:06.789Z</B>"),
        ({"B": "<&>\"'"}, "<B>&lt;&amp;&gt;&quot;'</B>"),
        ({"B": "a\x00\x1f\r\n\tb"}, "<B>a&#x0;&#x1f;&#xd;\n\tb</B>"),
        ({"B": "é𝄞"}, "<B>é𝄞</B>"),
        ({"B": "\udcff"}, "<B>?</B>"),
    ],
)
def test_a_tree_becomes_elements(tree: Tree, xml: str) -> None:
    assert rendered(tree) == xml


def test_a_type_becomes_an_attribute() -> None:
    grantee = {TYPE: 'a"&<b', "ID": "alice"}
    opening = f'<B xmlns:xsi="{INSTANCE}" xsi:type="a&quot;&amp;&lt;b">'
    assert rendered({"B": grantee}) == f"{opening}<ID>alice</ID></B>"
    assert rendered({"B": [grantee, {"ID": "bob"}]}) == f"{opening}<ID>alice</ID></B><B><ID>bob</ID></B>"
    assert grantee == {TYPE: 'a"&<b', "ID": "alice"}


def test_a_document_may_be_text_alone() -> None:
    assert render("LocationConstraint", "eu<", namespace="").endswith(
        b"<LocationConstraint>eu&lt;</LocationConstraint>"
    )


def test_a_time_is_cut_and_in_utc() -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(moment) == "2026-02-03T02:05:06.999Z"


@pytest.mark.parametrize(
    ("xml", "tree"),
    [
        ("<A/>", {}),
        ("<A>text</A>", {}),
        ("<A><B>x</B></A>", {"B": "x"}),
        ("<A><B/></A>", {"B": ""}),
        ("<A><B>x</B><B>y</B><B>z</B></A>", {"B": ["x", "y", "z"]}),
        ("<A><B><C>x</C></B><B><C>y</C></B></A>", {"B": [{"C": "x"}, {"C": "y"}]}),
        (f'<A xmlns="{NAMESPACE}"><B>x</B></A>', {"B": "x"}),
        ('<s:A xmlns:s="urn:x"><s:B>x</s:B></s:A>', {"B": "x"}),
        ("<A>\n  <B> x </B>\n</A>", {"B": " x "}),
        ("<A><!-- no --><B>x<!-- no -->y</B></A>", {"B": "xy"}),
        ("<A><B><![CDATA[<x>]]></B></A>", {"B": "<x>"}),
        ("<A><B>&lt;&#233;&#xd;</B></A>", {"B": "<é\r"}),
    ],
)
def test_elements_become_a_tree(xml: str, tree: Tree) -> None:
    assert parse(xml.encode(), "A") == tree


@pytest.mark.parametrize(
    ("xml", "tree"),
    [
        (f'<A><B xmlns:xsi="{INSTANCE}" xsi:type="Group"><C>x</C></B></A>', {"B": {TYPE: "Group", "C": "x"}}),
        (f'<A xmlns:i="{INSTANCE}"><B i:type="Group"><C>x</C></B></A>', {"B": {TYPE: "Group", "C": "x"}}),
        (f'<A xmlns:xsi="{INSTANCE}" xsi:type="Group"><B>x</B></A>', {"B": "x"}),
        (f'<A><B xmlns:xsi="{INSTANCE}" xsi:type="Group">x</B></A>', {"B": "x"}),
        (f'<A><B xmlns:xsi="{INSTANCE}" xsi:nil="true" type="Group"><C>x</C></B></A>', {"B": {"C": "x"}}),
        ('<A><B xmlns:xsi="urn:x" xsi:type="Group"><C>x</C></B></A>', {"B": {"C": "x"}}),
    ],
)
def test_of_attributes_the_type_of_an_element_with_children_is_read(xml: str, tree: Tree) -> None:
    assert parse(xml.encode(), "A") == tree


def test_a_document_may_name_its_encoding() -> None:
    assert parse('<?xml version="1.0" encoding="ISO-8859-1"?><A><B>é</B></A>'.encode("latin-1"), "A") == {"B": "é"}
    assert parse("<A><B>é</B></A>".encode("utf-16"), "A") == {"B": "é"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"text",
        b"{}",
        b"<A>",
        b"<A></B>",
        b"<A/><A/>",
        b"<B/>",
        b"<A><B></A></B>",
        b"<A>\xff</A>",
        b"<A>&unknown;</A>",
        b"<A>\x00</A>",
        b"\xff\xfe",
        b'<?xml version="1.0" encoding="nonsense"?><A/>',
        b'<?xml version="1.0" encoding="utf-7"?><A/>',
        b'<?xml version="1.0" encoding="shift-jis"?><A/>',
    ],
)
def test_what_is_not_the_document_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        parse(body, "A")


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE A><A/>",
        b'<!DOCTYPE A SYSTEM "http://127.0.0.1:1/x.dtd"><A/>',
        b'<!DOCTYPE A [<!ENTITY e "x">]><A>&e;</A>',
        b'<!DOCTYPE A [<!ENTITY e SYSTEM "file:///etc/passwd">]><A>&e;</A>',
        b'<!DOCTYPE A [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]><A/>',
        b"<!DOCTYPE A ["
        + b'<!ENTITY a0 "lol">'
        + b"".join(b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10))
        + b"]><A>&a9;</A>",
    ],
)
def test_a_doctype_is_refused_whatever_it_says(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        parse(body, "A")


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return b"<A>" + b"<B>" * depth + b"x" + b"</B>" * depth + b"</A>"

    tree = parse(nested(MAX_DEPTH), "A")
    assert isinstance(tree["B"], dict)
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(MalformedXML):
            parse(nested(depth), "A")


def test_as_many_elements_as_allowed_are_read() -> None:
    most = MAX_ELEMENTS - 1
    assert parse(b"<A>" + b"<B/>" * most + b"</A>", "A") == {"B": [""] * most}
