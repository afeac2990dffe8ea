"""The one page: map, now strip, last slots, ledger head. It reads a `Picture` and changes nothing.

Every name that comes from a device or a member is shown as text: NiceGUI labels escape it, and the
few pieces of HTML built here escape it themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any

from nicegui import ui

from hub.banking.showing import bank_line
from hub.feeds.showing import fact_text
from hub.ordering.showing import market_lines
from hub.web.map import draw_map
from hub.web.relaycards import RelayCards, TakeWhy
from hub.web.view import (
    LedgerView,
    MatchView,
    MemberView,
    Picture,
    PositionView,
    SlotView,
    WitnessView,
    energy_text,
    money_text,
    power_text,
)

REFRESH_S = 1.0
SLOTS_SHOWN = 8
CHART_SLOTS_MAX = 96
CHART_MEMBERS_MAX = 24
EVERYBODY = "all members"


def build_page(
    take_picture: Callable[[], Picture], take_why: TakeWhy, *, has_board: bool = False
) -> None:
    """Build the page for one browser and keep it fresh while that browser looks at it."""
    ui.add_head_html('<link rel="stylesheet" href="/static/gridtally.css">')
    ui.add_head_html('<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">')
    head = ui.html("", sanitize=False)
    with ui.element("main").classes("page"):
        ledger = ui.html("", sanitize=False)
        strip = ui.html("", sanitize=False)
        facts = ui.html("", sanitize=False)
        wide = ui.html("", sanitize=False).classes("only-wide")
        narrow = ui.html("", sanitize=False).classes("only-narrow")
        relays = RelayCards(take_why)
        ui.html("<h2>Last slots</h2>", sanitize=False)
        slots = ui.html("", sanitize=False).classes("scroll")
        chart_title = ui.html("", sanitize=False)
        charts = ui.element("div").classes("charts")
        ui.html(FOOT + (TO_BOARD if has_board else ""), sanitize=False)
    plots: dict[str, ui.echart] = {}

    def refresh() -> None:
        picture = take_picture()
        head.set_content(head_html(picture))
        ledger.set_content(ledger_html(picture.ledger))
        strip.set_content(strip_html(picture) + market_html(picture) + bank_html(picture))
        facts.set_content(facts_html(picture))
        wide.set_content(draw_map(picture))
        narrow.set_content(draw_map(picture, narrow=True))
        relays.refresh(picture)
        slots.set_content(slots_html(picture.slots[:SLOTS_SHOWN]))
        chart_title.set_content(CHART_TITLE if charted(picture) else "")
        _refresh_charts(charts, plots, picture)

    refresh()
    ui.timer(REFRESH_S, refresh)


def _refresh_charts(place: ui.element, plots: dict[str, ui.echart], picture: Picture) -> None:
    for name in charted(picture):
        options = chart_options(name, picture.slots[:CHART_SLOTS_MAX])
        if name not in plots:
            with place:
                plots[name] = ui.echart(options).classes("chart")
        elif plots[name].options != options:
            plots[name].options.update(options)
            plots[name].update()


CHART_TITLE = (
    '<h2>Each member, slot by slot</h2><p class="legend">'
    '<b class="dot" style="background:var(--sun)"></b>generated'
    '<b class="dot" style="background:var(--leaf)"></b>used, with balancing'
    '<b class="dot" style="background:var(--rust)"></b>curtailed: wanted and not served</p>'
)
NO_TOTAL = (
    '<p class="legend">No total is shown: a member is not heard, or there are fewer than four, '
    "so that each could be told from the others.</p>"
)
UNTOLD = '<p class="legend">unaccounted: not known, no boundary meter tells it now</p>'
FOOT = (
    '<p class="legend">This page only reads. REST: <a href="/docs">/api/v1</a>, '
    '<a href="/metrics">/metrics</a>, <a href="/healthz">/healthz</a>.</p>'
)


TO_BOARD = (
    '<p class="legend">This is a simulation: <a href="/faults">let something go wrong</a>.</p>'
)


def charted(picture: Picture) -> list[str]:
    """Return who gets a chart: members that are shown one by one, else all of them together."""
    shown = [member.member for member in picture.members if member.is_live]
    has_totals = any(slot.totals for slot in picture.slots)
    return shown[:CHART_MEMBERS_MAX] or ([EVERYBODY] if has_totals else [])


def head_html(picture: Picture) -> str:
    """Return the banner, the alarms and the title line."""
    banner = ""
    if picture.simulation:
        banner = '<div class="simulation">SIMULATION: no real meters, no real money</div>'
    alarms = "".join(
        f'<div class="{kind}" role="alert">{escape(text)}</div>'
        for kind, texts in (
            ("alarm", picture.alarms),
            ("check", [f"Worth a check: {each.text}" for each in picture.suspects]),
            ("notice", picture.notices),
        )
        for text in texts
    )
    clock = "" if picture.at_ms is None else f"{time_text(picture.at_ms)} UTC"
    request = f'<span class="soft">{escape(picture.request)}</span>' if picture.request else ""
    return (
        f'{banner}{alarms}<header class="page top" style="margin-bottom:0;padding-bottom:0">'
        f"<h1>gridtally · {escape(picture.microgrid)}</h1><span>{clock}</span>{request}"
        f'<span class="soft">{disclosure_text(picture)}</span></header>'
    )


def disclosure_text(picture: Picture) -> str:
    """Return which disclosure is in force, and what it hides."""
    hides = {
        "open": "names, samples and trades are shown, bills are not",
        "pseudonymous_offers": "sources and trades are shown under pseudonyms, the rest in totals",
        "totals": "only totals over four members or more are shown",
    }
    fresh = "; pseudonyms change each slot" if picture.pseudonyms == "fresh" else ""
    said = hides.get(picture.disclosure, "nothing is shown")
    hidden = fresh if picture.disclosure != "open" else ""
    return f"disclosure <b>{escape(picture.disclosure)}</b>: {said}{hidden}"


def time_text(at_ms: int) -> str:
    """Return a UTC time for people, to the second.

    >>> time_text(1_767_225_600_000)
    '2026-01-01 00:00:00'
    """
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def ledger_html(ledger: LedgerView) -> str:
    """Return the ledger head with what this process's own verifier found."""
    if ledger.finding:
        state, words = "wrong", f"NOT VERIFIED: {escape(ledger.finding)}"
    elif ledger.verified and ledger.verified_age_ms is not None:
        state = ""
        words = (
            f"verified {ledger.verified_age_ms / 1000:.0f} s ago, "
            f"{ledger.verified_size} of {ledger.size} entries"
        )
    else:
        state, words = "pending", f"not verified yet, {ledger.verified_size} of {ledger.size}"
    return (
        f'<div class="ledger {state}"><b>Ledger</b><span>{ledger.size} entries</span>'
        f'<span>{words}</span><span class="soft">{escape(witness_text(ledger))}</span>'
        f"<code>root {escape(ledger.root[:32])}…</code></div>"
    )


