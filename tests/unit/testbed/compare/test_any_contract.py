"""Contracts that the comparison knows nothing of: it runs them, or says why not."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from hub.core.clearing import Contracts
from hub.market.catalog import CONTRACTS
from hub.market.contract import (
    CallRequest,
    CallResult,
    Clearing,
    SlotBook,
    StepBudget,
    Value,
    refuse_call,
)
from hub.market.errors import BadParameter
from hub.market.rest import rest_to_grid
from testbed.compare.comparing import Asked, compare
from testbed.compare.comparison import Comparison
from testbed.compare.page import page
from testbed.compare.wording import of_run
from testbed.errors import BadComparison


class Called:
    """A market in which nothing happens unless somebody calls, as nobody does."""

    name = "called"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Take any."""

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Leave all to the grid."""
        return Clearing(remainders=rest_to_grid(book, ()), takes_orders=True)

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse it."""
        return refuse_call(self.name, request)


class Needy(Called):
    """A market that cannot be without a parameter."""

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Want one."""
        if "landlord" not in parameters:
            raise BadParameter("needy: landlord must be given")


MINE: Contracts = {**CONTRACTS, "called": Called, "needy": Needy}


def compared(*names: str) -> Comparison:
    return compare(Asked(contracts=names, days=2), MINE, lambda what, done, total: None)


def test_a_contract_that_nobody_calls_is_not_judged() -> None:
    (section,) = compared("called").sections
    (result,) = section.results
    told = " ".join(note.text for note in of_run(result, section))
    assert "calls that nobody makes" in told
    assert result.figures.energy_conserved


def test_what_cannot_run_without_parameters_is_left_out_and_told() -> None:
    found = compared()
    (told,) = (note for note in found.notes if "left out" in note)
    assert "needy: landlord must be given" in told
    ran = {each.run.settings.contract for each in found.sections[0].results}
    assert ran == {*CONTRACTS, "called"}


def test_who_asks_for_it_by_name_is_told_at_once() -> None:
    with pytest.raises(BadComparison, match="landlord must be given"):
        compared("called", "needy")


def test_forecasts_and_areas_have_a_table_of_their_own() -> None:
    found = compared("pooled_auction")
    foreseen, lived = found.sections[0].results
    assert found.sections[0].foreseen(lived) is foreseen
    assert found.sections[0].foreseen(foreseen) is None
    text = page(found)
    (table,) = re.findall(r"side by side</h2>.*?<tbody>(.*?)</tbody>", text)
    cells = re.findall(r"<td>([^<]*)</td>", table)
    for each in (lived, foreseen):
        assert f"{each.figures.cost_utok / 1e6:,.2f}" in cells
    shares = re.findall(r" → [a-z]+</span>.*?>([0-9.]+) %</span>", text)
    assert len(shares) > 4
    assert sum(map(float, shares)) == pytest.approx(200, abs=2)  # two runs


def test_every_contract_of_the_catalog_runs() -> None:
    found = compare(Asked(days=1), CONTRACTS, lambda what, done, total: None)
    ran = {each.run.settings.contract for each in found.sections[0].results}
    left_out = {note.split()[0] for note in found.notes if "left out" in note}
    assert ran | left_out == set(CONTRACTS)
    for each in found.sections[0].results:
        assert each.run.tally.failures == {}
        assert each.figures.energy_conserved
        assert each.figures.money_conserved
