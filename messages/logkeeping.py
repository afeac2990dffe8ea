"""Who keeps the log: entries that change the quorum, or let another key go on with the log.

Genesis names the first log key and the first quorum. An administrator changes them, and nobody
else. The rules are here because the fold, every verifier and a node's `trust.toml` have to agree on
them. Source: trust 8.8; old and new key never sign at once, so the old one ends at this entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from messages.errors import MessageError
from messages.log.checkpoint import open_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey, parse_vkey
from messages.log.policy import parse_policy

REASON_CHARS_MAX: Final = 500
_NUMBERED: Final = re.compile(r"(.+)/log([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Quorum:
    """From here on these cosignatures make a checkpoint final. `policy`: a whole C2SP policy."""

    KIND: ClassVar[str] = "quorum"
    policy: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Takeover:
    """The log key `old` ends here and `new` goes on with the first `size` entries (vkeys).

    `signed_up_to` is the size of the largest tree that the old key is known to have signed, and
    `shown` the note that proves it, "" where only this hub's own file says so. If that is more than
    `size`, the rest is given up: the new log then has another name, because under the old one it
    would contradict what is final. `policy` is the whole quorum policy of the new log.
    """

    KIND: ClassVar[str] = "takeover"
    size: int
    old: str
    new: str
    signed_up_to: int
    shown: str
    policy: str
    reason: str
    at_ms: int

    @property
    def given_up(self) -> int:
        """How many entries that the old log had signed are not in the new one."""
        return max(0, self.signed_up_to - self.size)

    @property
    def keeps_name(self) -> bool:
        """Whether the log goes on under its old name: nothing that was signed is given up."""
        return self.old.partition("+")[0] == self.new.partition("+")[0]


LogEntry = Quorum | Takeover


def next_name(origin: str) -> str:
    """Return the name of the log that goes on where entries of this one are given up.

    >>> next_name("gridtally.local/bench")
    'gridtally.local/bench/log2'
    >>> next_name("gridtally.local/bench/log2")
    'gridtally.local/bench/log3'
    """
    found = _NUMBERED.fullmatch(origin)
    return f"{found[1]}/log{int(found[2]) + 1}" if found else f"{origin}/log2"


def policy_for(log_vkey: str, text: str) -> str:
    """Return a policy for a log: these lines, with its own `log` line in place of any other."""
    kept = [line for line in text.splitlines() if line.split()[:1] != ["log"]]
    return "".join(f"{line}\n" for line in (f"log {log_vkey}", *kept))


def quorum_fault(entry: Quorum, log_key: NoteKey) -> str:
    """Say why a quorum entry means nothing for the log that is kept now; "": it does."""
    return _policy_fault(entry.policy, format_vkey(log_key))


def takeover_fault(entry: Takeover, index: int, log_key: NoteKey) -> str:
    """Say why a takeover at a place of the log means nothing there; "": it does."""
    if entry.old != format_vkey(log_key):
        return f"the log's key is {format_vkey(log_key)} here, not {entry.old}"
    try:
        new = parse_vkey(entry.new)
    except MessageError as error:
        return f"the new log's key: {error}"
    if new.kind != ED25519 or new.public == log_key.public:
        return "a log goes on with another Ed25519 key of its own"
    if entry.size != index:
        return f"it goes on after {entry.size} entries, and stands behind {index}"
    if len(entry.reason) > REASON_CHARS_MAX:
        return f"a reason has at most {REASON_CHARS_MAX} characters"
    wanted = next_name(log_key.name) if entry.given_up else log_key.name
    if new.name not in (wanted, next_name(log_key.name)):
        return f"the new log is named {wanted}, not {new.name}"
    return _shown_fault(entry, log_key) or _policy_fault(entry.policy, entry.new)


def _shown_fault(entry: Takeover, log_key: NoteKey) -> str:
    if not entry.shown:
        return ""
    try:
        size = open_checkpoint(entry.shown, log_key).size
    except MessageError as error:
        return f"the old log did not sign what it is said to have signed: {error}"
    return "" if size <= entry.signed_up_to else f"the old log signed {size} entries"


def _policy_fault(text: str, log_vkey: str) -> str:
    try:
        policy = parse_policy(text)
    except MessageError as error:
        return str(error)
    if [format_vkey(key) for key in policy.logs] != [log_vkey]:
        return "the policy names another log than the one that is kept"
    return ""
