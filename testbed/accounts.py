"""Nothing lost, nothing invented: the edges' journals against the ledger.

In simulation an edge writes down, apart from its outbox, each message that must reach the ledger:
one fsynced line `kid stream sequence sha256`. Registers and events must stand on the ledger,
telemetry packs in a seal; each once, and nothing else may.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from hub.ledger.store import Store
from testbed.errors import LedgerDisagrees

REGISTER = "register"
TELEMETRY = "telemetry"
EVENT = "event"
SHOWN_MAX = 5


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One message by its place in its key's stream, and its bytes' hash in hexadecimal."""

    kid: str
    stream: str
    sequence: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the journals hold, what the ledger holds, and where they differ."""

    signed: Counter[str]
    stored: Counter[str]
    lost: tuple[Line, ...]
    foreign: tuple[Line, ...]
    duplicated: int

    def require_equal(self) -> None:
        """Raise LedgerDisagrees, naming the first differences, unless both say the same."""
        if not (self.lost or self.foreign or self.duplicated):
            return
        raise LedgerDisagrees(
            f"{len(self.lost)} lost {_shown(self.lost)}, {len(self.foreign)} that no edge signed "
            f"{_shown(self.foreign)}, {self.duplicated} stored twice"
        )


def read_journal(path: Path) -> Iterator[Line]:
    """Yield the complete lines of a journal; a torn last line was never signed for anybody."""
    if not path.exists():
        return
    for text in path.read_text("ascii").splitlines(keepends=True):
        if text.endswith("\n"):
            kid, stream, sequence, digest = text.split()
            yield Line(kid, stream, int(sequence), digest)


def read_ledger(store: Store) -> Iterator[Line]:
    """Yield what stands on the ledger under a counter, and every pack that a seal covers."""
    for entry in store.entries():
        if entry.sequence is not None and entry.stream in (REGISTER, EVENT):
            yield Line(entry.kid.hex(), entry.stream, entry.sequence, sha256(entry.raw).hexdigest())
    for pack in store.packs.sealed():
        yield Line(pack.kid.hex(), TELEMETRY, pack.sequence, sha256(pack.raw).hexdigest())


def compare(journals: Iterable[Path], store: Store) -> Accounts:
    """Return both sides and their differences."""
    signed = {line for path in journals for line in read_journal(path)}
    stored = Counter(read_ledger(store))
    places = Counter((line.kid, line.stream, line.sequence) for line in stored.elements())
    return Accounts(
        signed=Counter(line.stream for line in signed),
        stored=Counter(line.stream for line in stored),
        lost=tuple(sorted(signed - stored.keys())),
        foreign=tuple(sorted(stored.keys() - signed)),
        duplicated=sum(count - 1 for count in places.values()),
    )


def _shown(lines: tuple[Line, ...]) -> str:
    names = [f"{line.kid} {line.stream} {line.sequence}" for line in lines[:SHOWN_MAX]]
    return f"({', '.join(names)}{', ...' if len(lines) > SHOWN_MAX else ''})" if names else ""
