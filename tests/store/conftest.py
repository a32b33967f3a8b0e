"""The store's tests run on Valkey, and on Debian's Redis where it is installed."""

import pytest
from hypothesis import settings

from tests.redis_server import BINARIES, RedisServer

# pytest --hypothesis-profile torture
settings.register_profile("default", max_examples=150)
settings.register_profile("torture", max_examples=1500)


@pytest.fixture(scope="session", params=sorted(BINARIES))
def shared_server(request, tmp_path_factory):
    server = RedisServer(BINARIES[request.param], tmp_path_factory.mktemp(request.param))
    yield server
    server.kill()


@pytest.fixture
def server(shared_server):
    """A server that holds nothing; do not freeze, kill or configure it."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def redis(server):
    """A plain client of it, as a sender has one."""
    with server.client() as client:
        yield client


@pytest.fixture(params=sorted(BINARIES))
def own_server(request, tmp_path):
    """A server to do anything to."""
    directory = tmp_path / "server"
    directory.mkdir()
    server = RedisServer(BINARIES[request.param], directory)
    yield server
    server.kill()
