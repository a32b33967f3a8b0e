"""Fixtures that every folder may use: real servers."""

import pytest

from tests.redis_server import BINARIES, RedisServer


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory):
    """One Valkey server for the session."""
    server = RedisServer(BINARIES["valkey"], tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


@pytest.fixture
def valkey(valkey_server):
    """The URL of a Valkey server that holds nothing."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server.url
