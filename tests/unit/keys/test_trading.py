"""A member's program dies anywhere: no bid is lost, none counts twice, the clearing is the same."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from hub.core.effects import CallFailed, CallServed, SlotSettled
from hub.market.catalog import CONTRACTS
from hub.ordering.market import market_at
from keys.errors import KeyUnreadable
from keys.salts import Salts
from keys.trading import COMMITTED, REFUSED, REVEALED, Told, Trader, read_arguments
from messages import cose
from messages.entries import Call, parse_as
from messages.orders import Market as MarketOf
from messages.orders import SealedOrder, Wish
from tests.support.killing import Killed, Points
from tests.support.market import Market
from tests.support.village import HOUR

WISHES = {"ann": Wish("ask", None, 150_000), "bob": Wish("bid", 2_000_000, 250_000)}


class VillageCounter:
    """Hands calls to a fold; the same bytes count once, and their answer stays."""

    def __init__(self, market: Market, points: Points) -> None:
        self.market_ = market
        self.points = points
        self.told: dict[bytes, Told] = {}

    def market(self, slot_ms: int | None) -> MarketOf:
        return market_at(self.market_.village.state, CONTRACTS, slot_ms)

    def hand_in(self, raw: bytes, call_id: bytes) -> Told:
        self.points.reach("before a call arrives")
        if raw not in self.told:
            village, call = self.market_.village, parse_as(Call, cose.parse(raw))
            kid = cose.parse(raw).kid
            (signer,) = [s for s in self.market_.people.values() if s.public.kid == kid]
            (effect,) = village.put(signer, call)
            assert isinstance(effect, CallServed | CallFailed)
            reason = effect.reason if isinstance(effect, CallFailed) else ""
            self.told[raw] = Told(call_id, reason)
        self.points.reach("before its answer arrives")
        return self.told[raw]


class DyingSalts(Salts):
    """A disk at which the program dies before and after it wrote."""

    def __init__(self, folder: Path, points: Points) -> None:
        super().__init__(folder)
        self.points = points

    def keep(self, order: SealedOrder) -> None:
        self.points.reach("before a salt is kept")
        super().keep(order)
        self.points.reach("after a salt is kept")

    def forget(self, order: SealedOrder) -> None:
        self.points.reach("before a salt is forgotten")
        super().forget(order)


class Scene:
    """Ann and Bob, each with a program that may die, in a sealed market."""

    def __init__(self, folder: Path, die_at: int | None = None, **parameters: Any) -> None:
        self.market = Market(**({"book": "sealed"} | parameters))
        self.market.close()
        self.points = Points(die_at)
        self.counter = VillageCounter(self.market, self.points)
        self.folder = folder

    def trader(self, name: str) -> Trader:
        """The member's program, started anew."""
        salts = DyingSalts(self.folder, self.points)
        return Trader(self.counter, self.market.people[name], bytes(32), name, salts)

    def place(self, name: str) -> None:
        """What a person does: order, and after a crash look whether the order is there."""
        try:
            assert self.trader(name).order(WISHES[name], 2 * HOUR).reason == ""
        except Killed:
            self.tend(name)
            if not self.trader(name).sealed:
                self.place(name)

    def tend(self, name: str) -> None:
        try:
            self.trader(name).tend()
        except Killed:
            self.tend(name)

    def play(self) -> SlotSettled:
        for name in WISHES:
            self.place(name)
        self.market.close()
        for name in WISHES:
            self.tend(name)
        return self.market.close()


def told(slot: SlotSettled) -> list[Any]:
    return [
        (f.member, f.side, f.energy_uwh, f.price_utok_per_kwh, f.matched_uwh) for f in slot.fates
    ]


def test_killed_anywhere_the_clearing_is_the_same(tmp_path: Path) -> None:
    undisturbed = Scene(tmp_path / "0")
    wanted = undisturbed.play()
    assert [row.match.energy_uwh for row in wanted.matches] == [2_000_000]
    assert undisturbed.points.passed == 2 * 11
    for die_at in range(1, undisturbed.points.passed + 1):
        scene = Scene(tmp_path / str(die_at), die_at)
        slot = scene.play()
        assert scene.points.is_dead, die_at
        assert told(slot) == told(wanted), scene.points.where
        assert slot.matches == wanted.matches
        assert not list((tmp_path / str(die_at)).glob("*.sealed"))
        assert scene.market.village.state.memory == {}


def test_a_commitment_that_never_arrived_is_handed_in_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, die_at=2)
    with pytest.raises(Killed):
        scene.trader("ann").order(WISHES["ann"], 2 * HOUR)
    (done,) = scene.trader("ann").tend()
    assert (done.done, done.order.is_committed) == (COMMITTED, False)
    assert scene.trader("ann").tend() == []


def test_an_order_whose_slot_is_over_is_told_and_forgotten(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.trader("ann").order(WISHES["ann"], 2 * HOUR)
    scene.market.close()
    slot = scene.market.close()
    assert slot.fates[0].reason == "committed and not revealed in time"
    (done,) = scene.trader("ann").tend()
    assert (done.done, done.reason) == (REFUSED, "its slot closed before it was revealed")
    assert scene.trader("ann").sealed == []


def test_a_refused_commitment_is_forgotten_and_says_why(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    answer = scene.trader("ann").order(WISHES["ann"], HOUR)
    assert answer.reason.startswith("too late") or "gate" in answer.reason
    assert scene.trader("ann").sealed == []


def test_fees_are_paid_for_both_calls(tmp_path: Path) -> None:
    scene = Scene(tmp_path, call_fee_utok=5)
    assert scene.trader("ann").order(WISHES["ann"], 2 * HOUR, fee_utok=5).reason == ""
    scene.market.close()
    assert [done.done for done in scene.trader("ann").tend()] == [REVEALED]
    assert scene.market.village.state.accounts["@community"] == 10


def test_stay_ends_when_all_is_revealed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trader = scene.trader("bob")
    trader.order(WISHES["bob"], 2 * HOUR)
    done = [each.done for each in trader.stay(lambda: scene.market.close() and None)]
    assert done == [REVEALED]


def test_salts_are_for_their_owner_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "salts")
    scene.trader("ann").order(WISHES["ann"], 2 * HOUR)
    (path,) = (tmp_path / "salts").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert scene.trader("bob").sealed == []
    path.chmod(0o644)
    with pytest.raises(KeyUnreadable, match="lets others read the sealed order"):
        _ = scene.trader("ann").sealed
    path.chmod(0o600)
    path.write_bytes(b"\xa0")
    with pytest.raises(KeyUnreadable, match="no sealed order"):
        _ = scene.trader("ann").sealed


@pytest.mark.parametrize("word", ["", "member", "=5", "a=1 a=2"])
def test_arguments_that_are_none(word: str) -> None:
    with pytest.raises(ValueError, match="want NAME=VALUE"):
        read_arguments(word.split(" "))


def test_arguments() -> None:
    given = read_arguments(["a=-5", "b=true", "c=hex:00ff", "d=x=y", "e="])
    assert given == {"a": -5, "b": True, "c": b"\0\xff", "d": "x=y", "e": ""}
