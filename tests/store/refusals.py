"""Real servers that refuse: each makes one do so and afterwards makes it stop, by the word that the server says."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError
from redis.retry import Retry

from tests.redis_server import RedisServer, wait_for

ENDLESS = "while true do end"
SECRET = "right-secret"


@contextmanager
def _configured(server: RedisServer, name: str, value: str) -> Iterator[None]:
    with server.client() as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
        yield
        client.config_set(name, before)


def out_of_memory(server: RedisServer) -> AbstractContextManager[None]:
    return _configured(server, "maxmemory", "1")


def too_few_replicas(server: RedisServer) -> AbstractContextManager[None]:
    return _configured(server, "min-replicas-to-write", "1")


@contextmanager
def a_replica(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("no", "one")


@contextmanager
def a_replica_without_its_primary(server: RedisServer) -> Iterator[None]:
    with _configured(server, "replica-serve-stale-data", "no"), a_replica(server):
        yield


@contextmanager
def a_disk_that_is_gone(server: RedisServer) -> Iterator[None]:
    with _configured(server, "save", "3600 1"), server.client() as client:
        shutil.rmtree(server.directory)
        with contextlib.suppress(ResponseError):
            client.bgsave()
        wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield


@contextmanager
def without_rights(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha")
        yield
        client.execute_command("ACL", "SETUSER", "default", "+evalsha")


@contextmanager
def a_password_since_now(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.config_set("requirepass", SECRET)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")  # all but this one
        yield
        client.config_set("requirepass", "")


@contextmanager
def a_script_of_somebody(server: RedisServer) -> Iterator[None]:
    with _configured(server, "busy-reply-threshold", "20"):
        running = threading.Thread(target=_run_endless, args=(server,))
        running.start()
        wait_for(lambda: _refusal(server) is not None)
        yield
        with server.client() as client:
            client.script_kill()
        running.join(10)


def _run_endless(server: RedisServer) -> None:
    with server.client() as client, contextlib.suppress(ResponseError):
        client.eval(ENDLESS, 0)


@contextmanager
def a_long_start(server: RedisServer) -> Iterator[None]:
    """It reads an append-only file, at ten milliseconds a key."""
    with server.client() as client:
        client.config_set("appendonly", "yes")
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        client.mset({f"other:{n}": "x" * 100 for n in range(500)})
        client.bgrewriteaof()
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    server.kill()
    slow = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]
    server.process = subprocess.Popen(
        [*server.command, "--appendonly", "yes", *slow], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: isinstance(_refusal(server), BusyLoadingError))
    yield
    with _impatient(server) as client:
        client.config_set("key-load-delay", "0")
    wait_for(server.answers)


def _refusal(server: RedisServer) -> RedisError | None:
    """What it says to a question; None: an answer."""
    with _impatient(server) as client:
        try:
            client.get("anything")
        except RedisError as error:
            return error
    return None


def _impatient(server: RedisServer) -> Redis:
    return Redis(port=server.port, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5)


REFUSALS: dict[str, Callable[[RedisServer], AbstractContextManager[None]]] = {
    "OOM": out_of_memory,
    "NOREPLICAS": too_few_replicas,
    "READONLY": a_replica,
    "MASTERDOWN": a_replica_without_its_primary,
    "MISCONF": a_disk_that_is_gone,
    "NOPERM": without_rights,
    "NOAUTH": a_password_since_now,
    "BUSY": a_script_of_somebody,
    "LOADING": a_long_start,
}
