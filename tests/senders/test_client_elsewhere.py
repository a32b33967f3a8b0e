"""`bounced.client` on a cluster and under Sentinels."""

import pytest

from bounced.client import Client
from bounced.core.naming import KeyForm
from tests.redis_server import BINARIES
from tests.senders.test_client import ANN, JANE, JOE, asked, asked_async, hard, record, soft
from tests.store.deployments import Cluster, SentinelTrio


@pytest.fixture(scope="module", params=[Cluster, SentinelTrio])
def url(request, tmp_path_factory):
    deployment = request.param(BINARIES["valkey"], tmp_path_factory.mktemp("deployment"))
    yield deployment.url
    deployment.kill()


@pytest.mark.parametrize("ask", [asked, asked_async])
def test_it_asks_there_as_on_a_single_server(url, ask):
    record(url, hard(JANE), hard(ANN), *(hard(f"a{n}@example.org") for n in range(100)))
    until, sendable = ask(url, KeyForm.PLAIN, [JANE, JOE, ANN, *(f"a{n}@example.org" for n in range(120))])
    assert [moment is None for moment in until[:3]] == [False, True, False]
    assert sendable == [JOE, *(f"a{n}@example.org" for n in range(100, 120))]


def test_delivered_breaks_the_row_there(url):
    record(url, *(soft(JOE, f"m{n}") for n in range(4)))
    with Client(url) as client:
        client.delivered([JOE, "kim@example.org"])
        record(url, soft(JOE, "m9"))
        assert client.check(JOE) is None
