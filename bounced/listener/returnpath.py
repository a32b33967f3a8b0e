"""Which addresses take mail, and what each proves: the signed return path, judged at RCPT.

    mode       no valid proof                              valid proof
    off        taken, counts                               is not looked for
    observe    taken, counts, and the log says so          the report counts for whom it proves
    enforce    550 before DATA                             the same

postmaster@ and abuse@ are for people (RFC 5321 section 4.5.1, RFC 2142): always taken, never counted.
"""

import time
from collections.abc import Iterable, Mapping

from msgspec import Struct

from bounced.core import returnpath
from bounced.core.returnpath import NotProven, Proof
from bounced.intake import TRY_AGAIN, is_for_people
from bounced.listener.grammar import Path as Mailbox
from bounced.settings import Mode, Senders

NOT_OURS = "550 5.7.1 We take mail for our return paths only"
NOT_SIGNED = "550 5.1.1 No mail of ours went out with this return path"
NOT_A_REPORT = "550 5.7.1 We take reports only, from the null reverse-path"
DAY = 86400


class Judgement(Struct, frozen=True):
    """What becomes of one RCPT."""

    refusal: str = ""  # the reply that refuses it
    counts: bool = False  # a report to this address may change what is known of recipients
    proof: Proof | None = None
    flaw: str = ""  # why a proof that was asked for is none


class ReturnPaths:
    """The domains of the return paths, with how each of them asks for proof, and the keys."""

    def __init__(
        self,
        domains: Iterable[str] = (),
        *,
        mode: Mode = Mode.OFF,
        modes: Mapping[str, Mode] | None = None,
        keys: returnpath.Keys | None = None,
        senders: Senders = Senders.ANY,
    ) -> None:
        """Domains are in lower case; none: mail for any domain is taken. `modes` holds what differs from `mode`.

        Without `keys` nothing can be proven or refused: what asks for proof is told to come again.
        """
        self._domains = frozenset(domains)
        self._mode = mode
        self._modes = modes or {}
        self._senders = senders
        self._keys = keys

    def judge(self, mailbox: Mailbox, reverse_path: str) -> Judgement:
        """Decide on one recipient of a message from `reverse_path`, "" for the null one."""
        domain = mailbox.domain.lower()
        if domain and self._domains and domain not in self._domains:
            return Judgement(NOT_OURS)
        if is_for_people(mailbox.local_part):
            return Judgement()
        mode = self._modes.get(domain, self._mode)
        flaw = ""
        if mode is not Mode.OFF:
            asks = mode is Mode.ENFORCE or returnpath.looks_signed(mailbox.local_part)
            if self._keys is None and asks:
                return Judgement(TRY_AGAIN)
            try:
                today = int(time.time() // DAY)
                proof = returnpath.verify(mailbox.local_part, domain, self._keys or {}, today)
                return Judgement(counts=True, proof=proof)
            except NotProven as error:
                flaw = str(error)
        refusal = ""
        if mode is Mode.ENFORCE:
            refusal = NOT_SIGNED
        elif reverse_path and self._senders is Senders.NULL:
            refusal = NOT_A_REPORT
        return Judgement(refusal, counts=not refusal, flaw=flaw)