def witness_text(ledger: LedgerView) -> str:
    """Return who else signed the ledger's head, how old that is, and whether it is enough.

    >>> witness_text(LedgerView(9, "", True, 9, 0, "", False))
    'unwitnessed: one machine vouches for itself'
    """
    said = ", ".join(_witness_words(witness) for witness in ledger.witnesses)
    if not ledger.witnessed:
        beside = f"; asked besides: {said}" if said else ""
        return f"unwitnessed: one machine vouches for itself{beside}"
    if not ledger.final_size:
        return f"QUORUM NOT MET, nothing is final: {said}"
    return f"final by quorum: {ledger.final_size} of {ledger.size} entries: {said}"


def _witness_words(witness: WitnessView) -> str:
    counts = "" if witness.counts else " (does not count)"
    name = f"{witness.kind} {witness.name}"
    if witness.age_s is None:
        return f"{name} never cosigned{counts}"
    return f"{name} cosigned {witness.size} entries {witness.age_s} s ago{counts}"


def strip_html(picture: Picture) -> str:
    """Return the now strip: sources above, sinks below, the residual named unaccounted."""
    totals = picture.totals
    if picture.disclosure != "open" and totals is None:
        return NO_TOTAL
    if totals is None:
        generated = sum(m.generation_mw or 0 for m in picture.members)
        load = sum(m.load_mw or 0 for m in picture.members)
    else:
        generated, load = totals.generation_mw, totals.load_mw
    tie = picture.boundary.power_mw if picture.boundary is not None else None
    sources = [("generation", "generated", generated)]
    sinks = [("load", "used", load)]
    if tie is not None:
        (sources if tie > 0 else sinks).append(
            (
                "import" if tie > 0 else "export",
                "from the tie" if tie > 0 else "to the tie",
                abs(tie),
            )
        )
    if picture.unaccounted_mw is not None:
        residual = picture.unaccounted_mw
        (sinks if residual >= 0 else sources).append(("unaccounted", "unaccounted", abs(residual)))
    unknown = _unknown_count(picture.members)
    residual_note = "" if picture.unaccounted_mw is not None else UNTOLD
    note = f'<p class="legend">{unknown} meters without a fresh sample are not in these sums</p>'
    scale = max(sum(power for _, _, power in side) for side in (sources, sinks))
    words = ("no fresh sample",) * 2 if unknown else ("nothing generated", "nothing used")
    bars = _bar(sources, scale, words[0]) + _bar(sinks, scale, words[1])
    return f"{bars}{note if unknown else ''}{residual_note}"


