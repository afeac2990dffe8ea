"""What a step did, for the books, the page and the log. Nothing here feeds back into the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from hub.core.records import Shed
from hub.market.checks import Checks
from hub.market.contract import Curtailment, Fate, Match, Position, Remainder, Value

METERED = "metered"
ESTIMATED = "estimated"
SHARED = "shared"
CORRECTED = "corrected"


class SlotEnergy(NamedTuple):
    """What one meter did in one slot. [uWh]

    `quality`: metered (two registers at its edges), shared (an equal part of what two registers
    further apart show), estimated (no register yet, or totals that cannot be subtracted).
    """

    meter_id: str
    member: str
    purpose: str
    import_uwh: int
    export_uwh: int
    quality: str
    is_settled: bool


class Line(NamedTuple):
    """One line of a bill; the other side of the deal has the same line with the other sign.

    `account` is a member or one of the accounts of `hub.market.contract`. `kind`: sale, purchase,
    transfer or correction. `amount_utok` above 0 is received, below 0 paid. `energy_uwh` of a
    correction has a sign: above 0 is more fed in, or less drawn, than was settled before.
    """

    account: str
    kind: str
    counterparty: str
    energy_uwh: int
    price_utok_per_kwh: int
    amount_utok: int
    quality: str


class PricedMatch(NamedTuple):
    """A match with its money."""

    match: Match
    amount_utok: int


@dataclass(frozen=True, slots=True)
class SlotSettled:
    """One slot is closed and settled. `failure` says why the fallback was used, else empty.

    `index` is the close entry's. `unaccounted_uwh`: what the boundary meter brought in beyond what
    the members' meters show (losses, theft, wrong meters); None without a boundary meter. `checks`
    follow from the rest and stand in no results row.
    """

    index: int
    slot_ms: int
    length_ms: int
    reason: str
    contract: str
    failure: str
    price_utok_per_kwh: int
    feed_in_utok_per_kwh: int
    energies: tuple[SlotEnergy, ...]
    positions: tuple[Position, ...]
    matches: tuple[PricedMatch, ...]
    remainders: tuple[Remainder, ...]
    curtailments: tuple[Curtailment, ...]
    fates: tuple[Fate, ...]
    lines: tuple[Line, ...]
    checks: Checks
    unaccounted_uwh: int | None

    @property
    def matched_uwh(self) -> int:
        """Energy sold from member to member. [uWh]"""
        return sum(row.match.energy_uwh for row in self.matches)

    @property
    def curtailed_uwh(self) -> int:
        """Energy that open relays kept back, estimated. [uWh]"""
        return sum(row.curtailed_uwh for row in self.curtailments)

    @property
    def gross_utok(self) -> int:
        """Money that changed hands. [utok]"""
        return sum(line.amount_utok for line in self.lines if line.amount_utok > 0)

    @property
    def settlement_sum_utok(self) -> int:
        """Sum of all lines; 0, always. [utok]"""
        return sum(line.amount_utok for line in self.lines)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A late register replaced an estimate; `lines` settle the difference with the grid account.

    `index` is the register's entry, or the close that reached it. Energies are the slot's new ones.
    """

    index: int
    slot_ms: int
    energy: SlotEnergy
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class RegisterReset:
    """A meter's totals began anew: what lies between is estimated unless an epoch entry bridges."""

    index: int
    meter_id: str
    at_ms: int
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class MeterCalibrated:
    """A node corrects one of its meters from now on; `power_gain_ppm` None: no longer."""

    index: int
    meter_id: str
    power_gain_ppm: int | None


@dataclass(frozen=True, slots=True)
class ShedOpened:
    """A relay holds a load open by decision."""

    index: int
    node: str
    relay: str
    from_ms: int
    shed: Shed


@dataclass(frozen=True, slots=True)
class ShedClosed:
    """The load is fed again. `held_uwh`: last signed power times the time it was held. [uWh]"""

    index: int
    node: str
    relay: str
    from_ms: int
    shed: Shed
    held_uwh: int


@dataclass(frozen=True, slots=True)
class CallServed:
    """A contract took a member's call."""

    index: int
    call_id: bytes
    member: str
    contract: str
    method: str
    answer: Mapping[str, Value]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call changed nothing; `reason` is what the caller is told."""

    index: int
    call_id: bytes
    member: str
    contract: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class OwnerTold:
    """An owner was told of a case on him."""

    index: int
    case: str
    owner: str


@dataclass(frozen=True, slots=True)
class DisputeMoved:
    """A dispute began, was answered, or ended; `event` is one of `messages.disputes.EVENTS`.

    `dispute` is the entry that began it, `index` the one that did this: a call, or the close by
    which nobody had ruled. `to_claimant_utok` of the amount went to the claimant. `lines` move it.
    """

    index: int
    dispute: int
    event: str
    claimant: str
    respondent: str
    slot_ms: int
    line: int
    amount_utok: int
    to_claimant_utok: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class FactTold:
    """A feeder told a fact from outside, which counts from `at_ms` on."""

    index: int
    feeder: str
    fact: str
    at_ms: int
    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class RegistryChanged:
    """Keys, meters, relays or roles are others than before: whoever keeps a copy reads again."""

    index: int
    what: str


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A policy is in force from its slot on."""

    index: int
    from_slot_ms: int


@dataclass(frozen=True, slots=True)
class HeaderFollows:
    """A block header covers a close; `proposer` is a member with a replica, "" the hub."""

    index: int
    height: int
    end_index: int
    state_root: bytes
    results_root: bytes
    proposer: str
    round: int


@dataclass(frozen=True, slots=True)
class WrongRoot:
    """Somebody signed a block header whose state root is not the state's: `said`, not `found`.

    It covers nothing. `proposer` ("" the hub) lost turn and reputation.
    """

    index: int
    height: int
    end_index: int
    proposer: str
    said: bytes
    found: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """An entry that stands in the log and changes nothing; `reason` in plain words."""

    index: int
    kind: str
    reason: str


Effect: TypeAlias = (
    SlotSettled
    | Corrected
    | RegisterReset
    | MeterCalibrated
    | ShedOpened
    | ShedClosed
    | CallServed
    | CallFailed
    | OwnerTold
    | DisputeMoved
    | FactTold
    | RegistryChanged
    | PolicySet
    | HeaderFollows
    | WrongRoot
    | Ignored
)
