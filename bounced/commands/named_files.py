"""The files that the settings name, opened as the daemon opens them: what is wrong with each, and what to do."""

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from bounced import keys, knowledge
from bounced.core.rulefile import RulesError
from bounced.settings import Mode, Settings
from bounced.settings.values import secret


def problems(settings: Settings) -> Iterator[str]:
    """Yield a line for each thing that is wrong: the setting, the file, what is wrong, what to do."""
    tls, redis = settings.smtp.tls, settings.redis
    yield from certificate_problems("smtp.tls.certificate", tls.certificate, "smtp.tls.key", tls.key)
    yield from certificate_problems(
        "redis.tls.cert_file", redis.tls.cert_file, "redis.tls.key_file", redis.tls.key_file
    )
    if redis.tls.ca_file is not None:
        yield from _authorities("redis.tls.ca_file", redis.tls.ca_file)
    if redis.password_file is not None:
        yield from _password("redis.password_file", redis.password_file)
    if asks_for_proof(settings):
        yield from key_problems(settings)
    yield from rule_problems(settings.rules_dir)


def certificate_problems(
    its_name: str, certificate: Path | None, key_name: str, key: Path | None
) -> Iterator[str]:
    """Yield what is wrong with a certificate and its key, both PEM files."""
    if certificate is None or key is None:
        return  # one without the other is told by the settings
    unread = [*_unreadable(its_name, certificate), *_unreadable(key_name, key)]
    yield from unread
    if unread:
        return
    try:
        # Without a password at hand, openssl would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="-")  # noqa: S106
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield f"{key_name}: {key} is not the key of {certificate}: name the two files of one issuance"
        elif not certificate.read_text("utf-8", "replace").count("-----BEGIN CERTIFICATE-----"):
            yield f"{its_name}: {certificate} holds no certificate: expected PEM, the chain of the server"
        elif "ENCRYPTED" in key.read_text("utf-8", "replace"):
            yield f"{key_name}: {key} asks for a password, which nobody can give: openssl pkey -in {key}"
        else:
            yield f"{key_name}: {key} cannot be used: expected a private key in PEM ({error.reason or error})"


def key_problems(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the keys that sign return paths."""
    try:
        keys.read(settings.return_path.keys_file)
    except keys.KeysError as error:
        yield from (f"return_path.keys_file: {problem}" for problem in error.problems)


def rule_problems(directory: Path | None) -> Iterator[str]:
    """Yield what is wrong with the operator's rules, so that the daemon would not start with them."""
    try:
        knowledge.load(directory)
    except RulesError as error:
        yield from (f"rules_dir: {problem}" for problem in error.problems)


def asks_for_proof(settings: Settings) -> bool:
    """Whether any return path has to prove itself, so that there must be keys."""
    chosen = settings.return_path
    modes: Sequence[Mode] = (chosen.mode, *(one.mode for one in chosen.modes))
    return any(mode is not Mode.OFF for mode in modes)


def _authorities(name: str, file: Path) -> Iterator[str]:
    unread = list(_unreadable(name, file))
    yield from unread
    if not unread:
        try:
            ssl.create_default_context(cafile=str(file))
        except ssl.SSLError as error:
            yield f"{name}: {file} holds no certificates: expected PEM ({error.reason or error})"


def _password(name: str, file: Path) -> Iterator[str]:
    unread = list(_unreadable(name, secret(file)))
    yield from unread
    if not unread and not secret(file).read_text("utf-8", "replace").strip():
        yield f"{name}: {secret(file)} is empty: expected the password"


def _unreadable(name: str, file: Path) -> Iterator[str]:
    try:
        file.read_bytes()
    except PermissionError:
        yield f"{name}: {file}: no permission to read it: chgrp bounced {file} && chmod g+r {file}"
    except OSError as error:
        hint = (
            ""
            if file.is_absolute()
            else ": a systemd credential, which only the daemon has; see docs/running.md"
        )
        yield f"{name}: {file}: {error.strerror}{hint}"
