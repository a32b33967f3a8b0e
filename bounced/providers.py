"""Who runs a recipient's mailbox: a list of bounded length, providers.toml, for labels and names.

Anybody may send a report about any domain, so a domain makes no label; a provider does.
"""

import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

OTHER = "other"
# Domains and hosts whose provider is remembered.
REMEMBERED = 4096


class _Directory(NamedTuple):
    domains: dict[str, str]  # domain to provider
    stems: dict[str, str]  # "yahoo" of "yahoo.*"
    hosts: dict[str, str]


@lru_cache(REMEMBERED)
def provider_of(domain: str, remote_mta: str | None = None) -> str:
    """Return the provider of a canonical address's domain, else of the host that refused; OTHER: none we know."""
    known = _directory()
    if found := known.domains.get(domain):
        return found
    stem, _, rest = domain.partition(".")
    if (found := known.stems.get(stem)) and 0 < len(rest) < 8 and rest.count(".") < 2:
        return found
    labels = (remote_mta or "").lower().rstrip(".").split(".")
    return next(
        (known.hosts[host] for i in range(len(labels)) if (host := ".".join(labels[i:])) in known.hosts),
        OTHER,
    )


def providers() -> list[str]:
    """Return every provider that there is, OTHER last."""
    known = _directory()
    return [*dict.fromkeys([*known.domains.values(), *known.stems.values(), *known.hosts.values()]), OTHER]


@cache
def _directory() -> _Directory:
    directory = _Directory({}, {}, {})
    text = Path(__file__).with_suffix(".toml").read_text("utf-8")
    for provider, listed in tomllib.loads(text).items():
        for domain in listed["domains"]:
            if domain.endswith(".*"):
                directory.stems[domain.removesuffix(".*")] = provider
            else:
                directory.domains[domain] = provider
        directory.hosts.update(dict.fromkeys(listed["hosts"], provider))
    return directory
