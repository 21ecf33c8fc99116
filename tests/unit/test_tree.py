"""Reading a document's tree: elements that may repeat, that stand once, and text."""

from __future__ import annotations

import pytest

from post3.errors import MalformedXML
from post3.model.tree import Tree, each, one, text


def test_each_gives_none_one_or_many() -> None:
    assert list(each({}, "B")) == []
    assert list(each({"B": {"C": "x"}}, "B")) == [{"C": "x"}]
    assert list(each({"B": [{"C": "x"}, {"C": "y"}]}, "B")) == [{"C": "x"}, {"C": "y"}]
    trees: list[Tree] = [{"B": ""}, {"B": "x"}, {"B": [{"C": "x"}, "y"]}]
    for tree in trees:
        with pytest.raises(MalformedXML):
            list(each(tree, "B"))


def test_one_stands_once() -> None:
    assert one({"B": {"C": "x"}, "D": "y"}, "B") == {"C": "x"}
    trees: list[Tree] = [{}, {"B": ""}, {"B": "x"}, {"B": [{"C": "x"}, {"C": "y"}]}]
    for tree in trees:
        with pytest.raises(MalformedXML):
            one(tree, "B")


def test_text_stands_once() -> None:
    assert text({}, "B") is None
    assert text({"B": ""}, "B") == ""
    assert text({"B": "x"}, "B") == "x"
    trees: list[Tree] = [{"B": {"C": "x"}}, {"B": ["x", "y"]}]
    for tree in trees:
        with pytest.raises(MalformedXML):
            text(tree, "B")
