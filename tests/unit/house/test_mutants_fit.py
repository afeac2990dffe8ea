"""The faults that tests/faults puts in still fit the sources, long before anybody runs them."""

import pytest

from tests.faults.mutants import MUTANTS, Mutant
from tests.support.source import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks.replace(" ", "-"))
def test_what_a_mutant_replaces_stands_there_once(mutant: Mutant) -> None:
    for name, old, _ in mutant.edits:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old!r}"
    tests = mutant.caught_by[0]
    assert (ROOT / tests).is_file(), tests
