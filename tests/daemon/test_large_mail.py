"""Large mail is read beside the others, and what kills its reader ends in quarantine."""

import array
import asyncio
import fcntl
import os
import signal
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bounced.reader import Reader
from bounced.settings import Settings
from tests import process, reports
from tests.daemon.running import Daemon

JANE = "jane@example.org"
NOTED = "250 2.0.0 Noted"


def large(message_id: str = "letter") -> bytes:
    return reports.postfix_style([reports.Fate(JANE)], message_id, padding=4 << 20)


def reading_processes(daemon: Daemon) -> list[int]:
    running = process.children(daemon.process.pid)
    return [number for number, command in running.items() if "bounced.reader" in command]


def test_a_large_report_counts_like_any_other(daemon):
    assert daemon.send(large(), large()) == [NOTED] * 2
    with daemon.store() as store:
        assert store.exists(f"bounced:hard:{JANE}") == 1
    assert len(reading_processes(daemon)) == 1


def test_a_reader_that_dies_while_it_has_nothing_to_do_costs_no_report(daemon):
    daemon.send(large("first"))
    [reader] = reading_processes(daemon)
    os.kill(reader, signal.SIGKILL)
    assert daemon.send(large("second")) == [NOTED]
    assert daemon.wait_for("bounce.recorded", message_identity="<second@app.example.com>")


def test_a_report_whose_readers_are_killed_is_kept_and_the_next_is_read(daemon):
    daemon.send(large("first"))
    [first] = reading_processes(daemon)
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(daemon.send, large("second"))
        process.wait_until(lambda: work_waits_for(first))
        os.kill(first, signal.SIGKILL)
        process.wait_until(lambda: set(reading_processes(daemon)) - {first})
        [second] = set(reading_processes(daemon)) - {first}
        os.kill(second, signal.SIGKILL)
        assert reply.result(30) == [NOTED]
    assert daemon.wait_for("bounce.unrecognised")["reason"] == "reader-failed"
    assert len(list(daemon.state_dir.glob("quarantine/reader-failed/*.eml"))) == 1
    assert daemon.send(large("third")) == [NOTED]
    assert daemon.wait_for("bounce.recorded")["message_identity"] == "<third@app.example.com>"


def test_rules_that_change_while_a_reader_starts_are_those_of_the_next_message():
    def rules(name: str) -> list[tuple[str, str]]:
        rule = (
            f'layer = "words"\n[[rule]]\nid = "{name}"\ncategory = "invalid-mailbox"\ntext = "user unknown"\n'
        )
        return [("own.toml", rule)]

    async def scenario() -> list[str]:
        reader = Reader(rules("before"), Settings().decisions(), max_recipients=100)
        opened = open_files()
        first = asyncio.create_task(reader.read(large("first"), None))
        await asyncio.sleep(0)  # it is starting by now
        reader.learn(rules("after"))
        await first
        second = await reader.read(large("second"), None)
        reader.close()
        async with asyncio.timeout(10):
            while open_files() > opened:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return [verdict.rule for verdict in second.verdicts]

    assert asyncio.run(scenario()) == ["after"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def work_waits_for(reader: int) -> bool:
    """Whether what the stopped process reads from holds something."""
    waiting = array.array("i", [0])
    with Path(f"/proc/{reader}/fd/0").open("rb", buffering=0) as pipe:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] > 0


def test_a_daemon_that_is_killed_leaves_no_reader_behind(tmp_path):
    daemon = Daemon(tmp_path).__enter__()
    daemon.send(large())
    [reader] = reading_processes(daemon)
    daemon.kill()
    process.wait_until(lambda: not process.exists(reader))
    daemon.command("check", JANE)  # the last to use the embedded store stops it
