"""What a member does in a market, beside his own key: signs his calls, seals orders, reveals them.

How calls reach a hub is a `Counter`'s matter. An order that is sealed lies on the disk before its
commitment goes out, and with it every call that was signed for it: whatever dies in between, the
same bytes are handed in again, and count once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from keys.salts import Salts
from messages import cose
from messages.entries import Call, parse_as, sign_entry
from messages.orders import DUE, OVER, Argument, Market, SealedOrder, Wish, commitment
from messages.publickey import Signer

CALL_ID_BYTES: Final = 16
SALT_BYTES: Final = 32
SLOTS_VALID: Final = 2
"""How many slots a call counts for that names none: a stale one is refused."""

COMMITTED: Final = "committed"
REVEALED: Final = "revealed"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a call: `reason` "" if it was served, and then what the contract answered."""

    call_id: bytes
    reason: str = ""
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done for a sealed order: COMMITTED, REVEALED, or REFUSED and why."""

    order: SealedOrder
    done: str
    reason: str = ""

    @property
    def sentence(self) -> str:
        """Say it for a person."""
        reason = f": {self.reason}" if self.reason else ""
        return f"order {self.order.order_id} for slot {self.order.slot_ms}: {self.done}{reason}"


class Counter(Protocol):
    """A hub, as the member's program reaches it."""

    def market(self, slot_ms: int | None) -> Market:
        """Return the market of a slot, None: of the one that closes next."""

    def hand_in(self, raw: bytes, call_id: bytes) -> Told:
        """Hand in a signed call and wait for what becomes of it; the same bytes count once."""


