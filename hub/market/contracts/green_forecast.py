"""GruenStromJeton: coins for consuming when energy is expected to be green.

Paper 003, section VIII.G: it "takes into consideration consumed energy instead of generated energy.
It then predicts the relative amount of energy to be generated in the coming 36 hours and the amount
the user will consume out this. The higher this prediction, the more Jetons are given".

A service signs the green share of each of the next 36 hours. At their start each member gets coins
for that share of what he is expected to use: what he used in the same hour of the last day. Truing
up is ours: when they are over, coins are minted or burned until they are for what his registers
showed. So a forecast gives early, and nothing that is not true. Energy itself is shared at one
price (`hub.market.sharing`).

    forecast slot_ms, percents  36 green shares, "40, 35, ..."; a key with the office of service

Memory: "forecast", "use.<member>" (24 hours of the day, uWh), "jetons.<member>" (given, earned).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    BANK,
    CallRequest,
    CallResult,
    Clearing,
    Position,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.parameters import listed, read, whole
from hub.market.rest import with_grid
from hub.market.rounding import KWH_UWH
from hub.market.serving import Methods, check_office, serve, slot_ahead
from hub.market.sharing import PriceRules, deficits, shared, surpluses, told

HOURS: Final = 36
HOUR_MS: Final = 3_600_000
_KEY: Final = "forecast"


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """What a green kWh earns. [utok]"""

    jeton_utok: int = whole(10_000, 0, 10**8)

    def earned_utok(self, green_percent_uwh: int) -> int:
        """Return the coins for energy times its green share, rounded down. [% uWh]"""
        return green_percent_uwh * self.jeton_utok // (100 * KWH_UWH)


class Forecast(NamedTuple):
    """The green shares of 36 hours. [%]"""

    from_ms: int
    percents: tuple[int, ...]

    @property
    def until_ms(self) -> int:
        """The end of the last hour."""
        return self.from_ms + HOURS * HOUR_MS

    def expected(self, use_uwh: Sequence[int]) -> int:
        """Return green energy expected of who uses so much in each hour of the day. [% uWh]"""
        first = self.from_ms // HOUR_MS
        return sum(
            percent * use_uwh[(first + hour) % 24] for hour, percent in enumerate(self.percents)
        )


class GreenForecast:
    """Coins by forecast, trued up by registers."""

    name: ClassVar[str] = "green_forecast"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Share energy; grant, count and true up coins."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend((6 + HOURS) * len(book.positions))
        price = rules.price_utok_per_kwh(book.tariff)
        matches = shared(surpluses(book), deficits(book), price, budget)
        coins = _Coins(rules, book, _forecast(book.memory))
        coins.count()
        return with_grid(
            book,
            matches,
            transfers=tuple(coins.transfers),
            memory=coins.memory,
            fates=told(book, matches, {}),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Take a forecast."""
        budget.spend(HOURS)
        rules = read(self.name, Rules, request.parameters)
        return serve(self.name, _METHODS, rules, request)


@dataclass(slots=True)
class _Coins:
    """What one slot does to everybody's coins."""

    rules: Rules
    book: SlotBook
    forecast: Forecast | None
    transfers: list[Transfer] = field(default_factory=list)
    memory: dict[str, Value] = field(default_factory=dict)

    def count(self) -> None:
        """Grant when the forecast begins, count while it runs, true up when it ends."""
        running, slot_ms = self.forecast, self.book.slot_ms
        if running is not None and slot_ms < running.from_ms:
            running = None
        for p in self.book.positions:
            use = self._use(p)
            if running is not None:
                self._count(p, running, use)
            self.memory[f"use.{p.member}"] = self._with(p, use)
        if running is not None and slot_ms + self.book.length_ms >= running.until_ms:
            self.memory[_KEY] = None

    def _count(self, position: Position, running: Forecast, use: Sequence[int]) -> None:
        key = f"jetons.{position.member}"
        row: Any = self.book.memory.get(key)
        if row is None:
            given = 0
            if self.book.slot_ms == running.from_ms:
                given = self.rules.earned_utok(running.expected(use))
                self._move(position.member, given, "coins for what is expected to be green")
            row = (given, 0)
        given, green = row
        hour = (self.book.slot_ms - running.from_ms) // HOUR_MS
        green += running.percents[min(hour, HOURS - 1)] * position.consumed_uwh
        self.memory[key] = (given, green)
        if self.book.slot_ms + self.book.length_ms >= running.until_ms:
            lacks = self.rules.earned_utok(green) - given
            self._move(position.member, lacks, "coins trued up by the registers")
            self.memory[key] = None

    def _move(self, member: str, amount_utok: int, reason: str) -> None:
        if amount_utok > 0:
            self.transfers.append(Transfer(BANK, member, amount_utok, reason))
        elif amount_utok < 0:
            self.transfers.append(Transfer(member, BANK, -amount_utok, reason))

    def _use(self, position: Position) -> tuple[int, ...]:
        row: Any = self.book.memory.get(f"use.{position.member}")
        return row or (0,) * 24

    def _with(self, position: Position, use: Sequence[int]) -> tuple[int, ...]:
        """Return the hours of the day with this slot in its own; its first slot begins it anew."""
        hour = self.book.slot_ms // HOUR_MS % 24
        before = 0 if self.book.slot_ms % HOUR_MS < self.book.length_ms else use[hour]
        return (*use[:hour], before + position.consumed_uwh, *use[hour + 1 :])


def _take_forecast(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    check_office(request, "service")
    slot_ms, texts = slot_ahead(request, given), listed(given.text("percents"))
    shown = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= 3]
    if len(texts) != HOURS or len(shown) != HOURS or max(shown) > 100:
        raise CallRefused(f"percents are {HOURS} whole numbers from 0 to 100, one an hour")
    running = _forecast(request.memory)
    if running is not None:
        raise CallRefused(f"a forecast runs until {running.until_ms}: the next one comes after it")
    return CallResult((), {_KEY: (slot_ms, tuple(shown))}, {"from_ms": slot_ms})


_METHODS: Final[Methods[Rules]] = {"forecast": _take_forecast}


def _forecast(memory: Mapping[str, Value]) -> Forecast | None:
    row: Any = memory.get(_KEY)
    return Forecast(*row) if row else None
