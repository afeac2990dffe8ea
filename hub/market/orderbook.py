"""The order book: members' calls that place, withdraw, seal and reveal orders, and where they lie.

An order counts for one slot, or stands until it is withdrawn. The gate of a slot closes with the
close of the slot `gate_slots` before it: from then on no order for it comes or goes. Where the book
is sealed an order for one slot is committed before its gate and revealed after, until its slot
closes; one that is not revealed is dropped, and its member is told. An order that stands is for all
to see; it may be placed in a sealed book, too.

    order     side, price_utok_per_kwh, [energy_uwh], [slot_ms], [prefers], [fuels], [areas]
    withdraw  order
    commit    slot_ms, commitment
    reveal    order, salt, and what was committed to
    each      [fee_utok], at least `call_fee_utok`

Memory: "order.<member>", a row of order rows; "sealed.<member>", a row of (id, slot, commitment,
sequence). An id is the call's that placed the order, in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    SEALED,
    CallRequest,
    CallResult,
    Contract,
    Fate,
    Order,
    StepBudget,
    Value,
)
from hub.market.errors import BadParameter, CallRefused
from hub.market.parameters import choice, read, whole
from hub.market.serving import AHEAD_SLOTS, Methods, fee_rule, serve
from messages.fuels import FUELS
from messages.orders import SALT_BYTES, Wish, commitment

COMMITMENT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class OrderRules:
    """What every contract with an order book can be told. [slots, utok]

    `without_order`: who placed none deals with the grid alone, or is taken to bid the price and to
    ask the feed-in price of the tariff for all that his meter shows, and so never does worse.
    """

    book: str = choice("open", "sealed")
    gate_slots: int = whole(1, 0, 96)
    orders_max: int = whole(4, 1, 64)
    without_order: str = choice("grid", "tariff")
    call_fee_utok: int = fee_rule()


class Resting(NamedTuple):
    """One order as it lies in memory; it counts in slots from `from_ms`, before `until_ms`."""

    order_id: str
    side: str
    energy_uwh: int | None
    price_utok_per_kwh: int
    from_ms: int
    until_ms: int | None
    sequence: int
    prefers: tuple[str, ...]
    fuels: tuple[str, ...]
    areas: tuple[str, ...]

    def counts_in(self, slot_ms: int) -> bool:
        """Whether it counts in a slot."""
        return self.from_ms <= slot_ms and (self.until_ms is None or slot_ms < self.until_ms)


class Sealed(NamedTuple):
    """A commitment that waits to be revealed."""

    order_id: str
    slot_ms: int
    commitment: bytes
    sequence: int


def rules_of(contract: Contract, parameters: Mapping[str, Value]) -> OrderRules | None:
    """Return the rules of a contract's order book, None if it keeps none; raises BadParameter.

    A contract with a book says so by `order_rules`, the class of its rules.
    """
    kind: type[OrderRules] | None = getattr(contract, "order_rules", None)
    return None if kind is None else read(contract.name, kind, parameters)


class Laid(NamedTuple):
    """An order, or a commitment to one, as it waits in the book.

    `until_ms` None: until it is withdrawn. Of what is SEALED nothing else is known. `alias`: what
    others are shown in place of the member, whatever may be shown of him. [ms UTC]
    """

    member: str
    order_id: str
    side: str
    energy_uwh: int | None
    price_utok_per_kwh: int | None
    from_ms: int
    until_ms: int | None
    alias: str = ""


def laid(memory: Mapping[str, Value]) -> Iterator[Laid]:
    """Yield what lies in a book, open orders first, by member and place."""
    for member, rows in _rows(memory, "order."):
        for row in map(Resting._make, rows):
            yield Laid(
                member,
                row.order_id,
                row.side,
                row.energy_uwh,
                row.price_utok_per_kwh,
                row.from_ms,
                row.until_ms,
            )
    for member, rows in _rows(memory, "sealed."):
        for order_id, slot_ms, *_ in map(Sealed._make, rows):
            yield Laid(member, order_id, SEALED, None, None, slot_ms, None)


def check_rules(name: str, rules: OrderRules) -> None:
    """Raise BadParameter where rules do not fit each other."""
    if rules.book == "sealed" and rules.gate_slots == 0:
        raise BadParameter(f"{name}: a sealed book needs gate_slots of 1 or more, to reveal in")


def order_call(
    name: str, rules: OrderRules, request: CallRequest, budget: StepBudget
) -> CallResult:
    """Serve a call to the book or raise CallRefused."""
    budget.spend(1 + rules.orders_max * AHEAD_SLOTS)
    return serve(name, _METHODS, rules, request, rules.call_fee_utok)


def resting(memory: Mapping[str, Value], slot_ms: int) -> Iterator[Order]:
    """Yield the orders that count in a slot, by member and place."""
    for member, rows in _rows(memory, "order."):
        for row in map(Resting._make, rows):
            if row.counts_in(slot_ms):
                yield Order(
                    member=member,
                    side=row.side,
                    energy_uwh=row.energy_uwh,
                    price_utok_per_kwh=row.price_utok_per_kwh,
                    sequence=row.sequence,
                    prefers=row.prefers,
                    fuels=row.fuels,
                    areas=row.areas,
                    order_id=row.order_id,
                )


def unrevealed(memory: Mapping[str, Value], slot_ms: int) -> Iterator[tuple[str, str]]:
    """Yield (member, order id) of each commitment to a slot that nobody revealed."""
    for member, rows in _rows(memory, "sealed."):
        for row in map(Sealed._make, rows):
            if row.slot_ms <= slot_ms:
                yield member, row.order_id


def spent(memory: Mapping[str, Value], slot_ms: int, length_ms: int) -> dict[str, Value]:
    """Return the rows of memory that change when a slot is over: what counted for it alone goes."""
    changed: dict[str, Value] = {}
    for member, rows in _rows(memory, "order."):
        kept = tuple(row for row in rows if row[5] is None or row[5] > slot_ms + length_ms)
        if len(kept) != len(rows):
            changed[f"order.{member}"] = kept or None
    for member, rows in _rows(memory, "sealed."):
        kept = tuple(row for row in rows if row[1] > slot_ms)
        if len(kept) != len(rows):
            changed[f"sealed.{member}"] = kept or None
    return changed


def left_behind(
    memory: Mapping[str, Value], counts_in: Callable[[int], bool], reason: str
) -> tuple[tuple[Fate, ...], dict[str, Value]]:
    """Return the fates of orders whose market ends before they could count, and the rows that go.

    Args:
        memory: of the market.
        counts_in: whether the market is in force in a slot; what stands for good is dropped.
        reason: what their members are told.
    """
    fates: list[Fate] = []
    changed: dict[str, Value] = {}
    for member, rows in _rows(memory, "order."):
        gone = [
            row
            for row in map(Resting._make, rows)
            if row.until_ms is None or not counts_in(row.from_ms)
        ]
        fates += [
            Fate(member, row.order_id, row.side, 0, row.price_utok_per_kwh, 0, reason)
            for row in gone
        ]
        changed |= _without(f"order.{member}", rows, gone)
    for member, rows in _rows(memory, "sealed."):
        unseen = [row for row in map(Sealed._make, rows) if not counts_in(row.slot_ms)]
        fates += [Fate(member, row.order_id, SEALED, 0, 0, 0, reason) for row in unseen]
        changed |= _without(f"sealed.{member}", rows, unseen)
    return tuple(fates), changed


def _without(key: str, rows: tuple[Any, ...], gone: Sequence[tuple[Any, ...]]) -> dict[str, Value]:
    kept = tuple(row for row in rows if row not in gone)
    return {key: kept or None} if gone else {}


def _rows(memory: Mapping[str, Value], prefix: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for key in memory:
        if key.startswith(prefix):
            rows: Any = memory[key]
            yield key.removeprefix(prefix), rows


class _Desk:
    """One call's own view of the book: the caller's rows and the slots that are open to him."""

    def __init__(self, rules: OrderRules, request: CallRequest) -> None:
        self.rules = rules
        self.request = request
        self.order_id = request.call_id.hex()
        self.first_open_ms = request.slot_ms + rules.gate_slots * request.length_ms
        self.orders = [Resting._make(row) for row in self._own("order.")]
        self.sealed = [Sealed._make(row) for row in self._own("sealed.")]

    def _own(self, prefix: str) -> Any:
        return self.request.memory.get(f"{prefix}{self.request.member}") or ()

    def slot(self, given: Arguments) -> int:
        """Return the slot a call speaks of, if its gate is open."""
        length_ms = self.request.length_ms
        slot_ms = given.whole("slot_ms", 0, 2**62)
        if slot_ms % length_ms:
            raise CallRefused(f"{slot_ms} is no slot's start")
        if slot_ms < self.first_open_ms:
            raise CallRefused(
                f"the gate of slot {slot_ms} is closed: the first open one is {self.first_open_ms}"
            )
        if slot_ms > self.first_open_ms + AHEAD_SLOTS * length_ms:
            raise CallRefused(f"an order may be placed {AHEAD_SLOTS} slots ahead, not more")
        return slot_ms

    def check_room(self, from_ms: int, until_ms: int | None) -> None:
        """Refuse more orders than a member may have in one slot."""
        starts = [from_ms, *(row.from_ms for row in self.orders), *(s.slot_ms for s in self.sealed)]
        for slot_ms in sorted(starts):
            if slot_ms < from_ms or (until_ms is not None and slot_ms >= until_ms):
                continue
            count = sum(row.counts_in(slot_ms) for row in self.orders)
            count += sum(row.slot_ms == slot_ms for row in self.sealed)
            if count >= self.rules.orders_max:
                raise CallRefused(f"you have {count} orders in slot {slot_ms}, no more are taken")

    def result(self, **answer: Value) -> CallResult:
        """Return the caller's rows as they are now."""
        member = self.request.member
        memory: dict[str, Value] = {}
        for prefix, rows in (("order.", self.orders), ("sealed.", self.sealed)):
            kept = tuple(tuple(row) for row in rows)
            if kept != tuple(map(tuple, self._own(prefix))):
                memory[f"{prefix}{member}"] = kept or None
        return CallResult((), memory, answer)


