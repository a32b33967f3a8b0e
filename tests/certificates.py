"""Certificates that a test makes for itself, with the openssl command."""

import ssl
import subprocess
from pathlib import Path


def make(directory: Path, name: str = "mx.example.com") -> tuple[Path, Path]:
    """Write a certificate that is valid for a day, signed by itself, and its key; return both files."""
    certificate, key = directory / "tls.pem", directory / "tls.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    subprocess.run(
        [*command.split(), "-subj", f"/CN={name}", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


def settings(directory: Path) -> tuple[str, str]:
    """Have a daemon offer STARTTLS with a certificate of its own; return what is set."""
    certificate, key = make(directory)
    return f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}"


def trusting() -> ssl.SSLContext:
    """Return what a peer begins TLS with; the certificate is not what is tested."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
