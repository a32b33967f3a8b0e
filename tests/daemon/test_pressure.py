"""More comes than goes: who comes is turned away before memory grows, and nobody's flood is paid for by others."""

import asyncio
import gc
import os
import resource
import signal
import smtplib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from bounced.intake import ACCEPTED, TRY_AGAIN, Arrival, Intake
from bounced.keeping import Keeping
from bounced.quarantine import Quarantine
from bounced.reader import Reader
from bounced.settings import Settings
from bounced.store import Store
from tests import certificates, process, reports
from tests.certificates import trusting
from tests.daemon.running import Daemon, give

SENDERS = 12
SIZE = 100_000
ROOM = 5  # messages


def message(number: int) -> bytes:
    fates = [reports.Fate(f"user{number}@example.org")]
    return reports.postfix_style(fates, f"letter-{number}", padding=SIZE)


def test_while_redis_hangs_mail_is_turned_away_before_memory_grows(tmp_path):
    """Some wait for Redis and then come again; for the others there is no room, and they hear so at once."""
    limits = f"smtp.limits.message_size={2 * SIZE}", f"smtp.limits.message_memory={ROOM * SIZE}"
    with Daemon(tmp_path, *limits) as daemon:
        assert daemon.send(message(0)) == ["250 2.0.0 Noted"]
        store = daemon.store_process()
        before = process.memory(daemon.process.pid)
        process.forget_peak(daemon.process.pid)
        os.kill(store, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(SENDERS) as pool:
                clients = list(pool.map(lambda _: daemon.smtp(), range(SENDERS)))
                answers = list(pool.map(give, clients, map(message, range(1, SENDERS + 1))))
            assert {answer[:9] for answer in answers} == {"451 4.3.0", "452 4.3.1"}
            assert process.peak(daemon.process.pid) - before < 3 * SENDERS * SIZE
        finally:
            os.kill(store, signal.SIGCONT)
        for client in clients:
            client.close()
        process.wait_until(lambda: daemon.send(message(1)) == ["250 2.0.0 Noted"])
        assert {answer for n in range(2, SENDERS + 1) for answer in daemon.send(message(n))} == {
            "250 2.0.0 Noted"
        }
        with daemon.store() as known:
            assert (
                known.exists(*(f"bounced:hard:user{n}@example.org" for n in range(SENDERS + 1)))
                == SENDERS + 1
            )


def test_a_connection_over_tls_costs_no_more_than_48_kib(tmp_path):
    certificate, key = certificates.make(tmp_path)
    settings = f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}"

    with Daemon(tmp_path, *settings) as daemon, ExitStack() as stack:

        def connect() -> smtplib.SMTP:
            client = stack.enter_context(daemon.smtp())
            client.starttls(context=trusting())
            return client

        connect()
        before = process.memory(daemon.process.pid)
        for _ in range(200):
            connect()
        assert process.memory(daemon.process.pid) - before < 200 * 48 * 1024


def test_a_message_that_the_store_did_not_take_is_gone_with_its_reply(tmp_path):
    """Held by what went wrong, it would wait for a search for garbage, and many others with it."""
    policy = Settings().decisions()
    content = message(1)

    async def scenario() -> list[str]:
        store = await Store.open("redis://127.0.0.1:1", "bounced", policy, tmp_path)
        intake = Intake(Reader((), policy, max_recipients=1), store, Quarantine(tmp_path))
        arrival = Arrival(content, "192.0.2.1:25", "", ("bounces@bounces.example.com",), (None,))
        try:
            return [await asyncio.create_task(intake.accept(arrival)) for _ in range(3)]
        finally:
            await store.close()

    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(content)
        assert asyncio.run(scenario()) == [TRY_AGAIN] * 3
        assert sys.getrefcount(content) == before
    finally:
        gc.enable()


def test_a_machine_without_room_for_a_thread_costs_no_report_that_was_recorded(tmp_path):
    policy = Settings().decisions()
    soft, most = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])

    async def scenario() -> str:
        store = await Store.open("redis://127.0.0.1:1", "bounced", policy, tmp_path)
        keeping = Keeping(tmp_path, days=1, size=0)
        intake = Intake(Reader((), policy, max_recipients=1), store, Quarantine(tmp_path), keeping)
        stack = threading.stack_size(256 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (128 << 20), most))
        try:  # for nobody: there is nothing to record
            return await intake.accept(Arrival(b"mail", "192.0.2.1:25", "", (), ()))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, most))
            threading.stack_size(stack)
            await store.close()

    assert asyncio.run(scenario()) == ACCEPTED
