"""The pieces of the page say what the picture holds; names stay text; unknown is never 0."""

from __future__ import annotations

from dataclasses import replace

from hub.feeds.showing import FactSeen
from hub.ordering.market import MarketView
from hub.web.page import (
    EVERYBODY,
    chart_options,
    charted,
    facts_html,
    head_html,
    ledger_html,
    market_html,
    slots_html,
    strip_html,
)
from hub.web.view import SlotTotalsView, WitnessView
from tests.support.pictures import LEDGER, member, meter, picture, slot

HOSTILE = "<b>&'\""


def test_simulation_is_said_loudly_and_only_then() -> None:
    assert "SIMULATION" in head_html(picture(simulation=True))
    assert "SIMULATION" not in head_html(picture())


def test_alarms_and_names_are_text() -> None:
    html = head_html(picture(microgrid=HOSTILE, alarms=(HOSTILE,), request=HOSTILE))

    assert HOSTILE not in html
    assert html.count("&lt;b&gt;") == 3


def test_ledger_head_says_verified_only_when_the_verifier_did() -> None:
    assert "verified 2 s ago, 12 of 12 entries" in ledger_html(LEDGER)
    pending = replace(LEDGER, verified=False, verified_age_ms=None, verified_size=3)
    assert "not verified yet, 3 of 12" in ledger_html(pending)
    wrong = ledger_html(replace(LEDGER, verified=False, finding="entry 7: bit flipped <"))
    assert "NOT VERIFIED: entry 7: bit flipped &lt;" in wrong
    assert 'class="ledger wrong"' in wrong


def test_one_machine_says_unwitnessed() -> None:
    assert "unwitnessed" in ledger_html(LEDGER)
    assert "unwitnessed" not in ledger_html(replace(LEDGER, witnessed=True))


def test_witnesses_are_named_with_what_they_cosigned_and_how_old_that_is() -> None:
    witnesses = (
        WitnessView("w.example/1", 11, 3, counts=True),
        WitnessView("<w2>", 0, None, counts=True),
        WitnessView("w.example/3", 12, 1, counts=False),
        WitnessView("r.example/1", 12, 1, counts=True, kind="replica"),
    )
    ledger = replace(LEDGER, witnessed=True, final_size=11, witnesses=witnesses)
    html = ledger_html(ledger)
    assert "final by quorum: 11 of 12 entries" in html
    assert "w.example/1 cosigned 11 entries 3 s ago," in html
    assert "&lt;w2&gt; never cosigned" in html
    assert "witness w.example/3 cosigned 12 entries 1 s ago (does not count)" in html
    assert "replica r.example/1 cosigned 12 entries 1 s ago" in html
    assert "QUORUM NOT MET" in ledger_html(replace(ledger, final_size=0))
    assert "unwitnessed" in ledger_html(replace(ledger, witnessed=False))


def test_facts_from_outside_are_shown_with_their_age() -> None:
    fact = FactSeen("co2", "<meteo>", 300, "g_per_kwh", 300, 60_000, "", 12)
    assert "co2: 300 g_per_kwh from &lt;meteo&gt;, 60 s old" in facts_html(picture(facts=(fact,)))
    old = replace(fact, value=None, fallback="the newest is too old")
    assert "co2: fallback, not known (the newest is too old)" in facts_html(picture(facts=(old,)))
    assert facts_html(picture()) == ""


def test_an_empty_strip_says_whether_nothing_flows_or_nobody_knows() -> None:
    resting = strip_html(picture(member("dep1", 0, generation_mw=0, load_mw=0)))
    assert "nothing generated" in resting
    assert "nothing used" in resting
    silent = strip_html(
        picture(member("dep1", None, generation_mw=None, load_mw=None, meters=(meter("a", None),)))
    )
    assert silent.count("no fresh sample") == 2
    assert "nothing" not in silent


