"""All figures of one run beside those of the grid alone, ready to be written or drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.compare import metrics
from testbed.compare.community import Community
from testbed.compare.ledgersize import slots_bytes
from testbed.compare.optimum import Cooperation
from testbed.compare.running import Run
from testbed.compare.tally import Tally
from testbed.compare.tariff import Prices


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What all runs over the same homes and slots are held against. [tokens, utok, bytes]"""

    grid_only: Run
    welfare_tokens: float
    least_cost_tokens: float | None
    slots_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One row of the comparison. None: cannot be had. Field names are the CSV's columns."""

    contract: str
    variant: str
    forecast: str
    slot_min: int
    slots: int
    cost_utok: int
    saved_utok: int
    saved_share: float | None
    possible_share: float | None
    losers: int
    savings_gini: float | None
    fees_utok: int
    matched_uwh: int
    import_uwh: int
    export_uwh: int
    curtailed_uwh: int
    peak_to_average: float | None
    self_consumption: float | None
    self_sufficiency: float | None
    welfare_tokens: float
    welfare_share: float | None
    unfair_members: int
    unfair_uwh: int
    kwh_km: float | None
    mean_km: float | None
    same_area_share: float | None
    co2_kg: float
    clearing_ms_a_slot: float
    ledger_bytes: int
    calls: int
    fallback_slots: int
    energy_conserved: bool
    money_conserved: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A run with its figures and what each member paid and saved. [utok]"""

    run: Run
    figures: Figures
    cost_utok: Mapping[str, int]
    saved_utok: Mapping[str, int]
    losers: tuple[str, ...]

    @property
    def label(self) -> str:
        """The run's name in tables."""
        return self.run.settings.label

    def by_group(self, amounts: Mapping[str, int]) -> Mapping[str, int]:
        """Return the members' amounts added up by group."""
        members = self.run.tally.community.members
        return metrics.by_group({name: each.group for name, each in members.items()}, amounts)


def yardsticks(
    community: Community, grid_only: Run, welfare_tokens: float, best: Cooperation | None
) -> Yardsticks:
    """Return what the runs of one community are held against."""
    least_tokens = best.cost_tokens if best else None
    return Yardsticks(grid_only, welfare_tokens, least_tokens, slots_bytes(community))


def result(run: Run, sticks: Yardsticks, prices: Prices) -> Result:
    """Return a run with its figures."""
    cost, alone = members_cost(run.tally), members_cost(sticks.grid_only.tally)
    saved = metrics.savings(alone, cost)
    lost = metrics.losers(saved, run.tally.lines + sticks.grid_only.tally.lines)
    return Result(run, _figures(run, sticks, prices, saved, lost), cost, saved, lost)


def members_cost(tally: Tally) -> dict[str, int]:
    """Return what each member pays, less what he receives, in order of name. [utok]"""
    return {name: tally.cost_utok.get(name, 0) for name in sorted(tally.community.members)}


def _figures(
    run: Run,
    sticks: Yardsticks,
    prices: Prices,
    saved: Mapping[str, int],
    lost: tuple[str, ...],
) -> Figures:
    tally, series = run.tally, run.tally.series
    cost, alone = (sum(members_cost(each.tally).values()) for each in (run, sticks.grid_only))
    matched, generated = sum(series.matched_uwh), sum(series.generated_uwh)
    bought, fed_in = sum(series.import_uwh), sum(series.export_uwh)
    welfare = metrics.welfare_tokens(tally.welfare_utok_uwh_per_kwh)
    has_areas = any(each.area for each in tally.community.members.values())
    mapped, shared = tally.mapped_uwh, tally.community.shared  # no yardstick knows a storage
    return Figures(
        contract=run.settings.contract,
        variant=run.settings.variant,
        forecast=run.settings.forecast,
        slot_min=tally.community.slot_ms // 60_000,
        slots=tally.community.slots,
        cost_utok=cost,
        saved_utok=alone - cost,
        saved_share=metrics.share(alone - cost, alone) if alone > 0 else None,
        possible_share=None if shared else _possible(cost, alone, sticks.least_cost_tokens),
        losers=len(lost),
        savings_gini=metrics.gini(list(saved.values())),
        fees_utok=tally.fees_utok,
        matched_uwh=matched,
        import_uwh=bought,
        export_uwh=fed_in,
        curtailed_uwh=sum(series.curtailed_uwh),
        peak_to_average=metrics.peak_to_average(series.import_uwh),
        self_consumption=metrics.self_consumption(generated, fed_in + tally.spilled_uwh),
        self_sufficiency=metrics.self_sufficiency(sum(series.consumed_uwh), bought),
        welfare_tokens=welfare,
        welfare_share=None if shared else metrics.share(welfare, sticks.welfare_tokens),
        unfair_members=len(tally.unfair_uwh),
        unfair_uwh=sum(tally.unfair_uwh.values()),
        kwh_km=tally.uwh_m / 1e12 if mapped else None,
        mean_km=metrics.mean_km(tally.uwh_m, mapped),
        same_area_share=metrics.share(tally.same_area_uwh, matched) if has_areas else None,
        co2_kg=metrics.co2_g(_sources(tally), prices.co2_g_per_kwh) / 1000,
        clearing_ms_a_slot=run.clearing_s * 1000 / tally.community.slots,
        ledger_bytes=sticks.slots_bytes + run.calls_bytes,
        calls=run.calls,
        fallback_slots=sum(tally.failures.values()),
        energy_conserved=not tally.slots_unbalanced,
        money_conserved=tally.money_left_utok == 0,
    )


def _possible(cost_utok: int, alone_utok: int, least_tokens: float | None) -> float | None:
    """Return how much of what could be saved at all was saved."""
    if least_tokens is None:
        return None
    possible = alone_utok - least_tokens * 1e6
    return (alone_utok - cost_utok) / possible if possible > 1 else None


def _sources(tally: Tally) -> dict[str, int]:
    """Return the energy from outside, and from each fuel inside. [uWh]"""
    energies = {"grid": sum(tally.series.import_uwh)}
    for household in tally.community.homes:
        fuel = household.member.fuel
        energies[fuel] = energies.get(fuel, 0) + sum(household.generation_uwh)
    return energies
