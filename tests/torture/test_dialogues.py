"""Test 40, in small: random sessions, after which the daemon is what it was."""

import time

import pytest

from tests.torture import dialogues, fuzz, soak


def test_40_random_sessions(daemon):
    seed = time.time_ns() // 10**6
    for n in range(100):
        assert dialogues.session(daemon.port, seed + n) == ""
    assert dialogues.answers(daemon.port) < 1
    assert not [entry for entry in daemon.log_so_far() if entry["event"] == "internal.error"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_40_five_minutes_of_random_sessions():
    assert fuzz.main(5, time.time_ns() // 10**6) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_40_five_minutes_of_good_hostile_and_half_dead_clients():
    assert soak.main(5, 100, seed=time.time_ns() // 10**6) == 0
