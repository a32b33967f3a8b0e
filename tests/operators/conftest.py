"""The store that the commands are told of, as an operator's own client sees it."""

import pytest
import redis


@pytest.fixture
def store(valkey):
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        yield client
