"""What the page, REST and metrics show: one frozen picture of the microgrid.

Everything here is already verified and already decided elsewhere; a view holds values, ages and
reasons, and no way to change anything. None means not known, and is never shown as 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from hub.banking.showing import BankView
from hub.feeds.showing import FactSeen
from hub.ordering.market import MarketView
from hub.watching.suspects import Suspect
from messages.correction import gain_text

Badge = Literal["signed", "late", "silent"]


@dataclass(frozen=True, slots=True)
class CalibrationView:
    """Since when and by how much a meter's node corrects its device, and the entry that says it.

    `device_mw` is what the device itself says behind the newest sample. [ms UTC, ppm, mW]
    """

    since_ms: int
    power_gain_ppm: int
    power_offset_mw: int
    device_mw: int | None
    entry_index: int


@dataclass(frozen=True, slots=True)
class MeterView:
    """One meter: its newest verified live sample; positive power is import. [mW, ms]"""

    meter_id: str
    member: str
    node: str
    purpose: str
    parent: str
    badge: Badge
    power_mw: int | None
    age_ms: int | None
    quality: str
    calibration: CalibrationView | None = None
    fuel: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class RelayView:
    """One relay: what its contact does to the load, and how long its lease still runs. [ms]

    `failsafe` is what the load gets when the coil is let go; `is_failsafe` whether that happens by
    itself when nobody holds it any more. `age_ms` is of the guard's word, `load_age_ms` of the
    load's newest sample: what the rest rests on. `since_ms`: when the contact moved last [UTC].
    `wanted_cut`, `decided_ms` [UTC], `limit` and `rule` are of the decision that spoke of it last,
    the entry `decision`; None and "" where none did. `unusable`: why no policy counts on it, "" if
    one may.
    """

    relay: str
    member: str
    node: str
    load: str
    fed: bool | None
    energised: bool | None
    lease_left_ms: int
    reason: str
    failsafe: str
    is_failsafe: bool = True
    lease_ttl_ms: int | None = None
    age_ms: int | None = None
    load_power_mw: int | None = None
    load_age_ms: int | None = None
    since_ms: int | None = None
    wanted_cut: bool | None = None
    decision: int | None = None
    decided_ms: int | None = None
    limit: str = ""
    rule: str = ""
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class SourceView:
    """What a member's energy comes from, and roughly where; "" where its enrolment says nothing."""

    fuel: str
    location: str


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member on the bus; powers are sums of its settled meters. [mW, utok]

    `member` is a name or a pseudonym. `is_live` False: the disclosure in force shows no samples.
    """

    member: str
    generation_mw: int | None
    load_mw: int | None
    net_mw: int | None
    account_utok: int | None
    meters: tuple[MeterView, ...]
    relays: tuple[RelayView, ...]
    sources: tuple[SourceView, ...] = ()
    is_live: bool = True


@dataclass(frozen=True, slots=True)
class TotalsView:
    """The sums over all members now; there are none where one of them is not known. [mW]"""

    members: int
    generation_mw: int
    load_mw: int


@dataclass(frozen=True, slots=True)
class MatchView:
    """Energy that one member sold to another in a slot; the amount is for the two. [uWh, utok]"""

    seller: str
    buyer: str
    energy_uwh: int
    price_utok_per_kwh: int
    amount_utok: int | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """What one member had, used and wanted in a slot; `estimated` where a register is missing.

    `curtailed_uwh` is what was wanted and not served: wanted = load + curtailed. `shifted_uwh` is
    what waits for a cheaper slot, by his own wish. The amount is for the member alone. [uWh, utok]
    """

    member: str
    generation_uwh: int
    load_uwh: int
    curtailed_uwh: int
    amount_utok: int | None
    estimated: bool
    shifted_uwh: int = 0


@dataclass(frozen=True, slots=True)
class FateView:
    """What became of a member's order in a slot: how much of it was matched, and why not more.

    It is for the member alone. [ms UTC, uWh, utok per kWh]
    """

    slot_ms: int
    member: str
    order_id: str
    side: str
    energy_uwh: int
    price_utok_per_kwh: int
    matched_uwh: int
    reason: str


@dataclass(frozen=True, slots=True)
class SlotTotalsView:
    """The sums over all members in a slot. [uWh]"""

    members: int
    generation_uwh: int
    load_uwh: int
    curtailed_uwh: int
    matched_uwh: int


@dataclass(frozen=True, slots=True)
class SlotView:
    """One closed slot; `disclosure` says what of it may be shown. [ms UTC, uWh]

    `failure`: why its contract failed, so that it was settled with the grid alone; "" if not.
    """

    start_ms: int
    end_ms: int
    reason: str
    contract: str
    positions: tuple[PositionView, ...]
    matches: tuple[MatchView, ...]
    unaccounted_uwh: int | None
    disclosure: str = "open"
    totals: SlotTotalsView | None = None
    fates: tuple[FateView, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class WitnessView:
    """What one witness cosigned last, how old that is [s, None: never], whether it counts.

    `kind`: witness, or replica, which also executed everything again.
    """

    name: str
    size: int
    age_s: int | None
    counts: bool
    kind: str = "witness"


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The ledger head as the verifier of this process found it, not as the hub says it is."""

    size: int
    root: str
    verified: bool
    verified_size: int
    verified_age_ms: int | None
    finding: str
    witnessed: bool
    final_size: int = 0
    witnesses: tuple[WitnessView, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole microgrid at one moment, as who asks may see it.

    `markets`: the one in force, then those to come.
    `notices`: what the regulator did that the asker is told of. `facts`: what feeders told, as it
    counts in the next slot. `suspects`: meters that do not fit the others.
    """

    microgrid: str
    simulation: bool
    at_ms: int | None
    members: tuple[MemberView, ...]
    boundary: MeterView | None
    unaccounted_mw: int | None
    slots: tuple[SlotView, ...]
    ledger: LedgerView
    alarms: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    request: str = ""
    disclosure: str = "open"
    pseudonyms: str = "stable"
    totals: TotalsView | None = None
    notices: tuple[str, ...] = ()
    facts: tuple[FactSeen, ...] = ()
    refused: dict[str, int] = field(default_factory=dict)
    markets: tuple[MarketView, ...] = ()
    bank: BankView | None = None


def power_text(power_mw: int | None) -> str:
    """Return a power for people, in W or kW with a sign only when it is negative.

    >>> power_text(12_340), power_text(-1_234_000), power_text(None)
    ('12.3 W', '-1.23 kW', 'not known')
    """
    if power_mw is None:
        return "not known"
    if abs(power_mw) >= 1_000_000:
        return f"{power_mw / 1_000_000:.2f} kW"
    return f"{power_mw / 1000:.1f} W"


def energy_text(energy_uwh: int | None) -> str:
    """Return an energy for people, in Wh or kWh.

    >>> energy_text(20_000_000), energy_text(1_500_000_000)
    ('20.00 Wh', '1.500 kWh')
    """
    if energy_uwh is None:
        return "not known"
    if abs(energy_uwh) >= 1_000_000_000:
        return f"{energy_uwh / 1_000_000_000:.3f} kWh"
    return f"{energy_uwh / 1_000_000:.2f} Wh"


def calibration_text(at_ms: int, power_gain_ppm: int, power_offset_mw: int) -> str:
    """Return since when and by how much a meter's power is corrected.

    >>> calibration_text(1_795_262_400_000, 12_000, 0)
    'calibrated since 2026-11-21 12:00 UTC, +1.2 %'
    >>> calibration_text(1_795_262_400_000, 0, -40)
    'calibrated since 2026-11-21 12:00 UTC, 0 % and +0.040 W'
    """
    when = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    zero = f" and {-power_offset_mw / 1000:+.3f} W" if power_offset_mw else ""
    return f"calibrated since {when}, {gain_text(power_gain_ppm)}{zero}"


def money_text(amount_utok: int | None) -> str:
    """Return an amount of tokens for people, with all six decimals that count.

    >>> money_text(1_234_560), money_text(-5)
    ('1.234560', '-0.000005')
    """
    if amount_utok is None:
        return "not known"
    sign = "-" if amount_utok < 0 else ""
    return f"{sign}{abs(amount_utok) // 1_000_000}.{abs(amount_utok) % 1_000_000:06d}"
