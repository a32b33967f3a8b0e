"""Servers as users run several of them: a cluster of six, and a primary under three Sentinels.

Both with TLS where `tls` has the options that name certificates; what the tests themselves ask goes in clear.
"""

import subprocess
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.redis_server import RedisServer, free_port, wait_for

SLOTS = 16384


class Cluster:
    """Three primaries, each with a replica. Made with CLUSTER commands: the wheel brings no redis-cli."""

    def __init__(
        self, executable: str, directory: Path, *, tls: dict[str, str] | None = None, **settings: str
    ) -> None:
        self.nodes = []
        self.ports: list[str] = []
        for i in range(6):
            folder = directory / f"node{i}"
            folder.mkdir(parents=True)
            options = {"cluster-enabled": "yes", "cluster-node-timeout": "1500", **settings}
            options["cluster-port"] = str(free_port())
            if tls is not None:
                options |= tls | {
                    "tls-port": str(free_port()),
                    "tls-cluster": "yes",
                    "tls-replication": "yes",
                }
            self.nodes.append(RedisServer(executable, folder, **options))
            self.ports.append(options.get("tls-port", str(self.nodes[i].port)))
            self.run(i, "SET-CONFIG-EPOCH", i + 1)
        first = self.nodes[0]
        for i in range(1, 6):
            bus = first.command[first.command.index("--cluster-port") + 1]
            self.run(i, "MEET", "127.0.0.1", self.ports[0], bus)
        for i in range(3):
            self.run(i, "ADDSLOTSRANGE", SLOTS * i // 3, SLOTS * (i + 1) // 3 - 1)
        wait_for(lambda: all(self.info(i)["cluster_known_nodes"] == "6" for i in range(6)))
        self.ids = [str(self.run(i, "MYID")) for i in range(6)]
        for i in range(3):
            wait_for(lambda i=i: self.replicates(i + 3, self.ids[i]))
        wait_for(lambda: all(self.info(i)["cluster_state"] == "ok" for i in range(6)), 20)
        wait_for(lambda: all(self.link_is_up(i) for i in (3, 4, 5)), 20)

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.ports[0]},127.0.0.1:{self.ports[1]}"

    def run(self, i: int, *command: str | int):
        with self.nodes[i].client() as client:
            return client.execute_command("CLUSTER", *command)

    def info(self, i: int) -> dict[str, str]:
        return dict(line.split(":") for line in str(self.run(i, "INFO")).split())

    def replicates(self, i: int, primary: str) -> bool:
        try:
            self.run(i, "REPLICATE", primary)
        except RedisError:  # it has not heard of the primary yet
            return False
        return True

    def link_is_up(self, i: int) -> bool:
        with self.nodes[i].client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def is_primary(self, i: int) -> bool:
        with self.nodes[i].client() as client:
            return bool(client.info("replication")["role"] == "master")

    def move_slot(self, slot: int, source: int, target: int) -> None:
        """Do what redis-cli does for each slot of a reshard."""
        self.run(target, "SETSLOT", slot, "IMPORTING", self.ids[source])
        self.run(source, "SETSLOT", slot, "MIGRATING", self.ids[target])
        with self.nodes[source].client() as client:
            while keys := client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                port = self.nodes[target].port
                client.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
        for i in (target, source):
            self.run(i, "SETSLOT", slot, "NODE", self.ids[target])

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


class SentinelTrio:
    """A primary, two replicas, and three Sentinels that know the primary as "bounces"."""

    def __init__(
        self, executable: str, directory: Path, *, tls: dict[str, str] | None = None, **settings: str
    ) -> None:
        self.executable = executable
        self.tls = {} if tls is None else tls | {"tls-replication": "yes"}
        self.servers: list[RedisServer] = []
        self.ports: list[int] = []  # by which they know each other
        for i in range(3):
            folder = directory / f"server{i}"
            folder.mkdir(parents=True)
            options = settings | ({"replicaof": f"127.0.0.1 {self.ports[0]}"} if i else {})
            if self.tls:
                options |= self.tls | {"tls-port": str(free_port())}
            self.servers.append(RedisServer(executable, folder, **options))
            self.ports.append(int(options.get("tls-port", self.servers[i].port)))
        wait_for(lambda: all(self._link_is_up(server) for server in self.servers[1:]), 20)
        self.sentinels = [self._sentinel(directory / f"sentinel{i}") for i in range(3)]
        for port, _, _ in self.sentinels:
            wait_for(lambda port=port: self._knows_all(port), 30)

    @property
    def url(self) -> str:
        return (
            "redis+sentinel://"
            + ",".join(f"127.0.0.1:{tls_port or port}" for port, tls_port, _ in self.sentinels)
            + "/bounces/0"
        )

    def primary(self) -> RedisServer:
        """Return the server that the Sentinels name."""
        with Redis(port=self.sentinels[0][0], decode_responses=True, protocol=2) as client:
            port = int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "bounces")[1])
        return self.servers[self.ports.index(port)]

    def fail_over(self) -> None:
        with Redis(port=self.sentinels[0][0], protocol=2) as client:
            client.execute_command("SENTINEL", "FAILOVER", "bounces")

    def _sentinel(self, folder: Path) -> tuple[int, int, subprocess.Popen[bytes]]:
        """Start one; return its port, that for TLS or 0, and its process."""
        folder.mkdir()
        port, file = free_port(), folder / "sentinel.conf"
        tls_port = free_port() if self.tls else 0
        file.write_text(
            "".join(f"{name} {value}\n" for name, value in self.tls.items())
            + f"tls-port {tls_port}\n" * bool(self.tls)
            + f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"
            f"sentinel monitor bounces 127.0.0.1 {self.ports[0]} 2\n"
            "sentinel down-after-milliseconds bounces 1000\nsentinel failover-timeout bounces 5000\n"
        )
        process = subprocess.Popen([self.executable, str(file), "--sentinel"], stdout=subprocess.DEVNULL)
        return port, tls_port, process

    def _knows_all(self, port: int) -> bool:
        try:
            with Redis(port=port, decode_responses=True, protocol=2) as client:
                reply = client.execute_command("SENTINEL", "MASTER", "bounces")
                state = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
                known = int(state["num-slaves"]), int(state["num-other-sentinels"])
                return known == (2, 2) and state["flags"] == "master"
        except RedisError:
            return False

    @staticmethod
    def _link_is_up(server: RedisServer) -> bool:
        with server.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def kill(self) -> None:
        for _, _, process in self.sentinels:
            process.kill()
            process.wait(10)
        for server in self.servers:
            server.kill()
