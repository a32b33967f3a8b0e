# settings.py: EMAIL_BACKEND = "yourproject.bounced.EmailBackend"
from email.utils import parseaddr

from bounced.client import Client
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

BOUNCED = Client("@url@", prefix="@prefix@", key_form="@key_form@")


class EmailBackend(SMTPBackend):
    """Sends as before, but to nobody who is suppressed."""

    def send_messages(self, email_messages):
        for message in email_messages:
            addresses = [parseaddr(recipient)[1] for recipient in message.recipients()]
            sendable = set(BOUNCED.filter(addresses))
            for name in ("to", "cc", "bcc"):
                kept = [each for each in getattr(message, name) if parseaddr(each)[1] in sendable]
                setattr(message, name, kept)
        return super().send_messages([message for message in email_messages if message.recipients()])
