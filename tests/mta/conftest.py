"""Skips what is not installed, and fails instead when BOUNCED_REQUIRE_MTA is set.

"1" requires the servers that are tested with every change, "all" the others too.
"""

import os

import pytest

from .servers import MORE, SERVERS


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = os.environ.get("BOUNCED_REQUIRE_MTA", "")
    for mark in item.iter_markers("mta"):
        (name,) = mark.args
        reason = SERVERS[name].missing()
        if reason and (required == "all" or (required and name not in MORE)):
            pytest.fail(f"BOUNCED_REQUIRE_MTA is set, and {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)