def _order(rules: OrderRules, request: CallRequest, given: Arguments) -> CallResult:
    desk = _Desk(rules, request)
    wish = _wish(desk.request, given)
    length_ms = desk.request.length_ms
    if given.has("slot_ms"):
        if desk.rules.book == "sealed":
            raise CallRefused("this book is sealed: commit to an order and reveal it later")
        from_ms = desk.slot(given)
        until_ms: int | None = from_ms + length_ms
    else:
        from_ms, until_ms = desk.first_open_ms, None
    desk.check_room(from_ms, until_ms)
    desk.orders.append(_resting(desk.order_id, wish, from_ms, until_ms, desk.request.sequence))
    return desk.result(order=desk.order_id, from_ms=from_ms, until_ms=until_ms)


def _withdraw(rules: OrderRules, request: CallRequest, given: Arguments) -> CallResult:
    desk = _Desk(rules, request)
    order_id = given.text("order")
    for place, row in enumerate(desk.orders):
        if row.order_id == order_id:
            until_ms = desk.first_open_ms
            if row.until_ms is not None and row.until_ms <= until_ms:
                raise CallRefused(f"the gate of slot {row.from_ms} is closed: the order stays")
            if row.from_ms >= until_ms:
                del desk.orders[place]
            else:
                desk.orders[place] = row._replace(until_ms=until_ms)
            return desk.result(order=order_id, until_ms=until_ms)
    raise CallRefused(f"you have no order {order_id}")


