"""Stored energy sold through escrow: the five steps of paper 003, section VI.

Salian et al., *Review of Blockchain Enabled Decentralized Energy Trading Mechanisms*:

1. A prosumer's energy goes into the storage. Here the storage's own signed meter attests it, slot
   by slot; each who had energy over then has a credit (`hub.market.storing`).
2. `sell`: he offers some of it, with a price. The sale's id is his call's.
3. The offer is checked: his key (the call is signed), its fee, and the claim against the credit.
   The attestation is on the ledger before, so nobody has to be asked: the paper's second way.
4. `buy`: the buyer's balance is checked, and what he pays is set aside in escrow.
5. The storage releases; when, its meter shows. With `release_slots = 0` a purchase may be served in
   the slot in which it is appended, as in the paper; above it, so many closes later, when witnesses
   and replicas have had time to make it final. What is not delivered within `expires_slots` is
   refunded, and the energy is the seller's again.

    sell      price_utok_per_kwh, energy_uwh
    buy       sale, energy_uwh
    cancel    sale
    each      [fee_utok], at least `call_fee_utok`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    ESCROW,
    CallRequest,
    CallResult,
    Clearing,
    Fate,
    Match,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.holdings import held_after
from hub.market.orderbook import Laid
from hub.market.parameters import read, whole
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import amount_utok
from hub.market.serving import Methods, check_pays, fee_rule, serve
from hub.market.storing import (
    CREDIT,
    PPM,
    StorageRules,
    credit_of,
    credits_of,
    release,
    storage_of,
    store,
)

HELD: Final = "held"
"""Row "supply.<storage>" while nothing is to be released: the storage's relays, such as the load
output of its charge controller, stay open (`hub.balancing.supply`)."""


@dataclass(frozen=True, slots=True)
class Rules(StorageRules):
    """When it releases, when a purchase expires, and what it costs. [slots, utok, ppm]"""

    release_slots: int = whole(0, 0, 96)
    expires_slots: int = whole(96, 1, 10_000)
    storage_fee_ppm: int = whole(0, 0, PPM)
    call_fee_utok: int = fee_rule()


class Sale(NamedTuple):
    """Stored energy on offer; row "sale.<id>"."""

    seller: str
    price_utok_per_kwh: int
    left_uwh: int


class Purchase(NamedTuple):
    """Energy that was paid for and not delivered; row "bought.<place in the log>".

    `held_utok` lies in escrow. It may be served from `ready_ms` on and expires with `until_ms`.
    """

    purchase: str
    seller: str
    buyer: str
    left_uwh: int
    price_utok_per_kwh: int
    held_utok: int
    ready_ms: int
    until_ms: int


class StorageEscrow:
    """Sell what is stored; money waits in escrow until it is released."""

    name: ClassVar[str] = "storage_escrow"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Credit what was stored, deliver what was released, refund what expired."""
        rules = read(self.name, Rules, book.parameters)
        purchases = dict(_purchases(book.memory))
        budget.spend(4 * len(book.positions) + 2 * len(purchases))
        stored = store(rules, book, _held_uwh(book.memory, purchases))
        slot = _Release(rules, book, purchases)
        slot.deliver()
        slot.expire()
        matches = (*stored.matches, *slot.matches)
        credited = [*stored.credits_uwh.items(), *slot.returned]
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(book, matches),
            curtailments=held_back(book.positions),
            transfers=tuple(slot.transfers),
            memory={
                **slot.memory,
                **held_after(book.memory, CREDIT, credited),
                **_valve(rules, book.memory, is_open=slot.is_awaited),
            },
            fates=(*stored.fates, *slot.fates),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Offer, buy or take back stored energy."""
        rules = read(self.name, Rules, request.parameters)
        budget.spend()
        return serve(self.name, _METHODS, rules, request, rules.call_fee_utok)

    def waiting(self, memory: Mapping[str, Value], _length_ms: int) -> Iterator[Laid]:
        """Yield what is on sale, then what was bought and is not delivered yet."""
        for key in sorted(memory):
            if key.startswith("sale."):
                row: Any = memory[key]
                sale, name = Sale(*row), key.removeprefix("sale.")
                price = sale.price_utok_per_kwh
                yield Laid(sale.seller, name, ASK, sale.left_uwh, price, 0, None)
        for _, each in _purchases(memory):
            yield Laid(
                each.buyer,
                each.purchase,
                BID,
                each.left_uwh,
                each.price_utok_per_kwh,
                each.ready_ms,
                each.until_ms,
            )


class _Release:
    """What leaves the storage in one slot, purchase after purchase."""

    def __init__(self, rules: Rules, book: SlotBook, purchases: Mapping[str, Purchase]) -> None:
        self.rules = rules
        self.book = book
        self.purchases = {
            key: row._replace(price_utok_per_kwh=book.tariff.bounded(row.price_utok_per_kwh))
            for key, row in purchases.items()
        }
        self.matches: list[Match] = []
        self.transfers: list[Transfer] = []
        self.returned: list[tuple[str, int]] = []
        self.memory: dict[str, Value] = {}
        self.fates: list[Fate] = []

    def deliver(self) -> None:
        """Serve purchases in their order, as far as storage and buyer's meter bear it."""
        storage = storage_of(self.rules, self.book)
        buyers = {p.member: p for p in self.book.positions}
        wants = {p.member: p.deficit_uwh for p in self.book.positions}
        left = total = storage.surplus_uwh if storage else 0
        for key, row in self.purchases.items():
            buyer = buyers.get(row.buyer)
            if buyer is None or storage is None:
                continue
            is_ready = row.ready_ms <= self.book.slot_ms
            energy = min(row.left_uwh, wants[row.buyer], left) if is_ready else 0
            if energy:
                self.matches.append(release(storage, buyer, energy, row.price_utok_per_kwh))
                left, wants[row.buyer] = left - energy, wants[row.buyer] - energy
                self._pay(key, row, energy)
            self._tell(row, energy, is_ready=is_ready, is_wanted=wants[row.buyer] > 0)
        if total:
            reason = "" if not left else "no purchase waited for the rest"
            self.fates.append(Fate(self.rules.storage, "", ASK, total, 0, total - left, reason))

    def expire(self) -> None:
        """Refund what is not delivered in time, and give the energy back to its seller."""
        end_ms = self.book.slot_ms + self.book.length_ms
        for key, row in self.purchases.items():
            if row.left_uwh and row.until_ms <= end_ms:
                self._refund(row)
                self.returned.append((row.seller, row.left_uwh))
                self.memory[key] = None

    @property
    def is_awaited(self) -> bool:
        """Whether a purchase is left that may be served in the next slot."""
        next_ms = self.book.slot_ms + self.book.length_ms
        return any(
            row.left_uwh and row.ready_ms <= next_ms < row.until_ms
            for row in self.purchases.values()
        )

    def _pay(self, key: str, row: Purchase, energy_uwh: int) -> None:
        """Free what the buyer has set aside for it; the storage passes on what he pays."""
        amount = amount_utok(energy_uwh, row.price_utok_per_kwh)
        freed = min(amount, row.held_utok)
        kept = amount * self.rules.storage_fee_ppm // PPM
        after = row._replace(left_uwh=row.left_uwh - energy_uwh, held_utok=row.held_utok - freed)
        if freed:
            self.transfers.append(Transfer(ESCROW, row.buyer, freed, "set aside for this"))
        if amount > kept:
            sold = Transfer(self.rules.storage, row.seller, amount - kept, "stored energy sold")
            self.transfers.append(sold)
        if not after.left_uwh:
            self._refund(after)
        self.purchases[key] = after
        self.memory[key] = tuple(after) if after.left_uwh else None

    def _refund(self, row: Purchase) -> None:
        if row.held_utok:
            self.transfers.append(Transfer(ESCROW, row.buyer, row.held_utok, "refund"))

    def _tell(self, row: Purchase, energy_uwh: int, *, is_ready: bool, is_wanted: bool) -> None:
        reason = ""
        if not is_ready:
            reason = "the purchase is not final yet"
        elif energy_uwh < row.left_uwh:
            reason = "the storage released no more" if is_wanted else "the meter drew no more"
        price = row.price_utok_per_kwh
        counted = energy_uwh if energy_uwh else 0
        self.fates.append(Fate(row.buyer, row.purchase, BID, counted, price, energy_uwh, reason))


