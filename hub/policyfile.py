"""A policy as a person writes it, TOML, and as an administrator signs it: a policy entry.

`EXAMPLE` is a whole file. What the named contract and dispatch policy cannot use is found before
anything is signed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hub.balancing.errors import BalancingError
from hub.code_id import code_id
from hub.core.clearing import Contracts
from hub.core.disclosing import DISCLOSURES, PSEUDONYMS, STABLE
from hub.core.pricing import schedule_fault
from hub.errors import ConfigError
from hub.market.contract import PRICE_UTOK_PER_KWH_MAX
from hub.market.errors import MarketError
from hub.switching.dispatch import Policies
from messages.banking import AMOUNT_UTOK_MAX, BankRules, bank_rules_fault
from messages.banking import SLOTS_MAX as BANK_SLOTS_MAX
from messages.config import Document, Finding, read, rest, setting
from messages.disputes import ENDINGS, SLOTS_MAX, DisputeRules, dispute_rules_fault
from messages.entries import PolicyEntry
from messages.feeding import AGE_MS_MAX, VALUE_MAX, FeedRule, feed_rules_fault
from messages.proposing import (
    ENERGY_KWH_MAX,
    FACTOR_MAX,
    ROUND_MS_MAX,
    ROUND_MS_MIN,
    RULES,
    USUAL_RULES,
    ProposerRules,
    rules_fault,
)
from messages.regulating import (
    ENERGY_UWH_MAX,
    KINDS,
    PAYEES,
    UNBOUND,
    Mix,
    Premium,
    Regulation,
    regulation_fault,
)

EXAMPLE = """\
contract = "dep_balance"       # who trades with whom
dispatch = "dep"               # which relays open when there is not enough; "none": no relay moves
disclosure = "open"            # who sees whose energy; or "pseudonymous_offers", "totals"
pseudonyms = "stable"          # where names are hidden: one for good, or "fresh" each slot

[parameters]                   # of the contract
deficit = "curtail"            # or "supplier": the rest is bought from the base-load supplier
surplus = "grid"               # or "storage", "curtail"

[dispatch_parameters]          # of the dispatch policy
import_mw_max = 0              # what the grid tie may bring in; 0 on an island

[[price]]                      # by time of day, UTC; the first begins at 00:00
at = "00:00"
utok_per_kwh = 220_000

[[feed_in]]
at = "00:00"
utok_per_kwh = 80_000

# Who proposes blocks, where members run replicas: W = alpha E + beta A + gamma R (docs/replica.md).
# Left out, it stays as it was; at first as here.
[proposers]
alpha = 1                      # for each kWh of the last 96 blocks, at most energy_kwh_max
beta = 5                       # for each block since one proposed last, at most 100
gamma = 1                      # for each point of reputation, 0 to 100
energy_kwh_max = 100
rule = "proportional"          # or "paper"
round_ms = 10_000              # how long each is waited for before the next one may propose

# Until when lines of a bill can be disputed, and a dispute ruled on (docs/disputes.md). Left out,
# it stays as it was; at first 31 days for each.
[disputes]
within_slots = 2_976           # after the line's own slot; 2976 quarter hours are 31 days
rule_slots = 2_976             # after the dispute began
unruled = "dismiss"            # what happens without a ruling; or "uphold", "halve"

# When the bank pays out, and its limits (docs/bank.md). Left out, it stays as it was; at first once
# a day, without limits.
[bank]
payout_slots = 96              # with the close of each so many slots; 96 quarter hours are a day
payout_min_utok = 1            # of one member, each time
payout_max_utok = 1_000_000_000
deposit_max_utok = 1_000_000_000
circulating_max_utok = 1_000_000_000_000  # of all together

# What binds every market (docs/regulation.md). Left out, it stays as it was; at first nothing does.
# [regulation]
# floor_utok_per_kwh = 100_000   # what members pay each other at least
# cap_utok_per_kwh = 300_000     # and at most
# network_fee_utok_per_kwh = 10_000  # what buyers pay the operator on top
# feed_in_guaranteed = true      # what goes into the grid earns the feed-in price at least
# [[mix]]
# fuel = "renewable"             # or solar, wind, ...
# share_percent = 30             # at least so much of what each member buys in a slot
# unmet_utok_per_kwh = 50_000    # what he pays for what lacks; 0: he is told, no more
# [[premium]]
# fuel = "grid"                  # bought from the grid, or solar, wind, coal, ...
# utok_per_kwh = 20_000          # on top, for what is beyond above_uwh in a slot
# above_uwh = 500_000_000
# account = "@community"         # who gets it

