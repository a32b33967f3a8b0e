"""The SMTP server: RFC 5321 sessions in, whole messages out.

A reply of 250 to the final dot is given only when the caller's `accept` has answered with one; whatever goes
wrong on our side is 451, so that the sender keeps the message. Nothing here reads what a message says.
"""

from bounced.listener.server import Listener
from bounced.listener.terms import Terms

__all__ = ["Listener", "Terms"]
