"""What is wrong with a server's configuration, in words, with what to do about it. Changes nothing."""

from typing import Any

from bounced.settings.schema import Durability
from bounced.settings.schema import Redis as Settings
from bounced.store.durability import version_of
from bounced.store.faults import StoreUnavailable, cause_of
from bounced.store.node import FAILURES, Node

OLDEST = (7, 0)  # EXPIRETIME


async def problems(node: Node, settings: Settings) -> list[str]:
    """Return a line for each problem of one server. Raises StoreUnavailable when it does not answer."""
    try:
        info: dict[str, Any] = await node.ask("INFO")
    except FAILURES as error:
        if "NOPERM" in cause_of(error):
            return [f"{node.address}: cannot check its configuration: the ACL user lacks INFO"]
        raise StoreUnavailable(cause_of(error)) from error
    found = [*_version(info), *_eviction(info), *await _persistence(node, info), *_replicas(info, settings)]
    return [f"{node.address}: {problem}" for problem in found]


def _version(info: dict[str, Any]) -> list[str]:
    if version_of(info) >= OLDEST:
        return []
    return [
        f"its version {info.get('redis_version')} is too old: upgrade it to Redis 7.0 or later, or Valkey"
    ]


def _eviction(info: dict[str, Any]) -> list[str]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    lost = "throws suppressions away when memory runs out, and nobody is told"
    return [f"maxmemory-policy {policy} {lost}: set maxmemory-policy noeviction"]


async def _persistence(node: Node, info: dict[str, Any]) -> list[str]:
    try:
        asked = await node.ask("CONFIG GET", "appendfsync"), await node.ask("CONFIG GET", "save")
        config = {name: value for reply in asked for name, value in reply.items()}
    except FAILURES:  # not allowed, or no such command at a provider's
        config = {}
    if not int(info.get("aof_enabled", 0)):
        snapshots = config.get("save", "?")
        lost = "what came since the last snapshot" if snapshots else "everything"
        return [f"persistence is off: a restart loses {lost}: set appendonly yes and appendfsync always"]
    if config.get("appendfsync") == "no":
        return ["appendfsync no loses half a minute in a crash: set appendfsync always"]
    return []


def _replicas(info: dict[str, Any], settings: Settings) -> list[str]:
    connected = int(info.get("connected_slaves", 0))
    if settings.durability is not Durability.WAIT_REPLICAS or connected >= settings.replicas:
        return []
    wanted = f"redis.replicas is {settings.replicas}: nothing is confirmed until so many are"
    return [f"{connected} replicas are connected, but {wanted}"]
