"""A market contract with its memory and everybody's accounts, as the fold keeps them."""

from __future__ import annotations

from typing import Any

from hub.core.clearing import check_clearing, check_transfer
from hub.core.memory import check_memory
from hub.core.settlement import settlement
from hub.market.catalog import CONTRACTS
from hub.market.checks import Checks
from hub.market.contract import (
    CallRequest,
    CallResult,
    Clearing,
    Position,
    Site,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
)

KWH = 1_000_000_000
SLOT_MS = 3_600_000
TARIFF = Tariff(300_000, 100_000)


class SchemeMarket:
    """Slots of an hour, one after the other; `checks` are those of the last one."""

    checks: Checks

    def __init__(self, name: str, sites: dict[str, Site] | None = None, **parameters: Any) -> None:
        self.contract = CONTRACTS[name]()
        self.contract.check(parameters)
        self.parameters = parameters
        self.sites = sites or {}
        self.memory: dict[str, Value] = {}
        self.balances: dict[str, int] = {}
        self.members: dict[str, bool] = {}
        self.slot_ms = 0
        self.calls = 0

    def call(self, caller: str, method: str, /, *roles: str, **arguments: Any) -> CallResult:
        self.calls += 1
        request = CallRequest(
            caller,
            self.calls.to_bytes(8, "big"),
            method,
            arguments,
            self.slot_ms,
            self.memory,
            SLOT_MS,
            self.calls,
            roles,
            self.parameters,
            TARIFF,
            self.balances,
        )
        result = self.contract.call(request, StepBudget())
        check_memory(self.memory, result.memory)
        for move in result.transfers:
            check_transfer(move, self.members)
            self._book(move.payer, -move.amount_utok)
            self._book(move.payee, move.amount_utok)
        self._keep(result)
        return result

    def clear(self, tariff: Tariff = TARIFF, **kwh: float) -> Clearing:
        """Settle the next slot; energy of each member, above 0 is made. [kWh]"""
        positions = tuple(
            Position(name, name, name, max(uwh, 0), max(-uwh, 0))
            for name, uwh in sorted((name, round(net * KWH)) for name, net in kwh.items())
        )
        self.members |= dict.fromkeys(kwh, True)
        book = SlotBook(
            self.slot_ms,
            SLOT_MS,
            positions,
            tariff,
            self.parameters,
            dict(self.memory),
            (),
            self.sites,
            dict(self.balances),
        )
        clearing = self.contract.clear(book, StepBudget())
        check_clearing(book, clearing)
        settled = settlement(book, clearing)
        self.checks = settled.checks
        for line in settled.lines:
            self._book(line.account, line.amount_utok)
        assert self.checks.energy_conserved
        assert sum(self.balances.values()) == 0
        self._keep(clearing)
        self.slot_ms += SLOT_MS
        return clearing

    def _book(self, account: str, amount_utok: int) -> None:
        self.balances[account] = self.balances.get(account, 0) + amount_utok

    def _keep(self, result: CallResult | Clearing) -> None:
        self.memory.update(result.memory)
        self.memory = {key: value for key, value in self.memory.items() if value is not None}


def sales(clearing: Clearing) -> list[tuple[str, str, float]]:
    """Return who sold what to whom. [kWh]"""
    return [(m.seller, m.buyer, m.energy_uwh / KWH) for m in clearing.matches]


def reasons(clearing: Clearing) -> dict[str, str]:
    """Return what each member was told, where it was something."""
    return {fate.member: fate.reason for fate in clearing.fates if fate.reason}
