"""`bounced selftest`: a report through the running daemon, from its port to its store, without a trace in either.

It is a report of delivery (RFC 3461 section 4.1) about an address below .invalid (RFC 2606), for which a row of one
soft bounce was written just before: that the row is broken afterwards shows that the report came in, was read, and
was recorded. A bounce would show the same, but suppress an address, count in the statistics and wake alarms.
"""

import argparse
import asyncio
import contextlib
import http.client
import secrets
import smtplib
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bounced import settings
from bounced.commands import Exit, complain, say
from bounced.core.printable import printable
from bounced.settings import Endpoint, Mode, Settings

SECONDS = 30.0  # for each answer of the daemon
KEPT_SECONDS = 120  # the address, if we do not live to forget it
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

REPORT = """\
From: <>
To: <{return_path}>
Subject: bounced selftest
Message-ID: <{name}.report@bounced.invalid>
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=selftest

--selftest

bounced selftest: your message was delivered.

--selftest
Content-Type: message/delivery-status

Reporting-MTA: dns; selftest.bounced.invalid

Original-Recipient: rfc822; {address}
Final-Recipient: rfc822; {address}
Action: delivered
Status: 2.0.0
Diagnostic-Code: smtp; 250 2.0.0 delivered

--selftest
Content-Type: text/rfc822-headers

To: <{address}>
Message-ID: <{name}@bounced.invalid>

--selftest--
"""


class Failed(Exception):  # noqa: N818 - it says what is the case
    """A step did not do what it should; the words say which, and what to do."""


def run(args: argparse.Namespace) -> int:
    """Say step by step what works, up to the first that does not."""
    try:
        chosen = settings.load(args.config, args.set).settings
        if args.ready:
            return _ask_whether_ready(chosen)
        endpoint = _reachable(Endpoint.parse(args.connect) if args.connect else chosen.smtp.listen[0])
    except settings.SettingsError as error:
        complain(*error.problems)
        return Exit.CONFIG
    except ValueError:
        complain(f"{args.connect}: expected an address with port such as 127.0.0.1:25")
        return Exit.USAGE
    except Failed as error:
        complain(str(error))
        return Exit.NO
    return _test(args, chosen, endpoint)


def _ask_whether_ready(chosen: Settings) -> int:
    if not chosen.metrics.listen:
        raise Failed("metrics.listen is empty, so there is nobody to ask")
    host, port = _reachable(chosen.metrics.listen[0])
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        words = answer.read(200).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{host}:{port} does not answer: {error}") from error
    finally:
        connection.close()
    say(printable(words))
    return Exit.OK if answer.status == 200 else Exit.NO


def _reachable(endpoint: Endpoint) -> Endpoint:
    return endpoint._replace(host=EVERYWHERE.get(endpoint.host, endpoint.host))


def _test(args: argparse.Namespace, chosen: Settings, endpoint: Endpoint) -> int:
    from bounced.commands.asking import ask  # noqa: PLC0415 - what asks only /readyz needs no client of Redis
    from bounced.store import Store  # noqa: PLC0415

    name = f"selftest-{secrets.token_hex(6)}"
    address = f"{name}@bounced.invalid"

    async def through(store: Store, client: smtplib.SMTP) -> None:
        await store.rehearse(address, KEPT_SECONDS)
        try:
            return_path = _return_path(chosen, address)
            report = REPORT.format(return_path=return_path, name=name, address=address)
            await asyncio.to_thread(_hand_in, client, return_path, report)
            record = await store.lookup(address)
        finally:
            await store.forget(address)
        if record is None or record.soft:
            raise Failed(
                f"store: {store.url} was not changed: does the daemon use another one, or redis.prefix?"
            )
        say(f"ok  store     {store.url}")

    try:
        with _connected(chosen, endpoint) as client:

            async def work(store: Store) -> int:
                await through(store, client)
                return Exit.OK

            return ask(args, work)
    except Failed as error:
        complain(str(error))
        return Exit.NO


@contextlib.contextmanager
def _connected(chosen: Settings, endpoint: Endpoint) -> Iterator[smtplib.SMTP]:
    where = str(endpoint)
    try:
        client = smtplib.SMTP(*endpoint, local_hostname="selftest.bounced.invalid", timeout=SECONDS)
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"greeting: {where}: {_words(error)}; does the daemon run, and listen there?") from error
    with contextlib.closing(client):
        say(f"ok  greeting  {where}")
        if chosen.smtp.tls.required:
            context = ssl.create_default_context()
            context.check_hostname = False  # we ask for its port, not for its name
            context.verify_mode = ssl.CERT_NONE
            _step("STARTTLS", lambda: client.starttls(context=context))
        _step("EHLO", client.ehlo)
        yield client


def _hand_in(client: smtplib.SMTP, return_path: str, report: str) -> None:
    _step("MAIL", lambda: client.mail(""))
    _step("RCPT", lambda: client.rcpt(return_path))
    _step("message", lambda: client.data(report.encode("ascii")))
    with contextlib.suppress(OSError, smtplib.SMTPException):
        client.quit()


def _step(name: str, command: Callable[[], tuple[int, bytes]]) -> None:
    """Say what was answered. Raises Failed."""
    try:
        code, words = command()
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"{name}: {_words(error)}") from error
    reply = f"{code} {words.decode('utf-8', 'replace')}".splitlines()[0]
    if not 200 <= code < 300:
        raise Failed(f"{name}: {printable(reply)}")
    say(f"ok  {name:<9} {printable(reply)}")


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error)) or type(error).__name__


def _return_path(chosen: Settings, address: str) -> str:
    """Return a return path of ours, signed where one is asked for."""
    from bounced import client, keys  # noqa: PLC0415 - as above

    domain = chosen.return_path_domains[0] if chosen.return_path_domains else "bounces.example.com"
    modes: dict[str, Mode] = {one.domain: one.mode for one in chosen.return_path.modes}
    if modes.get(domain, chosen.return_path.mode) is Mode.OFF:
        return f"selftest@{domain}"
    try:
        known = keys.read(Path(chosen.return_path.keys_file))
    except keys.KeysError as error:
        raise Failed(f"keys: {error}") from error
    kid, key = next(iter(known.items()))
    return client.sign(address, domain, kid=kid, key=key, expires=datetime.now(UTC).date())
