"""Random deposits, payouts, slots and policies under every contract: no micro-token leaks.

A model beside the fold keeps what the bank minted and burned, and what each member asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.effects import CallServed
from hub.market.catalog import CONTRACTS
from hub.market.contract import BANK
from keys.file import FileSigner
from messages.banking import BankRules
from tests.support.village import HOUR, KWH, Village, settled

AMOUNTS = st.one_of(st.integers(-1, 12), st.integers(0, 10**16))
WHO = st.sampled_from(("ann", "bob", "bank"))
ACTS = st.one_of(
    st.tuples(st.just("deposit"), WHO, AMOUNTS),
    st.tuples(st.just("payout"), WHO, AMOUNTS),
    st.tuples(st.just("withdraw"), WHO, st.just(0)),
    st.tuples(st.just("close"), WHO, st.integers(0, 5)),
)
RULES = st.builds(
    BankRules,
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(4, 10**15),
    st.integers(1, 10**15),
    st.integers(1, 10**15),
)

COINS = ("generation_coin", "local_coin", "green_forecast")
"""Markets that mint besides; what circulates there is not the bank's deposits alone."""


@dataclass
class Played:
    """A village with a bank, and what its bank has to have done."""

    village: Village
    rules: BankRules
    mints_coins: bool
    slot: int = 0
    calls: int = 0
    minted_utok: int = 0
    burned_utok: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=lambda: {"ann-pv": 0, "bob-load": 0})
    people: dict[str, FileSigner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people = {
            name: self.village.person(name, *roles)
            for name, roles in (("ann", ()), ("bob", ()), ("bank", ("bank",)))
        }
        self.village.meter("ann-pv", "ann", "generation")
        self.village.meter("bob-load", "bob", "consumption")
        self.village.read("ann-pv", 0, exported=0)
        self.village.read("bob-load", 0, imported=0)
        self.close(0)

    def balance(self, account: str) -> int:
        return self.village.state.accounts.get(account, 0)

    def act(self, what: str, who: str, amount: int) -> None:
        if what == "close":
            self.close(amount)
        elif what == "deposit":
            if self.serve(self.people["bank"], what, member=who, amount_utok=amount):
                self.minted_utok += amount
        elif what == "payout":
            before = self.balance(who)
            if self.serve(self.people[who], what, amount_utok=amount):
                assert amount <= before
                self.asked[who] = amount
        elif self.serve(self.people[who], what):
            del self.asked[who]
        self.check()

    def serve(self, signer: FileSigner, method: str, **arguments: Any) -> bool:
        self.calls += 1
        (effect,) = self.village.call(
            signer,
            self.calls.to_bytes(16, "big"),
            not_after_slot_ms=(self.slot + 1) * HOUR,
            contract="bank",
            method=method,
            arguments=arguments,
        )
        return isinstance(effect, CallServed)

    def close(self, energy_kwh: int) -> None:
        for meter, key in (("ann-pv", "exported"), ("bob-load", "imported")):
            self.totals[meter] += energy_kwh * KWH
            self.village.read(meter, self.slot + 1, **{key: self.totals[meter]})
        lines = settled(self.village.close(self.slot)).lines
        assert sum(line.amount_utok for line in lines) == 0
        paid = {x.account: -x.amount_utok for x in lines if x.quality == "payout"}
        self.burned_utok -= paid.pop(BANK, 0)
        for member, amount in paid.items():
            assert (self.slot + 1) % self.rules.payout_slots == 0
            assert 0 < amount <= min(self.asked[member], self.rules.payout_max_utok)
            self.asked[member] -= amount
        self.asked = {member: left for member, left in self.asked.items() if left}
        self.slot += 1

    def check(self) -> None:
        state = self.village.state
        assert sum(state.accounts.values()) == 0
        assert state.payouts == self.asked
        if self.mints_coins:
            return
        circulates = self.minted_utok - self.burned_utok
        assert self.balance(BANK) == -circulates
        assert circulates <= self.rules.circulating_max_utok


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTS, max_size=30), RULES, st.sampled_from(sorted(CONTRACTS)))
def test_the_bank_owes_just_what_circulates(
    acts: list[tuple[str, str, int]], rules: BankRules, contract: str
) -> None:
    played = Played(Village(contract=contract, bank=rules), rules, contract in COINS)
    for act in acts:
        played.act(*act)
    assert played.village.replay().root() == played.village.state.root()
