"""A village with an order book, whose members call it: ann sells, bob buys."""

from __future__ import annotations

from typing import Any

from hub.core.effects import CallFailed, CallServed, SlotSettled
from keys.file import FileSigner
from tests.support.village import KWH, Village, settled


class Market:
    """A village whose ann makes 5 kWh an hour and whose bob uses 3."""

    def __init__(self, contract: str = "double_auction", **parameters: Any) -> None:
        self.village = Village(contract=contract, parameters=parameters)
        self.people = {name: self.village.person(name) for name in ("ann", "bob")}
        self.village.meter("ann-pv", "ann", "generation", fuel="solar", location="north (0, 0)")
        self.village.meter("bob-load", "bob", "consumption", location="north (30, 40)")
        self.village.read("ann-pv", 0, exported=0)
        self.village.read("bob-load", 0, imported=0)
        self.hour = 0
        self.contract = contract
        self.calls = 0

    def close(self) -> SlotSettled:
        self.hour += 1
        self.village.read("ann-pv", self.hour, exported=5 * KWH * self.hour)
        self.village.read("bob-load", self.hour, imported=3 * KWH * self.hour)
        return settled(self.village.close(self.hour - 1))

    def call(self, who: str, method: str, **arguments: Any) -> CallServed | CallFailed:
        self.calls += 1
        signer: FileSigner = self.people[who]
        (effect,) = self.village.call(
            signer,
            contract=self.contract,
            method=method,
            arguments=arguments,
            call_id=self.calls.to_bytes(16, "big"),
        )
        assert isinstance(effect, CallServed | CallFailed)
        return effect


def order_id(number: int) -> str:
    return number.to_bytes(16, "big").hex()
