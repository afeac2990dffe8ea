"""Nothing lost: kills real processes at seeded random moments, and accounts for every message.

A killed process is started again at once, as systemd would. Afterwards each line of each edge's
journal must be on the ledger or in a seal exactly once and nothing else, and an audit must find
the state roots, which the live hub wrote into its block headers, again.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from hub.auditing.audit import Report
from hub.commands.inspecting import audit_ledger, verify_ledger
from hub.config import load_config
from hub.ledger.store import Store
from testbed.accounts import Accounts
from testbed.clock import Pace
from testbed.demo import Options, drain, prepare
from testbed.errors import LedgerDisagrees
from testbed.play import Play
from testbed.results import fold
from testbed.stage import BROKER, HUB, Stage, staged
from testbed.supervisor import free_port

PATIENCE_S = 60.0
DELAY_S_MAX = 0.3


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: after which instant (from 0), how much later, and whom."""

    instant: int
    delay_s: float
    victim: str


def schedule(seed: int, kills: int, instants: int, victims: Sequence[str]) -> tuple[Kill, ...]:
    """Return seeded kills in order of time; the last tenth of the run is left in peace."""
    random = Random(seed)
    last = max(1, instants * 9 // 10)
    drawn = [
        Kill(random.randrange(last), random.uniform(0, DELAY_S_MAX), random.choice(victims))
        for _ in range(kills)
    ]
    return tuple(sorted(drawn, key=lambda kill: (kill.instant, kill.delay_s)))


@dataclass(slots=True)
class Executioner:
    """Carries out a schedule: told when an instant is done, looked at whenever somebody waits."""

    stage: Stage
    schedule: Sequence[Kill]
    done: list[Kill] = field(default_factory=list)
    _instant: int = -1
    _since_s: float = 0.0

    def note_instant(self, _at_ms: int) -> None:
        """Note that an instant is done."""
        self._instant += 1
        self._since_s = time.monotonic()

    def look(self) -> None:
        """Kill and restart who is due; anybody else who ended is an error."""
        while len(self.done) < len(self.schedule):
            kill = self.schedule[len(self.done)]
            late_s = time.monotonic() - self._since_s
            if kill.instant > self._instant or (
                kill.instant == self._instant and kill.delay_s > late_s
            ):
                break
            self.stage.supervisor.kill(kill.victim)
            self.stage.supervisor.restart(kill.victim)
            self.done.append(kill)
        self.stage.supervisor.check()


@dataclass(frozen=True, slots=True)
class Ordeal:
    """What a tortured run came to."""

    kills: Counter[str]
    accounts: Accounts
    audit: Report
    state_root: bytes
    registers: dict[str, tuple[int, int]]
    wall_s: float

    def require_whole(self) -> None:
        """Raise LedgerDisagrees unless nothing was lost, doubled or invented, and replay agrees."""
        self.accounts.require_equal()
        if not self.audit.is_right:
            raise LedgerDisagrees(f"the audit found: {self.audit.difference}")
        if self.audit.state_root != self.state_root:
            raise LedgerDisagrees("two replays of one ledger give two state roots")


def torture(options: Options, folder: Path, kills: int, seed: int) -> Ordeal:
    """Play a scenario at full speed while processes are killed; return the accounts."""
    started_s = time.monotonic()
    installation, _ = prepare(replace(options, port=free_port()), folder)
    layout = installation.layout
    instants = layout.slots * layout.slot_ms // layout.instant_ms
    with staged(installation, options.broker) as stage:
        stage.start()
        drawn = schedule(seed, kills, instants, victims(stage))
        executioner = Executioner(stage, drawn)
        stage.clock.idle = executioner.look
        play = stage.play(Pace(None), executioner.note_instant)
        play.edge_timeout_s = PATIENCE_S
        play.hub_deadline_ms = int(PATIENCE_S * 1000)
        play.run()
        accounts = drain(stage, play)
        return _ordeal(stage, play, executioner, accounts, started_s)


def victims(stage: Stage) -> tuple[str, ...]:
    """Return who may be killed: every program but the page, the hub as often as all edges."""
    names = list(stage.supervisor.children)
    edges = [name for name in names if name.startswith("edge-")]
    guards = [name for name in names if name.startswith("guard-")]
    return (*edges, *guards, *([HUB] * len(edges)), *([BROKER] * max(1, len(edges) // 2)))


def _ordeal(
    stage: Stage,
    play: Play,
    executioner: Executioner,
    accounts: Accounts,
    started_s: float,
) -> Ordeal:
    if play.tally.released:
        raise LedgerDisagrees(f"edges stayed away too long: {play.tally.released}")
    config = load_config(stage.installation.hub_toml)
    checked = verify_ledger(config, _quietly)
    if checked.findings:
        raise LedgerDisagrees("; ".join(checked.findings))
    with Store.open(config.database, read_only=True) as store:
        results = fold(store)
    return Ordeal(
        kills=Counter(kill.victim for kill in executioner.done),
        accounts=accounts,
        audit=audit_ledger(config, _quietly),
        state_root=results.state_root,
        registers={
            name: (meter.import_uwh, meter.export_uwh) for name, meter in results.meters.items()
        },
        wall_s=time.monotonic() - started_s,
    )


def _quietly(_done: int, _total: int) -> None:
    """Show no progress."""
