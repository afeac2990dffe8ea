"""The figures of a comparison, each a pure function of whole numbers, with what it means.

Where a figure cannot be had (nothing generated, nobody saves) it is None, never 0. Shares are
floats from 0 to 1; everything else stays in uWh, utok and their products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

UTOK_UWH_PER_TOKEN_KWH = 10**15


def peak_to_average(import_uwh: Sequence[int]) -> float | None:
    """Return the largest slot of what is bought from the grid over its mean.

    Paper 004 (Khalid et al. 2020) prints 3.8607 without and 3.6304 with trade, from inputs that it
    does not give. Here: energy bought from grid and supplier by all members in a slot, whoever
    feeds in at the same time. Without trade that is the sum of everybody's deficits.

    >>> peak_to_average([1, 2, 3])
    1.5
    """
    total = sum(import_uwh)
    return max(import_uwh) * len(import_uwh) / total if total > 0 else None


def self_consumption(generated_uwh: int, left_uwh: int) -> float | None:
    """Return the share of what was generated that stayed: 1 - (fed in + spilled) / generated.

    Losses of batteries count as used inside. Source: Luthander et al., Photovoltaic
    self-consumption in buildings, Applied Energy 142 (2015), equation 4.
    """
    return 1 - left_uwh / generated_uwh if generated_uwh else None


def self_sufficiency(consumed_uwh: int, import_uwh: int) -> float | None:
    """Return the share of consumption that was not bought outside: 1 - bought / consumed.

    Source: as above, equation 5.
    """
    return 1 - import_uwh / consumed_uwh if consumed_uwh else None


def savings(grid_only_utok: Mapping[str, int], cost_utok: Mapping[str, int]) -> dict[str, int]:
    """Return what each member pays less than with the grid alone; below 0: pays more. [utok]"""
    return {member: alone - cost_utok[member] for member, alone in grid_only_utok.items()}


def losers(saved_utok: Mapping[str, int], lines: Mapping[str, int]) -> tuple[str, ...]:
    """Return who pays more than with the grid alone, by name.

    Every line of a bill is rounded to a micro-token, so one that is split costs up to half of one
    more or less; what lies within that for all of a member's lines is no loss.

    >>> losers({"ann": -3, "bob": -2, "cia": 4}, {"ann": 4, "bob": 4, "cia": 4})
    ('ann',)
    """
    return tuple(
        member for member in sorted(saved_utok) if -2 * saved_utok[member] > lines.get(member, 0)
    )


def gini(values: Sequence[int]) -> float | None:
    """Return the Gini coefficient: mean difference of all pairs over twice the mean.

    0: all the same; towards 1: one has everything. Above 1 where some are below 0. None unless the
    sum is above 0. Source: Sen, On Economic Inequality (1973), section 2.8.

    >>> gini([1, 1, 1]), gini([0, 0, 0, 4])
    (0.0, 0.75)
    """
    total, count = sum(values), len(values)
    if total <= 0:
        return None
    ranked = sum((2 * rank - count + 1) * value for rank, value in enumerate(sorted(values)))
    return ranked / (count * total)


def by_group(groups: Mapping[str, str], amounts: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of each group's amounts, in order of group."""
    sums = dict.fromkeys(sorted(set(groups.values())), 0)
    for member, group in groups.items():
        sums[group] += amounts.get(member, 0)
    return sums


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole; None where there is no whole."""
    return part / whole if whole else None


def welfare_tokens(welfare_utok_uwh_per_kwh: int) -> float:
    """Return welfare in tokens."""
    return welfare_utok_uwh_per_kwh / UTOK_UWH_PER_TOKEN_KWH


def co2_g(energies_uwh: Mapping[str, int], g_per_kwh: Mapping[str, int]) -> float:
    """Return the CO2 of energies by what they come from (`grid`, or a fuel). [g]

    Nothing is credited for what is fed in. What stands in no table counts as 0.
    """
    return sum(
        energy / 1_000_000_000 * g_per_kwh.get(source, 0) for source, energy in energies_uwh.items()
    )


def mean_km(uwh_m: int, energy_uwh: int) -> float | None:
    """Return how far a traded kWh goes on average, as the crow flies. [km]"""
    return uwh_m / energy_uwh / 1000 if energy_uwh else None
