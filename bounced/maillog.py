"""What a line of Postfix's log says became of a message to a recipient.

    Nov 22 05:45:51 mx postfix/smtp[8291]: 4F1D2A: to=<j@e.test>, relay=mx.e.test[192.0.2.1]:25, delay=1.2, \
delays=0.1/0/0.6/0.5, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)

The time may be that of syslog (no year, local time) or of RFC 3339, as rsyslog and `journalctl -o short-iso`
write it. No I/O; raises nothing: a line that is anything else says nothing. Lines are hostile in the words in
parentheses only, which the refusing server wrote.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

# Queue ids are reused, and most messages are gone within minutes.
MESSAGES_KEPT = 100_000

# Both are anchored, and nothing before the status may open a parenthesis: behind that stand the words of the
# refusing server, which may look like another line.
_HEAD = r"(?:\S+ +){2}(?:(?:\S+ +){2})?postfix[\w-]*/(?:[\w-]+/)*"
_ATTEMPT = re.compile(
    _HEAD + r"(smtp|lmtp|local|virtual|pipe)\[\d+\]: (\w{5,20}): to=<([^>]{3,1000})>,"
    r"(?: orig_to=<([^>]{0,1000})>,)?"
    r" relay=([^,]{1,300}),[^()]{0,200}? dsn=(\d\.\d{1,3}\.\d{1,3}), status=(sent|bounced) \((.*)\)\s*$"
)
_MESSAGE_ID = re.compile(_HEAD + r"cleanup\[\d+\]: (\w{5,20}): message-id=(<\S{1,500}>)")
_FILTER = re.compile(r"\S{0,255}\[(?:127\.0\.0\.1|::1)\]")
_HOST_OF_RELAY = re.compile(r"([\w.-]{1,255})\[")
_SAID = re.compile(r"host \S{1,300} said: (.*?)(?: \(in reply to (?:end of )?([A-Z]{4})[^()]{0,40}\))?$")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recipient's message, delivered or refused for good."""

    recipient: str  # as logged: after aliases and rewriting, unless the log tells the original
    sent: bool
    at: int | None  # Unix seconds; None: the line has no time that we know
    queue_id: str
    status: str  # enhanced status code, "5.1.1"
    message_id: str | None = None  # if its line has been seen
    said: str = ""  # by the refusing server in its words, else by Postfix
    command: str | None = None  # the SMTP command that was refused
    remote_mta: str | None = None


class Reader:
    """Reads lines in order: what one says may be told more of by one before it."""

    def __init__(self) -> None:
        self._message_ids: OrderedDict[str, str] = OrderedDict()
        self._stamp = ""  # most lines share the second of the one before
        self._at: int | None = None

    def read(self, line: str) -> Attempt | None:
        """Return what the line says of a recipient; None: nothing that counts.

        Mail that was handed to a filter on this machine has not got through yet.
        """
        if " status=" not in line:
            if "message-id=" in line:
                self._note(line)
            return None
        found = _ATTEMPT.match(line)
        if found is None:
            return None
        transport, queue_id, recipient, original, relay, dsn, fate, words = found.groups()
        if transport in {"smtp", "lmtp"} and _FILTER.match(relay):
            return None
        if fate == "sent":
            return Attempt(
                original or recipient, sent=True, at=self._time(line), queue_id=queue_id, status=dsn
            )
        said = _SAID.match(words)
        host = _HOST_OF_RELAY.match(relay)
        return Attempt(
            recipient=original or recipient,
            sent=False,
            at=self._time(line),
            queue_id=queue_id,
            message_id=self._message_ids.get(queue_id),
            status=dsn,
            said=said[1] if said else words,
            command=said[2] if said else None,
            remote_mta=host[1] if host else None,
        )

    def _note(self, line: str) -> None:
        found = _MESSAGE_ID.match(line)
        if found:
            self._message_ids[found[1]] = found[2][:250]  # as the pipeline cuts it
            self._message_ids.move_to_end(found[1])
            if len(self._message_ids) > MESSAGES_KEPT:
                self._message_ids.popitem(last=False)

    def _time(self, line: str) -> int | None:
        stamp = line[: line.find(" ")] if line[:4].isdigit() else line[:15]
        if stamp != self._stamp:
            self._stamp, self._at = stamp, self._parsed(stamp)
        return self._at

    def _parsed(self, stamp: str) -> int | None:
        try:
            if _RFC3339.fullmatch(stamp):
                return int(datetime.fromisoformat(stamp).astimezone().timestamp())
            # No year: the last such day that has been. A day's grace, for clocks and zones that differ.
            now = datetime.now().astimezone()
            for year in (now.year, now.year - 1):
                moment = datetime.strptime(f"{year} {stamp}", "%Y %b %d %H:%M:%S").astimezone()
                if moment <= now + timedelta(days=1):
                    return int(moment.timestamp())
        except ValueError:
            pass
        return None
