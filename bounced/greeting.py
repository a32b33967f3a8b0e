"""What a person reads when the daemon has started: where it listens, and how to try it."""

import sys
from collections.abc import Sequence

from bounced.settings import Endpoint, Settings

# A report as short as RFC 3464 lets it be, on one line between the double quotes of a Python string.
SAMPLE = (
    r"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    r"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
    r"Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: 5.1.1\n"
    r"Diagnostic-Code: smtp; 550 5.1.1 User unknown\n\n--b--\n"
)
GREETING = """\
bounced takes returned mail on {listening}
and keeps what it says in {store}

Try it from another terminal. This sends a sample bounce:

python3 -c 'import smtplib; smtplib.SMTP("{host}", {port}).sendmail("", "{bounces}", "{report}")'

and this shows what is now known of its recipient:

{show} jane@example.org
"""


def greet(settings: Settings, bound: Sequence[Endpoint], store: str, show: str) -> None:
    """Write it to stderr. `show` is how to call `bounced show` here."""
    first = bound[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(first.host, first.host)  # noqa: S104 - compared, not bound
    domain = settings.return_path_domains[0] if settings.return_path_domains else "bounces.example.com"
    greeting = GREETING.format(
        listening=", ".join(map(str, bound)),
        store=store,
        host=host,
        port=first.port,
        bounces=f"bounces@{domain}",
        report=SAMPLE,
        show=show,
    )
    sys.stderr.write(greeting)