# A fact from outside, told by a feeder that is enrolled (docs/feeds.md): price and feed_in take the
# place of the schedules above, others are shown. Repeat it for each fact.
# [[feed]]
# fact = "price"
# feeder = "meteo"
# age_max_s = 3_600            # older than that, it does not count
# low = 100_000                # the regulator's floor and cap
# high = 500_000
# fallback = 220_000           # what counts without it; left out, the schedule above does
"""


def _minute(text: str) -> int | None:
    hour, colon, minute = text.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and (hour + minute).isdecimal()):
        return None
    return int(hour) * 60 + int(minute) if int(hour) < 24 and int(minute) < 60 else None


def _time_complaint(text: str) -> str:
    return "" if _minute(text) is not None else f'"{text}" is no time of day like "17:30"'


def _all_keys(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """A price from a time of day on."""

    at: str = setting(check=_time_complaint)
    utok_per_kwh: int = setting(low=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTable:
    """Parameters as they stand: whoever uses them checks them."""

    values: Mapping[str, object] = rest(_all_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposersTable:
    """How proposers are weighed and drawn. [kWh, ms]"""

    alpha: int = setting(default=USUAL_RULES.alpha, low=0, high=FACTOR_MAX)
    beta: int = setting(default=USUAL_RULES.beta, low=0, high=FACTOR_MAX)
    gamma: int = setting(default=USUAL_RULES.gamma, low=0, high=FACTOR_MAX)
    energy_kwh_max: int = setting(default=USUAL_RULES.energy_kwh_max, low=0, high=ENERGY_KWH_MAX)
    rule: str = setting(default=USUAL_RULES.rule, choices=RULES)
    round_ms: int = setting(default=USUAL_RULES.round_ms, low=ROUND_MS_MIN, high=ROUND_MS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputesTable:
    """Until when a line can be disputed, and a dispute ruled on."""

    within_slots: int = setting(low=1, high=SLOTS_MAX)
    rule_slots: int = setting(low=1, high=SLOTS_MAX)
    unruled: str = setting(choices=ENDINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BankTable:
    """When the bank pays out, and how much it moves. [utok]"""

    payout_slots: int = setting(low=1, high=BANK_SLOTS_MAX)
    payout_min_utok: int = setting(default=1, low=1, high=AMOUNT_UTOK_MAX)
    payout_max_utok: int = setting(default=AMOUNT_UTOK_MAX, low=1, high=AMOUNT_UTOK_MAX)
    deposit_max_utok: int = setting(default=AMOUNT_UTOK_MAX, low=1, high=AMOUNT_UTOK_MAX)
    circulating_max_utok: int = setting(default=AMOUNT_UTOK_MAX, low=1, high=AMOUNT_UTOK_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationTable:
    """What members pay each other, and what the grid pays at least."""

    floor_utok_per_kwh: int = setting(default=0, low=0, high=PRICE_UTOK_PER_KWH_MAX)
    cap_utok_per_kwh: int = setting(
        default=PRICE_UTOK_PER_KWH_MAX, low=0, high=PRICE_UTOK_PER_KWH_MAX
    )
    network_fee_utok_per_kwh: int = setting(default=0, low=0, high=PRICE_UTOK_PER_KWH_MAX)
    feed_in_guaranteed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MixTable:
    """The least share of a fuel in what a member buys."""

    fuel: str = setting(choices=KINDS)
    share_percent: int = setting(low=1, high=100)
    unmet_utok_per_kwh: int = setting(default=0, low=0, high=PRICE_UTOK_PER_KWH_MAX)
    account: str = setting(default=PAYEES[0], choices=PAYEES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PremiumTable:
    """What energy of a fuel costs on top."""

    fuel: str = setting(choices=KINDS)
    utok_per_kwh: int = setting(low=1, high=PRICE_UTOK_PER_KWH_MAX)
    above_uwh: int = setting(default=0, low=0, high=ENERGY_UWH_MAX)
    account: str = setting(default=PAYEES[0], choices=PAYEES)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTable:
    """A fact from outside. [s, the fact's unit]"""

    fact: str
    feeder: str
    age_max_s: int = setting(low=1, high=AGE_MS_MAX // 1_000)
    low: int = setting(low=-VALUE_MAX, high=VALUE_MAX)
    high: int = setting(low=-VALUE_MAX, high=VALUE_MAX)
    fallback: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """All of a policy file."""

    contract: str
    dispatch: str
    price: tuple[PriceTable, ...]
    feed_in: tuple[PriceTable, ...]
    disclosure: str = setting(default="open", choices=DISCLOSURES)
    pseudonyms: str = setting(default=STABLE, choices=PSEUDONYMS)
    parameters: ParameterTable = ParameterTable()
    dispatch_parameters: ParameterTable = ParameterTable()
    proposers: ProposersTable | None = None
    disputes: DisputesTable | None = None
    bank: BankTable | None = None
    regulation: RegulationTable | None = None
    mix: tuple[MixTable, ...] = ()
    premium: tuple[PremiumTable, ...] = ()
    feed: tuple[FeedTable, ...] = ()


def load_policy(
    path: Path,
    from_slot_ms: int,
    contracts: Contracts,
    policies: Policies,
    before: Regulation = UNBOUND,
) -> PolicyEntry:
    """Return the entry to sign; ConfigError holds every finding with file and line.

    Args:
        path: of the policy file.
        from_slot_ms: the first slot it binds. [ms UTC]
        contracts: those that are installed.
        policies: those that are installed.
        before: what binds every market if the file does not say.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError((f"{path}: cannot be read: {reason}",)) from None
    entry = read_policy(text, str(path), from_slot_ms, contracts, policies)
    return entry if says_regulation(text) else replace(entry, regulation=before)


def read_policy(
    text: str, name: str, from_slot_ms: int, contracts: Contracts, policies: Policies
) -> PolicyEntry:
    """Return the entry that a policy file's text asks for; ConfigError holds every finding."""
    document = read(text, PolicyFile)
    document = document.with_findings(_odd_values(document))
    if document.value is None:
        raise ConfigError(tuple(finding.text(name) for finding in document.findings))
    entry = policy_entry(document.value, from_slot_ms, contracts, policies)
    fault = policy_fault(entry, contracts, policies)
    if fault:
        raise ConfigError((f"{name}: {fault}",))
    return entry


def policy_fault(entry: PolicyEntry, contracts: Contracts, policies: Policies) -> str:
    """Say what no contract or dispatch policy could use; empty if nothing."""
    if entry.contract not in contracts:
        return f"contract {entry.contract!r} is not installed here: {_listed(contracts)}"
    if entry.dispatch not in policies:
        return f"dispatch {entry.dispatch!r} is not installed here: {_listed(policies)}"
    try:
        contracts[entry.contract]().check(entry.parameters)
        policies[entry.dispatch]().check(entry.dispatch_parameters)
    except (MarketError, BalancingError) as error:
        return str(error)
    fault = schedule_fault("price", entry.prices) or schedule_fault("feed_in", entry.feed_in)
    fault = fault or feed_rules_fault(entry.feeds, PRICE_UTOK_PER_KWH_MAX)
    fault = fault or ("" if entry.disputes is None else dispute_rules_fault(entry.disputes))
    fault = fault or ("" if entry.bank is None else bank_rules_fault(entry.bank))
    fault = fault or regulation_fault(entry.regulation)
    return fault or ("" if entry.proposers is None else rules_fault(entry.proposers))


def _odd_values(document: Document[PolicyFile]) -> list[Finding]:
    found = []
    for table in ("parameters", "dispatch_parameters"):
        for path, values in document.values(table):
            if not isinstance(values, dict):
                continue
            for key, value in values.items():
                if type(value) not in (int, str):
                    text = f"{key} must be a whole number or text, got {value}"
                    found.append(document.finding((*path, key), text))
    return found


def policy_entry(
    file: PolicyFile, from_slot_ms: int, contracts: Contracts, policies: Policies
) -> PolicyEntry:
    """Return the entry that says what a policy file says; `policy_fault` checks it."""
    return PolicyEntry(
        from_slot_ms=from_slot_ms,
        contract=file.contract,
        parameters=_plain(file.parameters),
        prices=_schedule(file.price),
        feed_in=_schedule(file.feed_in),
        dispatch=file.dispatch,
        dispatch_parameters=_plain(file.dispatch_parameters),
        disclosure=file.disclosure,
        pseudonyms=file.pseudonyms,
        code_id=code_id(contracts, policies),
        proposers=None if file.proposers is None else ProposerRules(**asdict(file.proposers)),
        disputes=None if file.disputes is None else DisputeRules(**asdict(file.disputes)),
        feeds=tuple(map(_feed_rule, file.feed)),
        bank=None if file.bank is None else BankRules(**asdict(file.bank)),
        regulation=_regulation(file),
    )


def says_regulation(text: str) -> bool:
    """Whether a policy file, which was read without a finding, says what binds every market."""
    return not {"regulation", "mix", "premium"}.isdisjoint(tomllib.loads(text))


def _regulation(file: PolicyFile) -> Regulation:
    table = file.regulation or RegulationTable()
    return Regulation(
        table.floor_utok_per_kwh,
        table.cap_utok_per_kwh,
        table.network_fee_utok_per_kwh,
        table.feed_in_guaranteed,
        tuple(Mix(**asdict(each)) for each in file.mix),
        tuple(Premium(**asdict(each)) for each in file.premium),
    )


def _feed_rule(table: FeedTable) -> FeedRule:
    age_max_ms = table.age_max_s * 1_000
    return FeedRule(table.fact, table.feeder, age_max_ms, table.low, table.high, table.fallback)


def _plain(table: ParameterTable) -> dict[str, int | str]:
    return {key: value for key, value in table.values.items() if isinstance(value, int | str)}


def _schedule(prices: tuple[PriceTable, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((_minute(price.at) or 0, price.utok_per_kwh) for price in prices)


def _listed(names: Mapping[str, object]) -> str:
    return "there are " + ", ".join(sorted(names))
