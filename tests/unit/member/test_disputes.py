"""gridtally-verify bill: statements with disputes and prices from a feed, whole and changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.statements.files import write_statement
from member.bill import check_bill
from member.disputing import Disputes
from member.errors import Refused
from member.feeding import Told, fed_prices
from member.heads import Verdict, anchor_of
from member.settling import Prices
from messages.disputes import DisputeRules
from messages.errors import BadProof
from messages.feeding import Feed, FeedRule
from messages.statement import DisputeRow, Line, Statement, format_statement
from tests.support.court import Court, moved
from tests.support.village import HOUR, expect_effect
from tests.support.village_ledger import statement_of

RULE = FeedRule("price", "meteo", 2 * HOUR, 100_000, 500_000, 400_000)


class Story(Court):
    """Six hours with disputes of every end; the price comes from a feed while it is fresh."""

    def __init__(self) -> None:
        super().__init__(signed=True, disputes=DisputeRules(3, 2, "halve"), feeds=(RULE,))
        self.meteo = self.feeder("meteo", price="utok_per_kwh")
        feed = Feed("price", 1, 0, 250_000, "utok_per_kwh", 9 * HOUR)
        expect_effect(self.put(self.meteo, feed))
        self.hour(0)
        first = self.sue(0, 100_001)
        self.ask(self.ann, "answer", dispute=first)
        self.hour(1)
        self.rule(self.rita, first, "split", 40_000)
        self.ask(self.ann, "concede", dispute=self.sue(1, 5))
        self.hour(2)
        self.rule(self.rita, self.sue(2, 7), "dismiss")
        self.sue(2, 9, who="ann")  # nobody rules on it
        expect_effect(self.put(self.meteo, replace(feed, sequence=2, at_ms=4 * HOUR, value=10**6)))
        for slot in range(3, 6):
            self.hour(slot)
        self.sue(5, 11)  # open at the end

    def hour(self, slot: int) -> None:
        self.trade(slot)
        expect_effect(self.header())

    def sue(self, slot: int, amount_utok: int, who: str = "bob") -> int:
        signer, kind = (self.bob, "purchase") if who == "bob" else (self.ann, "sale")
        return moved(self.dispute(signer, self.line(who, slot, kind), amount_utok)).dispute


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Statement, Path]]:
    story, found = Story(), {}
    for account in ("ann", "bob", "@held", "@grid"):
        folder = tmp_path_factory.mktemp("held")
        found[account] = (statement_of(story, folder, account), folder)
    return found


def check(statement: Statement, folder: Path) -> Verdict:
    trust = (folder / "trust.toml").read_text()
    return check_bill(format_statement(statement), anchor_of(trust, None, 0, None))


Told_ = dict[str, tuple[Statement, Path]]


@pytest.mark.parametrize("account", ["ann", "bob", "@held", "@grid"])
def test_every_account_s_statement_holds(told: Told_, account: str) -> None:
    verdict = check(*told[account])
    assert verdict.facts["closing_utok"] == told[account][0].closing_utok


def test_both_parties_and_the_account_are_told_every_step(told: Told_) -> None:
    steps = {
        account: [
            (row.event, row.dispute)
            for block in statement.blocks
            for booked in block.booked
            if (row := booked.dispute) is not None
        ]
        for account, (statement, _) in told.items()
    }
    words = {name: " ".join(event for event, _ in found) for name, found in steps.items()}
    assert words["bob"] == "held answered split held upheld held dismissed"
    assert words["ann"] == f"{words['bob']} held split"
    assert words["@grid"] == "held split"  # what was left of her sun went there
    assert words["@held"] == words["ann"].replace("answered ", "")
    assert steps["ann"][:7] == steps["bob"]
    assert told["@held"][0].closing_utok == 0  # the last one stands after the last close
    assert check(*told["bob"]).facts["disputes"] == 3


def test_a_line_number_and_a_sentence_for_people(told: Told_, tmp_path: Path) -> None:
    statement, _ = told["bob"]
    for name in ("bob.csv", "bob.pdf", "bob.json"):
        write_statement(statement, tmp_path / name)
    rows = [line.split(",") for line in (tmp_path / "bob.csv").read_text().splitlines()]
    place = {name: rows[0].index(name) for name in ("line", "kind", "quality", "dispute")}
    assert [row[place["line"]] for row in rows[1:] if row[place["kind"]] == "purchase"] == ["1"] * 6
    began = next(row for row in rows if row[place["quality"]] == "held")
    assert "over line 1 of 1970-01-01T00:00Z" in began[place["dispute"]]
    assert (tmp_path / "bob.pdf").read_bytes().startswith(b"%PDF")


def test_the_price_s_entry_is_named_while_it_counts(told: Told_) -> None:
    statement, _ = told["bob"]
    prices = [block.slot.price_utok_per_kwh for block in statement.blocks]
    assert prices == [250_000] * 3 + [400_000] + [500_000] * 2  # fed, fallback, at the cap
    assert [len(block.facts) for block in statement.blocks] == [1, 1, 1, 0, 1, 1]


def test_a_fact_left_out_shows(told: Told_) -> None:
    statement, folder = told["bob"]
    blocks = (replace(statement.blocks[0], facts=()), *statement.blocks[1:])
    with pytest.raises(Refused, match="the policy sets"):
        check(replace(statement, blocks=blocks), folder)


def test_a_step_left_out_shows(told: Told_) -> None:
    for account in ("ann", "bob", "@held"):
        statement, folder = told[account]
        for number, block in enumerate(statement.blocks):
            for place, booked in enumerate(block.booked):
                if booked.row is None or not booked.row.lines:
                    continue
                left = block.booked[:place] + block.booked[place + 1 :]
                changed = (
                    *statement.blocks[:number],
                    replace(block, booked=left),
                    *statement.blocks[number + 1 :],
                )
                with pytest.raises(BadProof, match="the results of block"):
                    check(replace(statement, blocks=changed), folder)


# --- one step by itself

OPENED = DisputeRow(7, 7, "bob", "held", "bob", "ann", 0, 1, 10, 0, ())
ENDED = replace(
    OPENED,
    index=9,
    event="split",
    to_claimant_utok=4,
    lines=(Line("bob", "transfer", "@held", 0, 0, 4, "split"),),
)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (replace(ENDED, account="carl"), "is of others"),
        (replace(ENDED, event="won"), "no step 'won'"),
        (replace(ENDED, amount_utok=0), "no step"),
        (replace(ENDED, to_claimant_utok=5), "its lines do not follow"),
        (replace(ENDED, to_claimant_utok=10), "10 of 10 utok for the claimant"),
        (replace(ENDED, event="upheld"), "was upheld, with 4 of 10"),
        (replace(ENDED, event="dismissed"), "was dismissed, with 4 of 10"),
        (replace(ENDED, lines=()), "its lines do not follow"),
        (replace(ENDED, lines=ENDED.lines * 2), "its lines do not follow"),
        (replace(ENDED, slot_ms=5), "is told in two ways"),
        (replace(ENDED, amount_utok=11), "is told in two ways"),
        (OPENED, "begins twice"),
        (replace(OPENED, dispute=8), "begins twice"),
    ],
)
def test_a_step_that_does_not_follow(row: DisputeRow, said: str) -> None:
    disputes = Disputes("bob")
    disputes.take(OPENED)
    with pytest.raises(Refused, match=said):
        disputes.take(row)


def test_nothing_follows_an_end() -> None:
    disputes = Disputes("bob")
    disputes.take(OPENED)
    disputes.take(ENDED)
    with pytest.raises(Refused, match="goes on after its end"):
        disputes.take(ENDED)
    assert (disputes.told, disputes.open) == (1, {})


FEED = Feed("price", 1, 0, 250_000, "utok_per_kwh", 5)
CHANGES: list[tuple[Callable[[Feed], Feed], str, str]] = [
    (lambda feed: feed, "sun", "takes no price from sun"),
    (lambda feed: replace(feed, fact="feed_in"), "meteo", "takes no feed_in"),
    (lambda feed: replace(feed, fact="co2"), "meteo", "takes no co2"),
    (lambda feed: replace(feed, unit="EUR"), "meteo", "told in EUR"),
    (lambda feed: replace(feed, at_ms=3), "meteo", "does not count"),
    (lambda feed: replace(feed, valid_until_ms=2), "meteo", "does not count"),
]


@pytest.mark.parametrize(("change", "feeder", "said"), CHANGES)
def test_a_fact_that_does_not_count(change: Any, feeder: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        fed_prices((RULE,), Prices(1, 2), [Told(change(FEED), feeder)], 2)


def test_a_fact_counts_once_and_not_for_ever() -> None:
    assert fed_prices((RULE,), Prices(1, 2), [Told(FEED, "meteo")], 2) == Prices(250_000, 2)
    assert fed_prices((), Prices(1, 2), [], 2) == Prices(1, 2)
    assert fed_prices((replace(RULE, fallback=None),), Prices(1, 2), [], 2) == Prices(1, 2)
    with pytest.raises(Refused, match="takes no price"):
        fed_prices((RULE,), Prices(1, 2), [Told(FEED, "meteo")] * 2, 2)
    old = replace(FEED, valid_until_ms=9 * HOUR)
    with pytest.raises(Refused, match="does not count"):
        fed_prices((RULE,), Prices(1, 2), [Told(old, "meteo")], 2 * HOUR + 1)
