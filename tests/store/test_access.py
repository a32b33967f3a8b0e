"""Ways to a server: a socket, TLS with certificates, passwords from files; what is refused and how."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from bounced.core.policy import Policy, Result
from bounced.settings.places import Address, Kind, Place
from bounced.settings.schema import Durability, Tls
from bounced.settings.schema import Redis as Settings
from bounced.store import Store, StoreUnavailable
from tests.redis_server import BINARIES, REDIS, RedisServer, free_port
from tests.store.test_faults import cause, confirmed, record_after_closings
from tests.store.test_store import hard


async def opened(url, **settings) -> Store:
    return await Store.open(url, "bounced", Policy(), Path("unused"), settings=Settings(**settings))


def test_a_unix_socket(tmp_path):
    path = tmp_path / "redis.sock"
    server = RedisServer(BINARIES["valkey"], tmp_path, unixsocket=str(path))

    async def scenario() -> None:
        store = await opened(f"unix://{path}")
        assert (await store.record([hard("m")]))[0].result is Result.NEW
        assert store.url == f"unix://{path}"
        await store.close()

    asyncio.run(scenario())
    server.kill()


@pytest.fixture
def with_password(tmp_path):
    (tmp_path / "data").mkdir()
    server = RedisServer(BINARIES["valkey"], tmp_path / "data")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bounced", "on", ">first-secret", "~*", "+@all")
    yield server
    server.kill()


def test_a_password_from_a_file_is_read_again_for_each_connection(with_password, tmp_path):
    file = tmp_path / "password"
    file.write_text("first-secret\n")

    async def scenario() -> None:
        store = await opened(with_password.url.replace("//", "//bounced@"), password_file=file)
        await store.record([hard("m1")])
        with with_password.client() as client:
            client.execute_command("ACL", "SETUSER", "bounced", "resetpass", ">second-secret")
            client.execute_command("CLIENT", "KILL", "USER", "bounced")
            said = await cause(store)
            assert "secret" not in said
            file.write_text("second-secret")
        await confirmed(store, hard("m1"))
        await store.close()

    asyncio.run(scenario())


def test_a_password_from_a_systemd_credential(with_password, tmp_path, monkeypatch):
    (tmp_path / "redis").write_text("first-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    async def scenario() -> None:
        store = await opened(with_password.url.replace("//", "//bounced@"), password_file=Path("redis"))
        await store.record([hard("m")])
        await store.close()

    asyncio.run(scenario())


def test_a_password_file_that_is_missing_is_named(with_password, tmp_path):
    async def scenario() -> str:
        store = await opened(with_password.url, password_file=tmp_path / "nowhere")
        said = await cause(store)
        await store.close()
        return said

    assert asyncio.run(scenario()) == f"redis.password_file: {tmp_path}/nowhere: No such file or directory"


def openssl(folder, *arguments) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def sign_certificates(folder: Path, name: str) -> None:
    """Make a certificate authority, and certificates of it for a server of that name and for us."""
    key = ("req", "-newkey", "rsa:2048", "-nodes")
    authority = ("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "2")
    openssl(folder, *key, "-x509", *authority)
    for file, subject in (("server", "/CN=server"), ("client", "/CN=bounced")):
        openssl(folder, *key, "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", subject)
        (folder / "san").write_text(f"subjectAltName={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
        openssl(folder, "x509", "-req", "-in", f"{file}.csr", "-out", f"{file}.pem", *signed)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    sign_certificates(folder, "DNS:localhost")
    return folder


@pytest.fixture
def encrypted_server(certificates, tmp_path):
    """A server that wants a certificate, and the port where it does."""
    if REDIS is None:
        pytest.skip("the Valkey of the wheel speaks no TLS, and there is no redis-server")
    files = {f"tls-{kind}-file": str(certificates / name) for kind, name in
             (("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem"))}  # fmt: skip
    port = str(free_port())
    server = RedisServer(REDIS, tmp_path, **{"tls-port": port, "tls-auth-clients": "yes", **files})
    yield server, port
    server.kill()


@pytest.fixture
def encrypted(encrypted_server):
    return encrypted_server[1]


@pytest.mark.parametrize("written", ["settings", "url"])
def test_tls_with_certificates_on_both_sides(encrypted, certificates, written):
    files = [certificates / name for name in ("ca.pem", "client.pem", "client.key")]
    if written == "settings":
        url = f"rediss://localhost:{encrypted}/0"
        settings = {"tls": Tls(ca_file=files[0], cert_file=files[1], key_file=files[2])}
    else:
        options = "ssl_ca_certs={}&ssl_certfile={}&ssl_keyfile={}".format(*files)
        url, settings = f"rediss://localhost:{encrypted}/0?{options}", {}

    async def scenario() -> None:
        store = await opened(url, **settings)
        assert (await store.record([hard("m")]))[0].result is Result.NEW
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
def test_a_tls_connection_that_was_closed_meanwhile_costs_nothing(encrypted_server, certificates, turns):
    server, port = encrypted_server
    ca, cert, key = (certificates / name for name in ("ca.pem", "client.pem", "client.key"))

    async def scenario() -> None:
        store = await opened(
            f"rediss://localhost:{port}/0", tls=Tls(ca_file=ca, cert_file=cert, key_file=key)
        )
        await record_after_closings(store, server.hang_up, turns)
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "given", "words"),
    [
        ("localhost", (), "CERTIFICATE_VERIFY_FAILED|certificate verify failed"),
        ("127.0.0.1", ("ca", "own"), "certificate"),  # it is localhost's
        ("localhost", ("ca",), "."),  # it wants ours
    ],
)
def test_tls_that_cannot_be_trusted_is_refused(encrypted, certificates, host, given, words):
    tls = Tls(
        ca_file=certificates / "ca.pem" if "ca" in given else None,
        cert_file=certificates / "client.pem" if "own" in given else None,
        key_file=certificates / "client.key" if "own" in given else None,
    )

    async def scenario() -> None:
        store = await opened(f"rediss://{host}:{encrypted}/0", tls=tls)
        with pytest.raises(StoreUnavailable, match=words):
            await store.record([hard("m")])
        await store.close()

    asyncio.run(scenario())


def test_tls_settings_with_a_plain_url_are_refused():
    with pytest.raises(StoreUnavailable, match="nothing is encrypted"):
        asyncio.run(opened("redis://localhost", tls=Tls(ca_file=Path("ca.pem"))))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", (Kind.SINGLE, [("h", 6379)], "", 0, False, None, None)),
        ("rediss://u:p%40ss@h:1/2", (Kind.SINGLE, [("h", 1)], "", 2, True, "u", "p@ss")),
        ("redis://:p@[::1]:1", (Kind.SINGLE, [("::1", 1)], "", 0, False, None, "p")),
        ("redis://h?db=3&password=p", (Kind.SINGLE, [("h", 6379)], "", 3, False, None, "p")),
        ("unix:///run/a%20b.sock?db=1", (Kind.SINGLE, [("/run/a b.sock", 0)], "", 1, False, None, None)),
        (
            "redis+sentinel://a,b:2/name/3",
            (Kind.SENTINEL, [("a", 26379), ("b", 2)], "name", 3, False, None, None),
        ),
        ("rediss+sentinel://u:p@a/name", (Kind.SENTINEL, [("a", 26379)], "name", 0, True, "u", "p")),
        ("redis+cluster://a:1,b", (Kind.CLUSTER, [("a", 1), ("b", 6379)], "", 0, False, None, None)),
    ],
)
def test_a_url_is_taken_apart(url, expected):
    place = Place.parse(url)
    found = (
        place.kind,
        list(place.addresses),
        place.service,
        place.db,
        place.tls,
        place.username,
        place.password,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h", "begins with none of redis://, rediss://, unix://, redis.sentinel://, redis.cluster://"),
        ("redis://h/x", "database is no number"),
        ("redis://h?retry=1", "retry is none of the options"),
        ("redis://:secret@", "names no host"),
        ("redis://h:99999", "port"),
        ("redis+sentinel://h", "name by which the Sentinels know"),
        ("redis+cluster://h/1", "only database 0"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        Place.parse(url)
    assert "secret" not in str(caught.value)


def test_addresses_are_written_as_in_urls():
    assert [str(Address(*a)) for a in (("h", 1), ("::1", 1), ("/s", 0))] == ["h:1", "[::1]:1", "/s"]


def test_a_node_of_a_cluster_is_recognised(tmp_path):
    server = RedisServer(
        BINARIES["valkey"], tmp_path, **{"cluster-enabled": "yes", "cluster-port": str(free_port())}
    )
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 1)

    async def scenario() -> None:
        store = await opened(server.url)
        with pytest.raises(StoreUnavailable, match=r"CLUSTERDOWN|begin with redis.cluster"):
            await store.record([hard("m")])
        await store.close()

    asyncio.run(scenario())
    server.kill()


@pytest.mark.parametrize(
    ("configured", "settings", "words"),
    [
        ({"maxmemory-policy": "volatile-lru"}, {}, "throws suppressions away"),
        ({"appendonly": "no"}, {}, "persistence is off"),
        ({"appendonly": "yes", "appendfsync": "no"}, {}, "half a minute"),
        ({"appendonly": "yes"}, {"durability": Durability.WAIT_REPLICAS}, "0 replicas are connected"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_at_the_start(own_server, configured, settings, words):
    problems: list[str] = []
    with own_server.client() as client:
        for name, value in {"appendonly": "yes", **configured}.items():
            client.config_set(name, value)

    async def scenario() -> None:
        store = await opened(own_server.url, **settings)
        await store.watch(problems.append)
        await store.close()

    asyncio.run(scenario())
    [problem] = problems
    assert words in problem


def test_a_version_that_is_too_old_is_named():
    from bounced.store.checks import _version  # noqa: PLC0415 - no server is that old here

    assert _version({"redis_version": "7.0.0"}) == []
    assert "6.2.14 is too old" in _version({"redis_version": "6.2.14"})[0]


@pytest.mark.parametrize("fsync", ["always", "everysec", None])
def test_always_is_confirmed_only_where_it_is_done(own_server, fsync):
    with own_server.client() as client:
        if fsync is not None:
            client.config_set("appendonly", "yes")
            client.config_set("appendfsync", fsync)

    async def scenario() -> None:
        store = await opened(own_server.url, durability=Durability.ALWAYS)
        if fsync == "always" or (fsync == "everysec" and own_server.name == "valkey-server"):  # it can wait
            assert (await store.record([hard("m")]))[0].result is Result.NEW
        else:
            assert "appendonly" in await cause(store)
            with own_server.client() as client:
                client.config_set("appendonly", "yes")
                client.config_set("appendfsync", "always")
            await confirmed(store, hard("m"))
        await store.close()

    asyncio.run(scenario())


def test_too_few_replicas_are_not_enough(own_server, monkeypatch):
    monkeypatch.setattr("bounced.store.commit.COMMIT_SECONDS", 1.5)

    async def scenario() -> str:
        store = await opened(own_server.url, durability=Durability.WAIT_REPLICAS)
        said = await cause(store)
        await store.close()
        return said

    assert asyncio.run(scenario()) == "only 0 of 1 replicas confirmed in time"
