"""Every relay model on everything it can sit on passes and fails its test by hand."""

from __future__ import annotations

import pytest

from edge.relaytest.trial import Pace, Trial
from edge.relaytest.verdict import Wiring
from hardware.ports import Sample
from tests.support.relay_bench import CASES, open_relay_bench

PLACES = [(model, on) for model, cases in CASES.items() for on in cases]


class Agreeing:
    """A person who agrees to everything."""

    def agree(self, question):
        """Agree."""

    def tell(self, text):
        """Not listen."""


def trial(bench, deenergised):
    def read():
        return Sample(36_000 if bench.stands() else 0, None, None, None, None, None)

    wiring = Wiring("heater", deenergised, "meter", 40_000)
    made = Trial(wiring, {"meter": read}, Pace(0.0, 0.0), Agreeing(), lambda seconds: None)
    return made.run(bench.make)


@pytest.mark.parametrize(("model", "on"), PLACES)
def test_a_relay_is_tested_and_left_released(model, on, tmp_path):
    with open_relay_bench(model, on, tmp_path) as bench:
        outcome = trial(bench, "cut")
        assert outcome.verdict.works, outcome.verdict.words
        assert [each.read_back for each in outcome.positions] == [False, True, False]
        assert not bench.stands()


@pytest.mark.parametrize(("model", "on"), PLACES)
def test_one_that_is_wired_the_other_way_round_is_told(model, on, tmp_path):
    with open_relay_bench(model, on, tmp_path) as bench:
        assert trial(bench, "fed").verdict.kind == "reversed"
        assert not bench.stands()
