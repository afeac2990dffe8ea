"""What people sign with commands: taken from the inbox, checked, appended or refused with a reason.

The role check is the fold's; here stand signature, form, and parameters that no contract or policy
could use. The same code serves a running hub and a command that finds none running.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hub.core.clearing import Contracts
from hub.core.effects import Ignored, WrongRoot
from hub.cosigning.proposals import Proposals, told
from hub.inbox import Inbox, Spooled
from hub.ledger.records import NewEntry
from hub.policyfile import policy_fault
from hub.spine import Spine
from hub.switching.dispatch import Policies
from messages import cose
from messages.entries import (
    BlockHeader,
    Call,
    KeyEntry,
    LedgerEntry,
    PolicyEntry,
    network_aad,
    parse_entry,
)
from messages.errors import MessageError
from messages.feeding import Feed
from messages.log.tree import leaf_hash
from messages.logkeeping import Quorum
from messages.membership import check_proof
from messages.publickey import parse_cose_key
from messages.relayfault import RelayFault

ENDING: Final = ("rotate", "revoke")  # what ends a key

log = logging.getLogger("hub.desk")


TOGETHER: Final = (Call, Feed)
"""What the fold judges alone, and what therefore many may hand over at once."""


class _Judged(NamedTuple):
    """An entry that may be appended, with what it says; or why it may not."""

    reason: str
    entry: NewEntry | None = None
    body: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class _Together:
    """One entry of many, and the files that brought it."""

    entry: NewEntry
    spooled: list[Spooled] = field(default_factory=list)


class Desk:
    """Takes what waits in the inbox."""

    def __init__(
        self,
        inbox: Inbox,
        spine: Spine,
        contracts: Contracts,
        policies: Policies,
        proposals: Proposals | None = None,
    ) -> None:
        """`proposals` judges block headers; without it none is taken."""
        self._proposals = proposals
        self._inbox = inbox
        self._spine = spine
        self._contracts = contracts
        self._policies = policies

    def take(self) -> int:
        """Take all that waits, in order; return how many entries were appended.

        Calls and facts that wait behind each other are stored by one sync of the disk, so that a
        thousand members can call at once.

        Raises:
            StorageFull, LedgerBehind: what was not appended keeps waiting.
        """
        taken = 0
        together: dict[bytes, _Together] = {}
        for spooled in self._inbox.waiting():
            judged = self._judge(spooled.raw)
            if judged.entry is not None and isinstance(judged.body, TOGETHER):
                new = together.setdefault(judged.entry.leaf_hash, _Together(judged.entry))
                new.spooled.append(spooled)
                continue
            taken += self._append_together(together)
            together = {}
            taken += self._answer(spooled, self._append(judged))
        return taken + self._append_together(together)

    def append(self, raw: bytes) -> str:
        """Append one entry, once; return why not, or an empty text.

        A block header that lies is appended, so that the lie is on record; the text names it.
        """
        return self._append(self._judge(raw))

    def _judge(self, raw: bytes) -> _Judged:
        """Say what is to be appended, or why not; neither where the ledger has it already."""
        recorder = self._spine.recorder
        if recorder.holds(leaf_hash(raw)):
            return _Judged("")
        try:
            envelope = cose.parse(raw)
            key = recorder.state.keys.get(envelope.kid)
            if key is None:
                return _Judged(f"signed by {envelope.kid.hex()}, which no entry has enrolled")
            aad = network_aad(self._spine.rules.network_id)
            cose.verify(envelope, parse_cose_key(key.cose_key), aad)
            body = parse_entry(envelope)
            if isinstance(body, KeyEntry):
                check_proof(body, self._spine.rules.network_id)
        except MessageError as error:
            return _Judged(str(error))
        reason = self._unusable(body) or recorder.objection(raw)
        if reason:
            return _Judged(reason)
        return _Judged("", NewEntry(raw, leaf_hash(raw), envelope.kid, body.KIND), body)

    def _append(self, judged: _Judged) -> str:
        entry, body = judged.entry, judged.body
        if entry is None:
            return judged.reason
        if isinstance(body, KeyEntry) and body.action in ENDING:
            self._spine.record_key(entry)
            return ""
        effects = self._spine.record([entry]).effects
        return "; ".join(told(effect) for effect in effects if isinstance(effect, WrongRoot))

    def _append_together(self, together: Mapping[bytes, _Together]) -> int:
        """Append what was judged before any of it stood; one that then means nothing is refused."""
        if not together:
            return 0
        recorded = self._spine.record([new.entry for new in together.values()])
        ignored = {
            effect.index: effect.reason
            for effect in recorded.effects
            if isinstance(effect, Ignored)
        }
        return sum(
            self._answer(spooled, ignored.get(index, ""))
            for index, new in zip(recorded.indices, together.values(), strict=True)
            for spooled in new.spooled
        )

    def _answer(self, spooled: Spooled, reason: str) -> int:
        """Tell whoever waits for a file what became of it; return how many were taken."""
        if not reason:
            self._inbox.done(spooled)
            return 1
        log.warning("inbox %s was refused: %s", spooled.path.name, reason)
        self._inbox.refuse(spooled, reason)
        return 0

    def _unusable(self, body: LedgerEntry) -> str:
        if isinstance(body, KeyEntry | Quorum | Call | Feed | RelayFault):
            return ""
        if isinstance(body, BlockHeader) and self._proposals is not None:
            return self._proposals.objection(body)
        if not isinstance(body, PolicyEntry):
            return f"a {body.KIND} entry does not come through the inbox"
        return policy_fault(body, self._contracts, self._policies)