def _sell(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    low, high = request.tariff.floor_utok_per_kwh, request.tariff.cap_utok_per_kwh
    price = given.whole("price_utok_per_kwh", max(low, 0), high)
    energy = given.whole("energy_uwh", 1, 10**18)
    credit = credit_of(request.memory, request.member)
    if energy > credit:
        raise CallRefused(
            f"the meter of {rules.storage} attests {credit} uWh of yours, the sale claims {energy}"
        )
    sale = request.call_id.hex()
    memory = held_after(request.memory, CREDIT, [(request.member, -energy)])
    memory[f"sale.{sale}"] = tuple(Sale(request.member, price, energy))
    return CallResult((), memory, {"sale": sale})


def _buy(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    sale, energy = given.text("sale"), given.whole("energy_uwh", 1, 10**18)
    row = _sale(request, sale)
    if request.member in (row.seller, rules.storage):
        raise CallRefused("nobody buys what he sells or stores")
    if energy > row.left_uwh:
        raise CallRefused(f"the sale has {row.left_uwh} uWh left, not {energy}")
    amount = amount_utok(energy, row.price_utok_per_kwh)
    check_pays(request, amount)
    purchase = request.call_id.hex()
    ready_ms = request.slot_ms + rules.release_slots * request.length_ms
    until_ms = ready_ms + rules.expires_slots * request.length_ms
    bought = Purchase(
        purchase,
        row.seller,
        request.member,
        energy,
        row.price_utok_per_kwh,
        amount,
        ready_ms,
        until_ms,
    )
    left = row._replace(left_uwh=row.left_uwh - energy)
    memory: dict[str, Value] = {
        f"sale.{sale}": tuple(left) if left.left_uwh else None,
        f"bought.{request.sequence:015d}": tuple(bought),
    }
    if ready_ms <= request.slot_ms:
        memory |= _valve(rules, request.memory, is_open=True)
    moves = (Transfer(request.member, ESCROW, amount, "set aside"),) if amount else ()
    return CallResult(moves, memory, {"purchase": purchase, "set_aside_utok": amount})


def _cancel(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    sale = given.text("sale")
    row = _sale(request, sale)
    if row.seller != request.member:
        raise CallRefused(f"sale {sale} is another's")
    memory = held_after(request.memory, CREDIT, [(row.seller, row.left_uwh)])
    return CallResult((), {**memory, f"sale.{sale}": None}, {"left_uwh": row.left_uwh})


def _valve(rules: Rules, memory: Mapping[str, Value], *, is_open: bool) -> dict[str, Value]:
    """Return the row that keeps the storage's relays open until something is to be released."""
    key, now = f"supply.{rules.storage}", None if is_open else HELD
    return {} if memory.get(key) == now else {key: now}


_METHODS: Final[Methods[Rules]] = {"sell": _sell, "buy": _buy, "cancel": _cancel}


def _sale(request: CallRequest, sale: str) -> Sale:
    row: Any = request.memory.get(f"sale.{sale}")
    if not row:
        raise CallRefused(f"there is no sale {sale!r}")
    return Sale(*row)


def _purchases(memory: Mapping[str, Value]) -> Iterator[tuple[str, Purchase]]:
    """Yield purchases that wait, by their place in the log."""
    for key in sorted(memory):
        if key.startswith("bought."):
            row: Any = memory[key]
            yield key, Purchase(*row)


def _held_uwh(memory: Mapping[str, Value], purchases: Mapping[str, Purchase]) -> int:
    """Return all that the storage owes: credits, sales, purchases. [uWh]"""
    sales: list[Any] = [memory[key] for key in memory if key.startswith("sale.")]
    held = sum(credit for _, credit in credits_of(memory))
    held += sum(Sale(*row).left_uwh for row in sales)
    return held + sum(row.left_uwh for row in purchases.values())
