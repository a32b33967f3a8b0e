"""What SIGHUP does: settings, keys, certificate and rules are read again.

Each is taken as a whole or not at all: what cannot be read is named in the log, and what was known before holds.
"""

from collections.abc import Callable
from pathlib import Path

from bounced import events, keys, knowledge
from bounced.core.returnpath import Keys
from bounced.core.rulefile import RulesError
from bounced.listener import Listener, Terms
from bounced.listener.returnpath import ReturnPaths
from bounced.listener.tls import Certificate
from bounced.reader import Reader
from bounced.settings import Effective, Mode, Settings, SettingsError, shown

# Settings that begin so are taken at once; all others wait for a restart.
AT_ONCE = (
    "return_path_domains",
    "return_path.",
    "rules_dir",
    "smtp.limits.",
    "smtp.tls.",
    "smtp.proxies",
    "smtp.senders",
)


class Operation:
    """What the daemon goes by at the moment."""

    def __init__(self, effective: Effective, load: Callable[[], Effective]) -> None:
        """`load` reads the settings again. Raises OSError when the certificate cannot be used."""
        self._effective = effective
        self._load = load
        self._keys: Keys | None = None
        self._read_keys(effective.settings)
        self._certificate = _certificate(effective.settings)

    @property
    def terms(self) -> Terms:
        """On which terms the listener takes mail."""
        settings = self._effective.settings
        return_paths = ReturnPaths(
            settings.return_path_domains,
            mode=settings.return_path.mode,
            modes={one.domain: one.mode for one in settings.return_path.modes},
            keys=self._keys,
            senders=settings.smtp.senders,
        )
        smtp = settings.smtp
        return Terms(return_paths, smtp.limits, self._certificate, smtp.tls.required, smtp.proxies)

    def renew(self, listener: Listener, reader: Reader) -> None:
        """Read everything again and go by it from now on."""
        try:
            effective = self._load()
        except SettingsError as error:
            events.reload_failed("settings", str(error))
        else:
            events.daemon_reloaded("settings", _waiting(self._effective, effective))
            self._effective = effective
        settings = self._effective.settings
        if self._read_keys(settings):
            events.daemon_reloaded("keys")
        try:
            self._certificate = _certificate(settings)
        except OSError as error:
            events.reload_failed("certificate", str(error))
        listener.terms = self.terms
        reader.max_recipients = settings.smtp.limits.recipients
        try:
            reader.learn(knowledge.read(settings.rules_dir))
        except RulesError as error:
            events.reload_failed("rules", str(error))
        else:
            events.daemon_reloaded("rules")

    def _read_keys(self, settings: Settings) -> bool:
        if not _asks_for_proof(settings):
            return False
        try:
            self._keys = keys.read(Path(settings.return_path.keys_file))
        except keys.KeysError as error:
            events.reload_failed("keys", str(error))
            return False
        return True


def _asks_for_proof(settings: Settings) -> bool:
    chosen = settings.return_path
    return any(mode is not Mode.OFF for mode in (chosen.mode, *(one.mode for one in chosen.modes)))


def _certificate(settings: Settings) -> Certificate | None:
    tls = settings.smtp.tls
    return Certificate(tls.certificate, tls.key) if tls.certificate and tls.key else None


def _waiting(before: Effective, after: Effective) -> list[str]:
    """Return the settings that have changed and are not taken before a restart."""
    old, new = ({(key, value) for key, value, _ in shown(one)} for one in (before, after))
    return sorted({key for key, _ in old ^ new if not key.startswith(AT_ONCE)})
