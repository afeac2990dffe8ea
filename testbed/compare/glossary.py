"""What stands at the end of the report: definitions with their sources, and how to load it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from testbed.compare.markup import Markup, join, tag

DEFINITIONS: Final[Mapping[str, str]] = {
    "grid only": "Everybody deals with the grid alone: pays the tariff for what he lacks in a "
    "slot, gets the feed-in price for what he has over. Own panels and own battery work as "
    "elsewhere.",
    "all pay": "What all members pay, less what they receive, over all slots, fees included. "
    "Accounts of grid, supplier and operator are not members.",
    "of the most that can be saved": "Against the least cost that HiGHS finds if all homes act "
    "behind one meter, know the future, and use every battery for everybody. A contract may pay "
    "members more than that when it moves money to them from outside accounts.",
    "losers": "Members who pay more than with the grid alone, by more than rounding every line of "
    "their bills to a micro-token can make.",
    "Gini of savings": "Mean difference of all pairs of savings over twice their mean (Sen 1973). "
    "0: all save the same. Not given unless savings sum to more than 0.",
    "fees": "What members paid beside energy, less what they got: commissions, network "
    "charges, deposits still held.",
    "matched": "Energy sold from member to member.",
    "welfare": "Sum of (buyer's limit - seller's limit) x matched energy, over the most that the "
    "same slots allow, a linear program that HiGHS solves. Limits are the members' own, or tariff "
    "and feed-in price.",
    "beyond limit": "Members who in some slot bought above their bid or sold below their ask.",
    "peak to average": "The largest slot of what all members buy from grid and supplier, over its "
    "mean (paper 004, Khalid et al. 2020). With the grid alone that is the sum of everybody's "
    "deficits.",
    "self-consumed": "1 - (fed in + spilled) / generated (Luthander et al. 2015). Losses of "
    "batteries count as used inside.",
    "self-sufficient": "1 - bought outside / consumed (Luthander et al. 2015).",
    "curtailed": "Load that a contract kept off, as estimated, and generation that was spilled.",
    "CO2": "What is bought outside times the grid's g per kWh, and generation times its fuel's "
    "over the plant's life (IPCC 2014). Nothing is credited for feeding in; the tariff file has "
    "the factors.",
    "a kWh travels": "Matched energy times the distance between both meters as the crow flies, "
    "over matched energy. kwh_km in the CSV is the product.",
    "in one area": "Share of matched energy whose seller and buyer have the same area.",
    "clearing": "Mean time of the contract and of the hub's check of what it returned, on the "
    "machine that made this report.",
    "ledger": "Entries that the run would append, signed and weighed: registers, closes, headers, "
    "and the members' calls. Trees, indexes and telemetry come on top, the same for all.",
}

LINES: Final = (
    'import pandas; runs = pandas.read_csv("contracts.csv")',
    'import json; everything = json.load(open("compare.json"))',
)


def definitions() -> Markup:
    """Return what each figure is."""
    rows = [
        tag(part, text)
        for item in DEFINITIONS.items()
        for part, text in zip(("dt", "dd"), item, strict=True)
    ]
    return tag("dl", *rows)


def loading() -> Markup:
    """Return how to go on with the numbers."""
    names = "contracts.csv (a row a run), members.csv (a row a run and member), slots.csv (a row a "
    return join(
        tag("h2", "Go on with the numbers"),
        tag(
            "p",
            f"Beside this page lie {names}run and slot), sales.csv (a row a run, seller and buyer) "
            "and compare.json with everything. In a notebook, one line:",
        ),
        *(tag("p", tag("code", line)) for line in LINES),
    )
