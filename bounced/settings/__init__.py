"""What the operator chose: read from TOML, the environment and the command line, checked as a whole."""

from bounced.settings.reading import DEFAULT_FILE, Effective, SettingsError, load, shown
from bounced.settings.schema import Addresses, Alarms, Limits, LogForm, Senders, Settings
from bounced.settings.values import Endpoint, Mode, Network, mask

__all__ = [
    "DEFAULT_FILE",
    "Addresses",
    "Alarms",
    "Effective",
    "Endpoint",
    "Limits",
    "LogForm",
    "Mode",
    "Network",
    "Senders",
    "Settings",
    "SettingsError",
    "load",
    "mask",
    "shown",
]
