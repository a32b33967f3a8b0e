"""The certificate that we show, and the keys by which return paths prove themselves."""

import math
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from bounced import keys
from bounced.commands import named_files
from bounced.commands.doctoring import Finding, error, ok, warning
from bounced.settings import Settings
from bounced.settings.values import secret

SOON = 14  # days


def certificate(settings: Settings) -> Iterator[Finding]:
    """Say for whom the certificate is, and for how long."""
    about, tls = "certificate", settings.smtp.tls
    if tls.certificate is None or tls.key is None:
        advice = (
            "set smtp.tls.certificate and smtp.tls.key: reports hold addresses and what servers say of them"
        )
        yield warning(about, "none: mail comes in unencrypted", advice)
        return
    wrong = list(
        named_files.certificate_problems("smtp.tls.certificate", tls.certificate, "smtp.tls.key", tls.key)
    )
    if wrong:
        yield from (error(about, problem, "correct it; the daemon notices") for problem in wrong)
        return
    renew = f"renew {tls.certificate}; the daemon takes it with the next connection"
    try:
        shown = _shown(tls.certificate, tls.key)
    except ssl.SSLCertVerificationError as problem:
        yield error(about, f"{tls.certificate}: {problem.verify_message}", renew)
        return
    days = math.floor((ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86400)
    alternative: object = shown.get("subjectAltName", ())
    names = [str(name) for _, name in alternative] if isinstance(alternative, tuple) else []
    words = f"for {', '.join(names) or 'nobody by name'}, {days} days left"
    yield ok(about, words) if days >= SOON else warning(about, words, renew)


def _shown(certificate: Path, key: Path) -> dict[str, object]:
    """Return what a peer gets to see, by a handshake with ourselves. Raises SSLError when it would not hold."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever has signed it
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    peers = (
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for peer in (*peers, *peers):
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(peers[0].getpeercert() or {})


def signed_return_paths(settings: Settings) -> Iterator[Finding]:
    """Say what return paths must prove, and by which keys."""
    about, file = "return path", settings.return_path.keys_file
    if not named_files.asks_for_proof(settings):
        advice = "sign what you send, and set return_path.mode (docs/return-path.md)"
        yield warning(about, "nothing has to prove itself: whoever writes a report is believed", advice)
        return
    wrong = list(named_files.key_problems(settings))
    if wrong:
        yield from (error(about, problem, "until then what asks for proof gets 451") for problem in wrong)
        return
    chosen = settings.return_path
    modes = ", ".join([f"{chosen.mode}", *map(str, chosen.modes)])
    yield ok(about, f"mode {modes}; keys {', '.join(keys.read(file))}")
    if keys.is_exposed(file):
        path = secret(file)
        advice = f"chgrp bounced {path} && chmod 640 {path}"
        yield warning(about, f"everybody on this machine may read {path}, and forge bounces", advice)
