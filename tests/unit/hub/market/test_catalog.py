"""Contracts are found by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from hub.market import catalog
from hub.market.contracts.dep_balance import DepBalance
from hub.market.errors import UnknownContract


def test_by_name() -> None:
    assert isinstance(catalog.contract("dep_balance"), DepBalance)
    with pytest.raises(
        UnknownContract, match="no contract 'x'; there are choose_producer, commission, "
    ):
        catalog.contract("x")


def test_other_packages_bring_their_own_but_never_replace_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = "hub.market.errors:MarketError"
    points = EntryPoints(EntryPoint(name, value, catalog.GROUP) for name in ("lab", "dep_balance"))

    def entry_points(group: str) -> EntryPoints:
        return points.select(group=group)

    monkeypatch.setattr(catalog, "entry_points", entry_points)
    found = catalog.installed()
    assert set(found) == {*catalog.CONTRACTS, "lab"}
    assert found["dep_balance"] is DepBalance