def facts_html(picture: Picture) -> str:
    """Return what feeders told, one line each, with its age or why a fallback counts."""
    lines = (f"<br>{escape(fact_text(fact))}" for fact in picture.facts)
    said = "".join(lines)
    return f'<p class="legend">Facts from outside, for the next slot:{said}</p>' if said else ""


def _unknown_count(members: tuple[MemberView, ...]) -> int:
    return sum(
        meter.power_mw is None
        for member in members
        for meter in member.meters
        if meter.purpose != "appliance"
    )


def _bar(parts: list[tuple[str, str, int]], scale_mw: int, nothing: str) -> str:
    """One row of the strip; both rows have one scale, and what no meter shows is left grey."""
    total = sum(power for _, _, power in parts)
    shown = [part for part in parts if part[2]]
    if scale_mw - total > scale_mw // 100:
        shown.append(("unmetered", "not metered", scale_mw - total))
    cells = "".join(
        f'<div class="{kind}" style="flex:{max(power, scale_mw // 200)} 0 0" '
        f'title="{word} {power_text(power)}">{word} {power_text(power)}</div>'
        for kind, word, power in shown
    )
    if not shown:
        cells = f'<div class="unmetered">{nothing}</div>'
    return f'<div class="strip" style="margin-bottom:4px">{cells}</div>'


def market_html(picture: Picture) -> str:
    """Return which market is in force, with its parameters, and which are to come."""
    lines = [escape(line.strip()) for line in market_lines(picture.markets)]
    return f'<p class="legend">Market: {"<br>".join(lines)}</p>' if lines else ""


def bank_html(picture: Picture) -> str:
    """Return when the bank pays out next, and what circulates where that may be shown."""
    said = "" if picture.bank is None else escape(bank_line(picture.bank))
    return f'<p class="legend">Bank: {said}</p>' if said else ""


def slots_html(slots: tuple[SlotView, ...]) -> str:
    """Return the table of closed slots, newest first."""
    if not slots:
        return '<p class="soft">No slot has closed yet.</p>'
    rows = "".join(_slot_row(slot) for slot in slots)
    return (
        '<table class="slots"><tr><th>slot (UTC)</th><th>who sold to whom</th>'
        "<th>curtailed</th><th>unaccounted</th><th>closed because</th></tr>" + rows + "</table>"
    )


