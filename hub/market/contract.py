"""What a market contract is: a slot's positions and orders in, who trades what for how much out.

A contract is pure and counts in integers: no clock, no randomness, no float, no iteration over
a set. It never touches accounts: it returns energies, prices and transfers, and the fold turns them
into money (`hub.core.closing`), so settlement sums to zero whatever a contract does.

The same contract clears off the ledger: give `clear` a `SlotBook` with orders. Without positions
the book is *bare*: each order is good for its whole energy, and nothing is left for the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from hub.market.errors import BudgetExceeded, CallRefused
from messages.regulating import PRICE_UTOK_PER_KWH_MAX as HIGHEST
from messages.regulating import UNBOUND, Regulation

GRID = "@grid"
"""Account of the grid administrator: imports, exports, corrections. No member can be named so."""
SUPPLIER = "@supplier"
"""Account of the base-load supplier."""
STORAGE = "@storage"
"""Account of the storage operator."""
BANK = "@bank"
"""Account of the bank: below 0 by what it minted against deposits."""
ESCROW = "@escrow"
"""Account that holds what a buyer set aside until his energy is delivered or the sale expires."""
OPERATOR = "@operator"
"""Account of the network's operator: commission, network charges."""
COMMUNITY = "@community"
"""Account that all members share: fees of calls, what a rule leaves over."""
ACCOUNTS: Final = (GRID, SUPPLIER, STORAGE, BANK, ESCROW, OPERATOR, COMMUNITY)
"""Accounts that belong to no member; a transfer may name them."""

PRICE_UTOK_PER_KWH_MAX: Final = HIGHEST
"""100 tokens per kWh: with it, no slot of a microgrid overflows 64 bits."""

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
    `shifted_uwh`: what loads would have drawn that wait by his own wish; no contract counts it.
    """

    member: str
    export_meter: str
    import_meter: str
    generated_uwh: int
    consumed_uwh: int
    held_uwh: int = 0
    estimated: bool = False
    shifted_uwh: int = 0

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
    """The regulator's prices in force at one slot: what energy costs, what feeding in earns.

    No match may be priced below floor or above cap; one at 0 is no sale, as of energy that goes
    into a storage against credit. The network fee is what a buyer pays the
    operator on top of a match's price (`hub.market.regulated`).
    """

    price_utok_per_kwh: int
    feed_in_utok_per_kwh: int
    floor_utok_per_kwh: int = 0
    cap_utok_per_kwh: int = PRICE_UTOK_PER_KWH_MAX
    network_fee_utok_per_kwh: int = 0

    def bounded(self, price_utok_per_kwh: int) -> int:
        """Return a price, moved to floor or cap where it is beyond them."""
        low, high = self.floor_utok_per_kwh, self.cap_utok_per_kwh
        return min(max(price_utok_per_kwh, low), high)


class Site(NamedTuple):
    """What the registry says of a meter: what its energy comes from, and where it is. [m]"""

    fuel: str = ""
    area: str = ""
    x_m: int | None = None
    y_m: int | None = None


NO_TARIFF: Final = Tariff(0, 0)
"""Where no policy is in force."""

BID: Final = "bid"
ASK: Final = "ask"
SEALED: Final = "sealed"
"""Side of an order that nobody knows: it was committed to and never revealed."""


class Order(NamedTuple):
    """What a member wants to buy (BID) at most, or to sell (ASK) at least, and for how much.

    `energy_uwh` None: as much as his meter will show. `sequence`: who came first, for ties.
    `area` is where its meter stands. What a bid wishes for: `prefers`, sellers by name, the dearest
    to him first; `fuels` and `areas`, the only ones that he takes; empty: any.
    `order_id` is the id of the call that placed it, in hex.
    """

    member: str
    side: str
    energy_uwh: int | None
    price_utok_per_kwh: int
    sequence: int = 0
    meter: str = ""
    area: str = ""
    prefers: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    order_id: str = ""


class Fate(NamedTuple):
    """What became of an order. `reason` is for its member, "" where all of it was matched.

    `energy_uwh` is what counted: at most what the meter showed.
    """

    member: str
    order_id: str
    side: str
    energy_uwh: int
    price_utok_per_kwh: int
    matched_uwh: int
    reason: str


@dataclass(frozen=True, slots=True)
class SlotBook:
    """All a contract sees of one slot. Positions are in member order.

    `memory`: its rows, by key. `orders` are given off the ledger only; on it they lie in the memory
    (`hub.market.orderbook`). `sites` by meter id. `balances`: what accounts hold before the slot.
    `regulation` binds what the contract returns; a contract need not look at it.
    """

    slot_ms: int
    length_ms: int
    positions: tuple[Position, ...]
    tariff: Tariff
    parameters: Mapping[str, Value]
    memory: Mapping[str, Value]
    orders: tuple[Order, ...] = ()
    sites: Mapping[str, Site] = field(default_factory=dict)
    balances: Mapping[str, int] = field(default_factory=dict)
    regulation: Regulation = UNBOUND

    @property
    def is_bare(self) -> bool:
        """Whether there are orders and no meters behind them."""
        return bool(self.orders) and not self.positions


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
    """Money that moves without energy: a deposit, a fee, a refund. `reason` is for people."""

    payer: str
    payee: str
    amount_utok: int
    reason: str


@dataclass(frozen=True, slots=True)
class Clearing:
    """A contract's result for one slot. `memory` holds the rows that change; None: it is gone.

    `fates`: one an order that counted in this slot, and one that did not for a reason of its own.
    Where a market `takes_orders`, who placed none is left out of what the checks expect of it.
    """

    matches: tuple[Match, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    curtailments: tuple[Curtailment, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    memory: Mapping[str, Value] = field(default_factory=dict)
    fates: tuple[Fate, ...] = ()
    takes_orders: bool = False


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A member's signed call, as a contract sees it.

    `slot_ms` is the slot that closes next, the newest thing the fold knows of time. `sequence` is
    the call's place in the log. `roles`: offices of the key that signed.
    """

    member: str
    call_id: bytes
    method: str
    arguments: Mapping[str, Value]
    slot_ms: int
    memory: Mapping[str, Value]
    length_ms: int = 900_000
    sequence: int = 0
    roles: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    tariff: Tariff = NO_TARIFF
    balances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call changes. `answer` goes to the caller's page; `memory` as in a `Clearing`."""

    transfers: tuple[Transfer, ...] = ()
    memory: Mapping[str, Value] = field(default_factory=dict)
    answer: Mapping[str, Value] = field(default_factory=dict)


@runtime_checkable
class Forecasting(Protocol):
    """A contract that publishes what it expects a coming slot to cost."""

    def expected_utok_per_kwh(
        self,
        parameters: Mapping[str, Value],
        memory: Mapping[str, Value],
        slot_ms: int,
        length: int,
    ) -> int | None:
        """Return the price of a slot of `length_ms` that is published, None if none is."""


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
