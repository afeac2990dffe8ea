"""Random disputes, answers and rulings, in and out of order: no micro-token is lost or paid twice.

A model beside the fold keeps what each dispute holds, by the rules as the docs tell them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.effects import CallFailed, DisputeMoved, Effect
from messages.disputes import DisputeRules
from tests.support.court import Court
from tests.support.village import HOUR, KWH

ACTS = st.one_of(
    st.tuples(st.just("trade"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("dispute"), st.integers(0, 30), st.integers(-1, 700_000)),
    st.tuples(st.just("rule"), st.integers(0, 5), st.integers(-1, 700_000)),
    st.tuples(st.just("concede"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("withdraw"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("answer"), st.integers(0, 5), st.just(0)),
)
RULINGS = ("uphold", "dismiss", "split")


@dataclass
class Played:
    """A court, and what was seen of its disputes."""

    court: Court
    slot: int = 0
    opened: dict[int, int] = field(default_factory=dict)  # number -> amount
    ended: dict[int, int] = field(default_factory=dict)  # number -> what the claimant got
    moved_utok: dict[str, int] = field(default_factory=dict)  # account -> by disputes alone
    settled_utok: dict[str, int] = field(default_factory=dict)

    def act(self, what: str, which: int, amount: int) -> None:
        court = self.court
        signers = {"ann": court.ann, "bob": court.bob}
        if what == "trade":
            self.trade(which, amount)
        elif what == "dispute" and court.lines:
            line = court.lines[which % len(court.lines)]
            if line.line.account in signers:
                self.see(court.dispute(signers[line.line.account], line, amount))
        elif self.opened:
            number = sorted(self.opened)[which % len(self.opened)]
            if what == "rule":
                self.see(court.rule(court.rita, number, RULINGS[which % 3], max(amount, 0)))
            else:
                for signer in signers.values():
                    self.see(court.ask(signer, what, dispute=number))

    def trade(self, sold: int, bought: int) -> None:
        start = len(self.court.entries)
        self.court.read("ann-pv", self.slot + 1, exported=sold * KWH + self._reached("ann-pv"))
        self.court.read(
            "bob-load", self.slot + 1, imported=bought * KWH + self._reached("bob-load")
        )
        effects = self.court.close(self.slot)
        self.slot += 1
        self.see(effects)
        for effect in effects:
            if isinstance(effect, DisputeMoved):
                continue
            for line in getattr(effect, "lines", ()):
                self._book(self.settled_utok, line.account, line.amount_utok)
        assert len(self.court.entries) == start + 3

    def _reached(self, meter_id: str) -> int:
        cursor = self.court.state.cursors[meter_id]
        return (cursor.export_uwh if meter_id == "ann-pv" else cursor.import_uwh) or 0

    def see(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, CallFailed):
                assert effect.reason
            if not isinstance(effect, DisputeMoved):
                continue
            assert sum(line.amount_utok for line in effect.lines) == 0
            for line in effect.lines:
                self._book(self.moved_utok, line.account, line.amount_utok)
            if effect.event == "held":
                assert effect.dispute not in self.opened
                self.opened[effect.dispute] = effect.amount_utok
            elif effect.event != "answered":
                assert effect.dispute not in self.ended  # nothing is paid twice
                assert 0 <= effect.to_claimant_utok <= self.opened[effect.dispute]
                self.ended[effect.dispute] = effect.to_claimant_utok
        self.check()

    @staticmethod
    def _book(book: dict[str, int], account: str, amount_utok: int) -> None:
        book[account] = book.get(account, 0) + amount_utok

    def check(self) -> None:
        state = self.court.state
        assert sum(state.accounts.values()) == 0
        held = {number: row.amount_utok for number, row in state.disputes.items()}
        assert held == {n: a for n, a in self.opened.items() if n not in self.ended}
        assert self.court.held_utok == sum(held.values())

    def check_accounts(self) -> None:
        """Every account holds what was settled, and what disputes moved, and nothing else."""
        for account, found in self.court.state.accounts.items():
            due = self.settled_utok.get(account, 0) + self.moved_utok.get(account, 0)
            assert found == due, account


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=40), st.sampled_from(("dismiss", "uphold", "halve")))
def test_money_is_conserved(acts: list[tuple[str, int, int]], unruled: str) -> None:
    played = Played(Court(disputes=DisputeRules(3, 2, unruled)))
    played.trade(3, 2)
    for act in acts:
        played.act(*act)
    played.check_accounts()
    court = played.court
    assert court.replay().root() == court.state.root()
    for _ in range(4):  # nobody rules any more: all of it ends by itself
        played.trade(0, 0)
    assert court.state.disputes == {}
    assert court.held_utok == 0
    assert set(played.ended) == set(played.opened)
    assert court.state.progress.next_slot_ms == played.slot * HOUR
