"""What a market contract is: one slot's positions in, who trades what at which price out.

A contract is pure and counts in integers: no clock, no randomness, no float, no iteration over
a set. It never touches accounts: it returns energies and prices, and the fold turns them into
money (`hub.core.settlement`), so settlement sums to zero whatever a contract does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from hub.market.errors import BudgetExceeded, CallRefused

GRID = "@grid"
"""Account of the grid administrator: imports, exports, corrections. No member can be named so."""
SUPPLIER = "@supplier"
"""Account of the base-load supplier."""
STORAGE = "@storage"
"""Account of the storage operator."""

STEPS_PER_RUN = 2_000_000
"""Steps a contract may use for one clearing or one call."""

Value: TypeAlias = "int | str | bytes | bool | tuple[Value, ...] | Mapping[str, Value] | None"
"""What a contract may remember and be given: whatever canonical CBOR holds, without floats."""


class StepBudget:
    """Counts a contract's steps, so that one that never ends is stopped on every machine alike.

    Time cannot be the measure: replicas differ in speed and must agree on the result.
    """

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_PER_RUN) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take steps off the budget; raises BudgetExceeded when they are not there."""
        self.left -= steps
        if self.left < 0:
            raise BudgetExceeded("the contract used more steps than it was given")


class Position(NamedTuple):
    """One member's slot: what his settled meters showed, and what his open relays kept from him.

    `export_meter` and `import_meter` are the meters with the largest export and import: the
    addresses in matches. `held_uwh` is estimated: the last signed power of each load held open
    times the time it was. `estimated` says that a register was missing or had to be shared out.
    """

    member: str
    export_meter: str
    import_meter: str
    generated_uwh: int
    consumed_uwh: int
    held_uwh: int = 0
    estimated: bool = False

    @property
    def surplus_uwh(self) -> int:
        """Energy left over after own use. [uWh]"""
        return max(self.generated_uwh - self.consumed_uwh, 0)

    @property
    def deficit_uwh(self) -> int:
        """Energy used beyond own generation. [uWh]"""
        return max(self.consumed_uwh - self.generated_uwh, 0)

    @property
    def wanted_uwh(self) -> int:
        """Energy used plus energy that open relays kept back. [uWh]"""
        return self.consumed_uwh + self.held_uwh


class Tariff(NamedTuple):
    """The regulator's prices in force at one slot: what energy costs, what feeding in earns."""

    price_utok_per_kwh: int
    feed_in_utok_per_kwh: int


@dataclass(frozen=True, slots=True)
class SlotBook:
    """All a contract sees of one slot. Positions are in member order."""

    slot_ms: int
    length_ms: int
    positions: tuple[Position, ...]
    tariff: Tariff
    parameters: Mapping[str, Value]
    memory: Mapping[str, Value]


class Match(NamedTuple):
    """Energy that one member bought from another."""

    seller: str
    buyer: str
    from_meter: str
    to_meter: str
    energy_uwh: int
    price_utok_per_kwh: int


class Remainder(NamedTuple):
    """Energy that found no partner, and where it went.

    `route` is the account that took or gave it (GRID, SUPPLIER, STORAGE) or SPILLED: generation
    nobody took and nobody pays. A member in surplus gives it, a member in deficit gets it.
    """

    member: str
    route: str
    energy_uwh: int
    price_utok_per_kwh: int


SPILLED = "@spilled"


class Curtailment(NamedTuple):
    """What a member wanted and did not get; `curtailed_uwh` is an estimate.

    `had_uwh` is his own generation plus what he bought; `overdrawn_uwh` what he used beyond it
    before the relays had opened (0 when they were in time).
    """

    member: str
    wanted_uwh: int
    had_uwh: int
    curtailed_uwh: int
    overdrawn_uwh: int


class Transfer(NamedTuple):
    """Money that moves without energy: a deposit, a fee, a refund."""

    payer: str
    payee: str
    amount_utok: int
    reason: str


@dataclass(frozen=True, slots=True)
class Clearing:
    """A contract's result for one slot. `memory` None: unchanged."""

    matches: tuple[Match, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    curtailments: tuple[Curtailment, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    memory: Mapping[str, Value] | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A member's signed call, as a contract sees it."""

    member: str
    call_id: bytes
    method: str
    arguments: Mapping[str, Value]
    slot_ms: int
    memory: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call changes. `answer` goes to the caller's page."""

    transfers: tuple[Transfer, ...] = ()
    memory: Mapping[str, Value] | None = None
    answer: Mapping[str, Value] = field(default_factory=dict)


class Contract(Protocol):
    """A market mechanism. Add one: a file, a line in `catalog.py`, a test."""

    @property
    def name(self) -> str:
        """The name a policy calls it by."""

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Raise BadParameter unless the parameters can be used; asked before a policy is signed."""

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Clear one slot; every member's net energy must be matched or have a remainder."""

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Serve a member's call or raise CallRefused with the reason."""


def refuse_call(name: str, request: CallRequest) -> CallResult:
    """Refuse every call: for contracts that have none."""
    raise CallRefused(f"contract {name} takes no calls, got {request.method!r}")