def _commit(rules: OrderRules, request: CallRequest, given: Arguments) -> CallResult:
    desk = _Desk(rules, request)
    if desk.rules.book != "sealed":
        raise CallRefused("this book is open: place the order as it is")
    slot_ms, sealed = desk.slot(given), given.raw("commitment")
    if len(sealed) != COMMITMENT_BYTES:
        raise CallRefused(f"a commitment has {COMMITMENT_BYTES} bytes, this one {len(sealed)}")
    desk.check_room(slot_ms, slot_ms + desk.request.length_ms)
    desk.sealed.append(Sealed(desk.order_id, slot_ms, sealed, desk.request.sequence))
    return desk.result(order=desk.order_id, reveal_from_ms=slot_ms)


def _reveal(rules: OrderRules, request: CallRequest, given: Arguments) -> CallResult:
    desk = _Desk(rules, request)
    order_id, salt = given.text("order"), given.raw("salt")
    found = [row for row in desk.sealed if row.order_id == order_id]
    if not found:
        raise CallRefused(f"you have no sealed order {order_id} to reveal")
    (row,) = found
    if row.slot_ms >= desk.first_open_ms:
        raise CallRefused(f"the gate of slot {row.slot_ms} is open: others could answer")
    wish = _wish(desk.request, given)
    if len(salt) not in SALT_BYTES:
        raise CallRefused(f"a salt has {SALT_BYTES.start} to {SALT_BYTES.stop - 1} bytes")
    if commitment(desk.request.member, row.slot_ms, wish, salt) != row.commitment:
        raise CallRefused(f"order {order_id} was committed to otherwise")
    until_ms = row.slot_ms + desk.request.length_ms
    desk.sealed.remove(row)
    desk.orders.append(_resting(order_id, wish, row.slot_ms, until_ms, row.sequence))
    return desk.result(order=order_id, from_ms=row.slot_ms, until_ms=until_ms)


