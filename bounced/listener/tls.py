"""The certificate for STARTTLS: loaded again when its files change, so that a renewal needs nothing of us.

Modern defaults: TLS 1.2 and later, the ciphers that the OpenSSL here thinks right. Peers are not asked for
certificates: mail servers have none to show that would mean anything (RFC 7672 section 1.3).
"""

import ssl
from pathlib import Path

from bounced import events


class Certificate:
    """A certificate chain and its key, both PEM files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load them. Raises OSError, of which ssl.SSLError is one, when they cannot be used."""
        self._files = (certificate, key)
        self._seen = self._stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return what to begin TLS with: from the files as they are, or the last that could be used."""
        try:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps  # what cannot be used is tried once, not with every connection
                self._context = self._load()
                events.daemon_reloaded("certificate")
        except OSError as error:
            if self._seen:
                self._seen = ()
                events.reload_failed("certificate", str(error))
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
