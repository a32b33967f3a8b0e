"""TLS, an ACL user and its password, on a cluster and under Sentinels, across a fail-over."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from bounced.client import Client
from bounced.core.policy import Policy, Result
from bounced.settings.schema import Redis as Settings
from bounced.settings.schema import Tls
from bounced.store import Store
from tests.redis_server import REDIS, RedisServer, free_port, wait_for
from tests.store.deployments import Cluster, SentinelTrio
from tests.store.test_access import sign_certificates
from tests.store.test_faults import cause, confirmed, documented_rights
from tests.store.test_store import hard

pytestmark = pytest.mark.skipif(
    REDIS is None, reason="the Valkey of the wheel speaks no TLS, and there is no redis-server"
)
SERVER = REDIS or ""
ADDRESSES = [f"user{n}@example.org" for n in range(30)]  # on all primaries of a cluster


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """For servers that are named by their address, as clusters and Sentinels name them."""
    folder = tmp_path_factory.mktemp("tls")
    sign_certificates(folder, "IP:127.0.0.1")
    return folder


@pytest.fixture
def files(certificates):
    kinds = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
    named = {f"tls-{kind}-file": str(certificates / name) for kind, name in kinds.items()}
    return named | {"tls-auth-clients": "yes"}


@pytest.fixture
def settings(certificates, tmp_path):
    (tmp_path / "password").write_text("bounced-secret\n")
    tls = Tls(
        ca_file=certificates / "ca.pem",
        cert_file=certificates / "client.pem",
        key_file=certificates / "client.key",
    )
    return Settings(password_file=tmp_path / "password", tls=tls)


def with_users(server: RedisServer) -> None:
    """Only these users may touch our keys, with the documented rights; Sentinels and replicas stay nameless."""
    rights = {
        "bounced": ("~bounced:*", *documented_rights("The user of the daemon needs", "A sender needs")),
        "sender": ("~bounced:*", *documented_rights("`bounced.client` needs", r"\.\n")),
    }
    with server.client() as client:
        for name, allowed in rights.items():
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{name}-secret", *allowed)
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~other:*")


def url_of(deployment: Cluster | SentinelTrio) -> str:
    return deployment.url.replace("redis+", "rediss+").replace("://", "://bounced@")


def ask_as_a_sender(url: str, settings: Settings) -> None:
    tls = settings.tls
    options = f"ssl_ca_certs={tls.ca_file}&ssl_certfile={tls.cert_file}&ssl_keyfile={tls.key_file}"
    with Client(f"{url.replace('bounced@', 'sender:sender-secret@')}?{options}") as client:
        assert list(client.filter([*ADDRESSES, "joe@example.org"])) == ["joe@example.org"]
        client.delivered(ADDRESSES)


async def use(url: str, settings: Settings, fail_over) -> None:
    store = await Store.open(url, "bounced", Policy(), Path("unused"), settings=settings)
    for address in ADDRESSES:
        [outcome] = await store.record([hard("m", address=address)])
        assert outcome.result is Result.NEW
    await asyncio.to_thread(fail_over)
    for address in ADDRESSES:
        assert (await confirmed(store, hard("m", address=address), 20)).result is Result.DUPLICATE
    assert None not in await store.check(ADDRESSES)
    await store.close()

    assert settings.password_file is not None
    settings.password_file.write_text("wrong-secret")
    refused = await Store.open(url, "bounced", Policy(), Path("unused"), settings=settings)
    said = await cause(refused)
    await refused.close()
    assert "authentication refused" in said
    assert "secret" not in said


def test_a_cluster(files, settings, tmp_path):
    cluster = Cluster(SERVER, tmp_path, tls=files)
    for node in cluster.nodes:
        with_users(node)

    def fail_over() -> None:
        cluster.run(3, "FAILOVER")
        wait_for(lambda: cluster.is_primary(3), 30)

    asyncio.run(use(url_of(cluster), settings, fail_over))
    ask_as_a_sender(url_of(cluster), settings)
    cluster.kill()


def test_sentinels(files, settings, tmp_path):
    trio = SentinelTrio(SERVER, tmp_path, tls=files)
    for server in trio.servers:
        with_users(server)
    left = trio.primary()

    def fail_over() -> None:
        with left.client() as client:
            client.wait(2, 5000)
        trio.fail_over()
        wait_for(lambda: trio.primary() is not left, 30)

    asyncio.run(use(url_of(trio), settings, fail_over))
    ask_as_a_sender(url_of(trio), settings)
    trio.kill()


def test_a_sentinel_that_asks_for_the_password_too(tmp_path):
    (tmp_path / "server").mkdir()
    server = RedisServer(SERVER, tmp_path / "server")
    port, file = free_port(), tmp_path / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nlogfile {tmp_path}/log\nrequirepass both-secret\n"
        f"sentinel monitor bounces 127.0.0.1 {server.port} 1\nsentinel auth-pass bounces both-secret\n"
    )
    with server.client() as client:
        client.config_set("requirepass", "both-secret")
    sentinel = subprocess.Popen([SERVER, str(file), "--sentinel"], stdout=subprocess.DEVNULL)

    async def scenario() -> None:
        url = f"redis+sentinel://:both-secret@127.0.0.1:{port}/bounces"
        store = await Store.open(url, "bounced", Policy(), Path("unused"))
        assert (await confirmed(store, hard("m"), 20)).result is Result.NEW
        await store.close()

    asyncio.run(scenario())
    sentinel.kill()
    sentinel.wait(10)
    server.kill()
