"""What a contract sees of one slot after the other: positions, orders, memory, balances, calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from hub.core.clearing import Contracts
from hub.core.effects import Line
from hub.core.money import transfer
from hub.market.contract import (
    CallRequest,
    CallResult,
    Contract,
    Order,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
)
from hub.market.errors import CallRefused, MarketError
from testbed.compare.community import Community, firm_orders, standing_orders
from testbed.compare.forecasting import expected
from testbed.compare.ledgersize import call_bytes
from testbed.compare.playing import OPEN_CALLS, PLAYS, Asked, Settings
from testbed.compare.tally import Tally
from testbed.compare.tariff import Prices

COMMITMENT = bytes(32)
SALT = bytes(16)
"""As long as real ones: for weighing."""


class Sheets:
    """Makes the book of each slot, and keeps between them what a ledger's state would keep."""

    def __init__(
        self, community: Community, prices: Prices, settings: Settings, contracts: Contracts
    ) -> None:
        self._community = community
        self._prices = prices
        self._settings = settings
        found = contracts.get(settings.contract)
        self._contract: Contract | None = found() if found else None
        self._memory: dict[str, Value] = {}
        self._standing: dict[str, Order] = {}
        self._balances = dict.fromkeys(community.members, settings.purse_utok)
        self.calls = 0
        self.calls_bytes = 0
        self._takes_orders = self._accepts_an_order()

    def at(self, slot: int) -> SlotBook:
        """Return what the contract sees of a slot."""
        community = self._community
        positions = community.positions(slot)
        tariff = self._prices.at(community.at_ms(slot))
        wanted = self._orders(slot, positions, tariff)
        return SlotBook(
            slot_ms=community.at_ms(slot),
            length_ms=community.slot_ms,
            positions=positions,
            tariff=tariff,
            parameters=self._settings.parameters,
            memory=MappingProxyType(self._memory),
            orders=wanted,
            sites=community.sites,
            balances=MappingProxyType(self._balances),
        )

    def play(self, slot: int, tally: Tally) -> None:
        """Make the calls that members make before a slot; one that is refused is counted."""
        play = PLAYS.get(self._settings.contract)
        memory = MappingProxyType(self._memory)
        for asked in play(self._community, self._prices, slot, memory) if play else ():
            try:
                self._serve(slot, asked, tally)
            except MarketError as error:
                tally.refuse(str(error))

    def settle(self, changed: Mapping[str, Value], lines: Iterable[Line]) -> None:
        """Keep the rows that a contract changed, and what accounts hold, as the fold does."""
        for line in lines:
            held = self._balances.get(line.account, 0)
            self._balances[line.account] = held + line.amount_utok
        for key, value in changed.items():
            if value is None:
                self._memory.pop(key, None)
            else:
                self._memory[key] = value

    def _serve(self, slot: int, asked: Asked, tally: Tally) -> None:
        result = self._called(slot, asked)
        lines = [
            line
            for move in result.transfers
            for line in transfer(move.payer, move.payee, move.amount_utok, move.reason)
        ]
        tally.book(lines)
        self.settle(result.memory, lines)
        self._weigh(asked.method, asked.arguments)

    def _called(self, slot: int, asked: Asked) -> CallResult:
        """Call the contract; whatever it raises is a refusal, as on a hub."""
        if self._contract is None:
            raise AssertionError("nobody calls where there is no contract")
        try:
            return self._contract.call(self._request(slot, asked), StepBudget())
        except (MarketError, MemoryError):
            raise
        except Exception as error:
            raise CallRefused(f"the contract raised {type(error).__name__}") from error

    def _request(self, slot: int, asked: Asked) -> CallRequest:
        return CallRequest(
            member=asked.caller,
            call_id=self.calls.to_bytes(16, "big"),
            method=asked.method,
            arguments=asked.arguments,
            slot_ms=self._community.at_ms(slot),
            memory=MappingProxyType(self._memory),
            length_ms=self._community.slot_ms,
            sequence=self.calls,
            roles=asked.roles,
            parameters=self._settings.parameters,
            tariff=self._prices.at(self._community.at_ms(slot)),
            balances=MappingProxyType(self._balances),
        )

    def _accepts_an_order(self) -> bool:
        """Whether members would have to sign calls for what `at` puts into the book."""
        if self._contract is None:
            return False
        order: dict[str, Value] = {"side": "bid", "price_utok_per_kwh": 1}
        try:
            self._called(0, Asked("anybody", "order", order))
        except MarketError:
            return False
        return True

    def _orders(
        self, slot: int, positions: Sequence[Position], tariff: Tariff
    ) -> tuple[Order, ...]:
        """Return the orders that count in a slot, and weigh the calls that place them."""
        forecast, community = self._settings.forecast, self._community
        if forecast:
            wanted = firm_orders(community, expected(community, slot, forecast), tariff)
            for order in wanted:
                self._weigh_ahead(slot, order)
            return wanted
        wanted = standing_orders(community, positions, tariff)
        for order in wanted:
            if self._takes_orders and self._standing.get(order.order_id) != order:
                self._standing[order.order_id] = order
                price = order.price_utok_per_kwh
                self._weigh("order", {"side": order.side, "price_utok_per_kwh": price})
        return wanted

    def _weigh_ahead(self, slot: int, order: Order) -> None:
        """Weigh the call of an order for one slot, or two if it is sealed and revealed later."""
        method = OPEN_CALLS.get(self._settings.contract, {}).get(order.side)
        if method is not None:
            wish: dict[str, Value] = {
                "slot_ms": self._community.at_ms(slot),
                "energy_uwh": order.energy_uwh or 0,
                "price_utok_per_kwh": order.price_utok_per_kwh,
            }
            self._weigh(method, wish)
            return
        self._weigh("commit", {"slot_ms": self._community.at_ms(slot), "commitment": COMMITMENT})
        told: dict[str, Value] = {
            "order": SALT.hex(),
            "salt": SALT,
            "side": order.side,
            "energy_uwh": order.energy_uwh or 0,
            "price_utok_per_kwh": order.price_utok_per_kwh,
        }
        self._weigh("reveal", told)

    def _weigh(self, method: str, arguments: Mapping[str, Value]) -> None:
        plain = {
            key: value for key, value in arguments.items() if isinstance(value, int | str | bytes)
        }
        self.calls += 1
        self.calls_bytes += call_bytes(self._settings.contract, method, tuple(plain.items()))
