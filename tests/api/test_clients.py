"""boto3 and the AWS CLI go the whole round of `tests.clients`, with their defaults; `tox -e clients` has the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.api.conftest import FLAGS
from tests.clients.going import go_round
from tests.clients.programs import CLIENTS
from tests.clients.ways import STYLES, Way, serving


@pytest.fixture(scope="module", params=["HTTP", "TLS"])
def ways(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Way]]:
    """The ways to a server that has a root key, by style."""
    with serving(request.param, FLAGS["filesystem"], tmp_path_factory.mktemp("clients")) as found:
        yield {way.style: way for way in found}


@pytest.mark.parametrize("style", STYLES)
def test_boto3_works_with_its_defaults(ways: Mapping[str, Way], style: str) -> None:
    assert go_round(CLIENTS["boto3"].install(), ways[style]).failure == ""


# It starts fifty times for a round: so each transport and each style once.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("ways", "style"), [("HTTP", "path"), ("TLS", "virtual")], indirect=["ways"])
def test_the_aws_cli_works_with_its_defaults(ways: Mapping[str, Way], style: str) -> None:
    assert go_round(CLIENTS["aws-cli"].install(), ways[style]).failure == ""