class Trader:
    """Owns one member's dealings with one market."""

    def __init__(
        self, counter: Counter, signer: Signer, network_id: bytes, member: str, salts: Salts
    ) -> None:
        self._counter = counter
        self._signer = signer
        self._network_id = network_id
        self._member = member
        self._salts = salts

    @property
    def sealed(self) -> list[SealedOrder]:
        """The sealed orders that are not revealed yet, by slot."""
        return self._salts.kept(self._network_id, self._signer.public.kid)

    def is_sealed(self, told: Told) -> bool:
        """Whether an order that was placed is still to be revealed."""
        return told.call_id.hex() in {order.order_id for order in self.sealed}

    def slot_of(self, text: str, instant: Callable[[str], int]) -> int | None:
        """Return the slot that a person named, None: none; `next` is the first one still open."""
        if text != "next":
            return instant(text) if text else None
        return self._counter.market(None).first_open_ms

    def order(self, wish: Wish, slot_ms: int | None, fee_utok: int = 0) -> Told:
        """Place an order for a slot, None: until it is withdrawn. Its id is the call's, in hex.

        Where the book is sealed an order for one slot is committed to; `tend` reveals it.
        """
        market = self._counter.market(slot_ms)
        if market.book == "sealed" and slot_ms is not None:
            return self._seal(market, wish, slot_ms, fee_utok)
        arguments = {**wish.arguments(), **_fee(fee_utok)}
        if slot_ms is not None:
            arguments["slot_ms"] = slot_ms
        return self.call("order", arguments, market)

    def call(
        self, method: str, arguments: Mapping[str, Argument], market: Market | None = None
    ) -> Told:
        """Call the contract in force: in the slot that the arguments name, else in the next."""
        if market is None:
            named = arguments.get("slot_ms")
            market = self._counter.market(named if type(named) is int else None)
        until_ms = market.next_slot_ms + SLOTS_VALID * market.slot_ms
        call_id, raw = self._signed(market.contract, until_ms, method, arguments)
        return self._counter.hand_in(raw, call_id)

    def tend(self) -> list[Tended]:
        """Do what is due for each sealed order; return what was done.

        A commitment that may not have arrived is handed in again; once the gate is closed the order
        is revealed. One that is refused, or whose slot has closed, is forgotten.
        """
        kept = self.sealed
        now_ms = self._counter.market(None).next_slot_ms if kept else 0
        found = (self._tend(order, now_ms) for order in kept)
        return [each for each in found if each is not None]

    def stay(self, pause: Callable[[], None]) -> Iterator[Tended]:
        """Tend until no sealed order is left, with a pause between looks; yield what was done."""
        while self.sealed:
            yield from self.tend()
            pause()

    def _seal(self, market: Market, wish: Wish, slot_ms: int, fee_utok: int) -> Told:
        salt, gate_ms = secrets.token_bytes(SALT_BYTES), market.gate_ms(slot_ms)
        arguments: dict[str, Argument] = {
            "slot_ms": slot_ms,
            "commitment": commitment(self._member, slot_ms, wish, salt),
            **_fee(fee_utok),
        }
        call_id, raw = self._signed(market.contract, gate_ms, "commit", arguments)
        order = SealedOrder(
            network_id=self._network_id,
            kid=self._signer.public.kid,
            contract=market.contract,
            order_id=call_id.hex(),
            slot_ms=slot_ms,
            gate_ms=gate_ms,
            wish=wish,
            salt=salt,
            commit=raw,
            fee_utok=fee_utok,
        )
        self._salts.keep(order)
        return self._commit(order)

    def _commit(self, order: SealedOrder) -> Told:
        told = self._counter.hand_in(order.commit, bytes.fromhex(order.order_id))
        if told.reason:
            self._salts.forget(order)
        else:
            self._salts.keep(replace(order, is_committed=True))
        return told

    def _tend(self, order: SealedOrder, now_ms: int) -> Tended | None:
        standing = order.standing(now_ms)
        if standing == OVER:
            self._salts.forget(order)
            return Tended(order, REFUSED, "its slot closed before it was revealed")
        if standing == DUE:
            return self._reveal(order)
        if order.is_committed:
            return None
        told = self._commit(order)
        return Tended(order, REFUSED if told.reason else COMMITTED, told.reason)

    def _reveal(self, order: SealedOrder) -> Tended:
        if not order.reveal:
            arguments = order.reveal_arguments()
            _, raw = self._signed(order.contract, order.slot_ms, "reveal", arguments)
            order = replace(order, reveal=raw)
            self._salts.keep(order)
        told = self._counter.hand_in(order.reveal, call_id_of(order.reveal))
        self._salts.forget(order)
        return Tended(order, REFUSED if told.reason else REVEALED, told.reason)

    def _signed(
        self, contract: str, until_ms: int, method: str, arguments: Mapping[str, Argument]
    ) -> tuple[bytes, bytes]:
        call_id = secrets.token_bytes(CALL_ID_BYTES)
        call = Call(call_id, until_ms, contract, method, dict(arguments))
        return call_id, sign_entry(self._signer, call, self._network_id)


def read_arguments(words: Iterable[str]) -> dict[str, Argument]:
    """Return the arguments of a call that a person wrote as NAME=VALUE.

    Whole numbers are numbers, `true` and `false` truths, `hex:...` bytes; all else is text.

    >>> read_arguments(["energy_uwh=5000", "listing=7f", "salt=hex:6162"])
    {'energy_uwh': 5000, 'listing': '7f', 'salt': b'ab'}

    Raises:
        ValueError: a word is no NAME=VALUE, or a name comes twice.
    """
    found: dict[str, Argument] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals or name in found:
            raise ValueError(f"{word!r}: want NAME=VALUE, each name once")
        found[name] = _value(text)
    return found


def _value(text: str) -> Argument:
    if text in ("true", "false"):
        return text == "true"
    if text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    return bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text


def call_id_of(raw: bytes) -> bytes:
    """Return the id of a signed call."""
    return parse_as(Call, cose.parse(raw)).call_id


def _fee(fee_utok: int) -> dict[str, Argument]:
    return {"fee_utok": fee_utok} if fee_utok else {}