def _wish(request: CallRequest, given: Arguments) -> Wish:
    low, high = request.tariff.floor_utok_per_kwh, request.tariff.cap_utok_per_kwh
    side = given.one_of("side", BID, ASK)
    wish = Wish(
        side=side,
        energy_uwh=given.whole("energy_uwh", 1, 10**18) if given.has("energy_uwh") else None,
        price_utok_per_kwh=given.whole("price_utok_per_kwh", low, high),
        prefers=given.names("prefers"),
        fuels=given.names("fuels"),
        areas=given.names("areas"),
    )
    if side == ASK and (wish.prefers or wish.fuels or wish.areas):
        raise CallRefused("an ask has no wishes: its buyers' do")
    for fuel in wish.fuels:
        if fuel not in FUELS:
            raise CallRefused(f"no fuel {fuel!r}: {', '.join(FUELS)}")
    return wish


def _resting(
    order_id: str, wish: Wish, from_ms: int, until_ms: int | None, sequence: int
) -> Resting:
    return Resting(
        order_id,
        wish.side,
        wish.energy_uwh,
        wish.price_utok_per_kwh,
        from_ms,
        until_ms,
        sequence,
        wish.prefers,
        wish.fuels,
        wish.areas,
    )


_METHODS: Final[Methods[OrderRules]] = {
    "order": _order,
    "withdraw": _withdraw,
    "commit": _commit,
    "reveal": _reveal,
}


class OrderBookContract:
    """What every contract with an order book does alike: judge its rules, and take orders."""

    name: ClassVar[str]
    order_rules: ClassVar[type[OrderRules]]

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        check_rules(self.name, read(self.name, self.order_rules, parameters))

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Place, withdraw, seal or reveal an order."""
        rules = read(self.name, self.order_rules, request.parameters)
        return order_call(self.name, rules, request, budget)
