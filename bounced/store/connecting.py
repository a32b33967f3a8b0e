"""How a connection to one server is made: credentials, TLS, and no wish of redis-py's to try again."""

from asyncio import selector_events
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from bounced.settings.places import Address, Place
from bounced.settings.schema import Redis as Settings
from bounced.settings.schema import Tls
from bounced.settings.values import secret
from bounced.store.faults import StoreUnavailable

CONNECT_TIMEOUT = 2.0  # seconds
# Octets that any stream of this process reads at a time: asyncio asks the system for as much at each reading, else for
# 256 KiB.
selector_events._SelectorTransport.max_size = 16 * 1024  # type: ignore[attr-defined]  # noqa: SLF001


class PasswordFile(CredentialProvider):
    """A password that is read again for each connection, so that it can be changed without a restart."""

    def __init__(self, file: Path, username: str | None) -> None:
        """Take a file; a relative path is that of a systemd credential, when there are any."""
        self._file = secret(file)
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what AUTH wants. Raises StoreUnavailable when the file cannot be read."""
        try:
            password = self._file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise StoreUnavailable(f"redis.password_file: {self._file}: {words}") from None
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same."""
        return self.get_credentials()


@dataclass(frozen=True, slots=True)
class Connecting:
    """Makes clients for the servers of one place."""

    place: Place
    settings: Settings

    def __post_init__(self) -> None:
        """Raise StoreUnavailable rather than speak plain text where TLS was meant."""
        if not self.place.tls and self.settings.tls != Tls():
            raise StoreUnavailable(
                "redis.tls is set, but redis.url does not begin with rediss: nothing is encrypted"
            )

    def client(self, address: Address) -> Redis:
        """Return a client of a server that holds data."""
        return Redis(**self._common(address), **self._credentials(), db=self.place.db)

    def sentinel(self, address: Address, *, known: bool) -> Redis:
        """Return a client of a Sentinel, with the credentials when it has asked for them."""
        return Redis(**self._common(address), **(self._credentials() if known else {}))

    def _common(self, address: Address) -> dict[str, Any]:
        where: dict[str, Any] = (
            {"host": address.host, "port": address.port}
            if address.port
            else {"unix_socket_path": address.host}
        )
        return {
            **where,
            **(self._tls() if self.place.tls else {}),
            "protocol": 2,
            # A retry inside redis-py would outlive our deadline; repeating a report is its sender's part.
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_timeout": None,  # the deadline of the whole is the only one
            "driver_info": None,
        }

    def _credentials(self) -> dict[str, Any]:
        username, password = self.place.username, self.place.password
        if self.settings.password_file is not None:
            return {"credential_provider": PasswordFile(self.settings.password_file, username)}
        return {"username": username, "password": password}

    def _tls(self) -> dict[str, Any]:
        files = self.settings.tls
        chosen = {
            "ssl_ca_certs": files.ca_file,
            "ssl_certfile": files.cert_file,
            "ssl_keyfile": files.key_file,
        }
        options: dict[str, Any] = {name: str(file) for name, file in chosen.items() if file is not None}
        options |= self.place.options or {}
        unchecked = str(options.get("ssl_check_hostname", "true")).lower() in {"0", "no", "false", "off"}
        return {**options, "ssl": True, "ssl_check_hostname": not unchecked}