def _slot_row(slot: SlotView) -> str:
    sold = "<br>".join(
        f"{escape(match.seller)} → {escape(match.buyer)} {energy_text(match.energy_uwh)} "
        f'<span class="soft">{_price(match)}</span>'
        for match in slot.matches
    )
    curtailed = "<br>".join(
        f"{escape(position.member)} {energy_text(position.curtailed_uwh)}"
        for position in slot.positions
        if position.curtailed_uwh
    )
    shifted = "".join(
        f'<br><span class="soft">{escape(position.member)} shifted '
        f"{energy_text(position.shifted_uwh)}</span>"
        for position in slot.positions
        if position.shifted_uwh
    )
    if not slot.positions and slot.totals is not None and slot.totals.curtailed_uwh:
        curtailed = f"in all {energy_text(slot.totals.curtailed_uwh)}"
    marked = " · estimated" if any(position.estimated for position in slot.positions) else ""
    failed = f" · FAILED, settled at the tariff: {escape(slot.failure)}" if slot.failure else ""
    return (
        f'<tr><td class="when">{time_text(slot.start_ms)}</td>'
        f'<td data-label="sold">{sold or _unsold(slot)}</td>'
        f'<td data-label="curtailed">{curtailed or _uncurtailed(slot)}{shifted}</td>'
        f'<td class="number" data-label="unaccounted">{_unaccounted(slot)}</td>'
        f'<td data-label="closed">{escape(slot.reason)}{marked}{failed}</td></tr>'
    )


def _price(match: MatchView) -> str:
    """The amount for those whose bill it stands on, for others the price."""
    if match.amount_utok is not None:
        return f"for {money_text(match.amount_utok)}"
    return f"at {money_text(match.price_utok_per_kwh)} per kWh"


def _unsold(slot: SlotView) -> str:
    if slot.disclosure != "totals":
        return "nobody"
    if slot.totals is None:
        return "not shown"
    return f"{slot.totals.members} members, in all {energy_text(slot.totals.matched_uwh)}"


def _uncurtailed(slot: SlotView) -> str:
    return "nothing" if slot.positions or slot.totals is not None else "not shown"


def _unaccounted(slot: SlotView) -> str:
    is_hidden = slot.disclosure != "open" and slot.totals is None
    return "not shown" if is_hidden else energy_text(slot.unaccounted_uwh)


def chart_options(member: str, slots: tuple[SlotView, ...]) -> dict[str, Any]:
    """Return the chart of one member: generated, used and curtailed energy by slot. [Wh]"""
    generated, used, curtailed, labels = [], [], [], []
    for slot in reversed(slots):
        labels.append(time_text(slot.start_ms)[11:16])
        mine = slot.totals if member == EVERYBODY else _position(slot, member)
        generated.append(_wh(mine.generation_uwh if mine else None))
        used.append(_wh(mine.load_uwh if mine else None))
        curtailed.append(_wh(mine.curtailed_uwh if mine else None))
    bar = {"type": "bar", "stack": "load", "barMaxWidth": 18}
    return {
        "title": {"text": member, "textStyle": {"fontSize": 14}},
        "animation": False,
        "grid": {"left": 46, "right": 8, "top": 34, "bottom": 24},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "category", "data": labels},
        "yAxis": {"type": "value", "name": "Wh"},
        "series": [
            {**bar, "name": "used", "data": used, "itemStyle": {"color": "#2d7d46"}},
            {**bar, "name": "curtailed", "data": curtailed, "itemStyle": {"color": "#b3261e"}},
            {
                "type": "line",
                "step": "middle",
                "symbol": "none",
                "name": "generated",
                "data": generated,
                "lineStyle": {"color": "#c98a00", "width": 3},
            },
        ],
    }


def _position(slot: SlotView, member: str) -> PositionView | None:
    return next((each for each in slot.positions if each.member == member), None)


def _wh(energy_uwh: int | None) -> float | None:
    return None if energy_uwh is None else energy_uwh / 1_000_000