def test_strip_names_the_residual_and_counts_the_silent() -> None:
    silent = member("dep2", None, meters=(meter("a", None), meter("b", None)))
    html = strip_html(
        picture(silent, boundary=meter("tie", 5_000, purpose="boundary"), unaccounted_mw=300)
    )

    assert "from the tie 5.0 W" in html
    assert "unaccounted 0.3 W" in html
    assert "2 meters without a fresh sample" in html


def test_both_rows_of_the_strip_have_one_scale() -> None:
    html = strip_html(picture(member("dep2", 40_000)))  # 20 W generated, 60 W used, no tie meter
    assert "not metered 40.0 W" in html.split("</div></div>")[0]
    assert "not metered" not in strip_html(picture(member("dep2", 0, generation_mw=60_000)))


def test_slots_show_who_sold_to_whom_and_what_was_curtailed() -> None:
    html = slots_html((slot(curtailed_uwh=40_000_000),))

    assert "dep1 → dep2 7.00 Wh" in html
    assert "0.001050" in html
    assert "dep2 40.00 Wh" in html
    assert "not known" in html  # unaccounted without a boundary meter


def test_what_waits_by_its_own_wish_stands_apart_from_what_was_curtailed() -> None:
    (position,) = slot().positions
    waiting = replace(position, shifted_uwh=3_000_000)
    html = slots_html((replace(slot(), positions=(waiting,)),))
    assert "nothing" in html
    assert "dep2 shifted 3.00 Wh" in html
    assert "shifted" not in slots_html((slot(curtailed_uwh=40_000_000),))


def test_a_slot_whose_contract_failed_says_so() -> None:
    failed = replace(slot(), failure="contract x raised <b>")
    html = slots_html((failed,))
    assert "FAILED, settled at the tariff: contract x raised &lt;b&gt;" in html
    assert "FAILED" not in slots_html((slot(),))


def test_the_market_in_force_and_to_come_are_named() -> None:
    now = MarketView(0, "double_auction", {"note": "<i>"}, "sealed", 1, 2)
    later = MarketView(900_000, "dep_balance", {}, "", 0, 9)
    html = market_html(picture(markets=(now, later)))
    assert "Market: double_auction, in force since slot 1970-01-01T00:00Z" in html
    assert "sealed book" in html
    assert "<i>" not in html
    assert "dep_balance, from slot 1970-01-01T00:15Z" in html
    assert market_html(picture()) == ""


def test_chart_has_a_hole_where_a_member_was_not_there() -> None:
    options = chart_options("dep9", (slot(),))
    assert [series["data"] for series in options["series"]] == [[None]] * 3

    options = chart_options("dep2", (slot(3_600_000), slot(0, curtailed_uwh=40_000_000)))
    assert options["xAxis"]["data"] == ["00:00", "01:00"]
    assert options["series"][1]["data"] == [40.0, 0.0]


def test_the_disclosure_in_force_is_said_with_what_it_hides() -> None:
    assert "disclosure <b>open</b>: names, samples and trades are shown" in head_html(picture())
    hidden = picture(disclosure="totals", pseudonyms="fresh")
    assert "only totals over four members or more" in head_html(hidden)
    assert "pseudonyms change each slot" in head_html(hidden)
    assert "change each slot" not in head_html(picture(pseudonyms="fresh"))


def test_charts_are_of_members_or_of_all_together_or_there_is_none() -> None:
    assert charted(picture(member("dep1", 1), slots=(slot(),))) == ["dep1"]
    hidden = member("m-1", None, is_live=False)
    assert charted(picture(hidden, slots=(slot(),))) == []
    totals = SlotTotalsView(4, 5_000_000, 6_000_000, 0, 7_000_000)
    closed = replace(slot(), positions=(), matches=(), disclosure="totals", totals=totals)
    assert charted(picture(hidden, slots=(closed,))) == [EVERYBODY]
    options = chart_options(EVERYBODY, (closed,))
    assert [series["data"] for series in options["series"]] == [[6.0], [0.0], [5.0]]
    html = slots_html((closed,))
    assert "4 members, in all 7.00 Wh" in html
    none = slots_html((replace(closed, totals=None),))
    assert none.count("not shown") == 3
