"""Relays on the page: a card each, with lease, reason and ages; on a click, why and what else.

A card stays where it is while its content changes. Every name is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Final

from nicegui import run, ui

from hub.errors import NoSuchEntry
from hub.web.view import Picture, RelayView, power_text
from hub.web.why import AlternativeView, DoneView, SeenView, WhyView

RELAYS_SHOWN: Final = 48
OTHERS_SHOWN: Final = 24
TakeWhy = Callable[[str], WhyView]


class RelayCards:
    """Owns the cards of one browser's page, and which of them are unfolded."""

    def __init__(self, take_why: TakeWhy) -> None:
        """Build the section where the page is being built."""
        self._take_why = take_why
        self._title = ui.html("", sanitize=False)
        self._grid = ui.element("div").classes("relays")
        self._cards: dict[str, Card] = {}

    def refresh(self, picture: Picture) -> None:
        """Show the relays of a picture."""
        relays = [relay for member in picture.members for relay in member.relays]
        self._title.set_content(title_html(picture, len(relays)))
        shown = {f"{relay.node}/{relay.relay}": relay for relay in relays[:RELAYS_SHOWN]}
        for name in [name for name in self._cards if name not in shown]:
            self._cards.pop(name).element.delete()
        for name, relay in shown.items():
            if name not in self._cards:
                with self._grid:
                    self._cards[name] = Card(name, self._take_why)
            self._cards[name].refresh(relay)


class Card:
    """One relay: what it is now, and an answer to *why* that is asked for on a click."""

    def __init__(self, name: str, take_why: TakeWhy) -> None:
        self._name, self._take_why = name, take_why
        self._decision: int | None = None
        with ui.element("div").classes("relay-card") as self.element:
            self._now = ui.html("", sanitize=False)
            with ui.expansion("why, and what else") as self._fold:
                self._why = ui.html("", sanitize=False)
        self._fold.on_value_change(self._ask)

    def refresh(self, relay: RelayView) -> None:
        """Show what is; ask again why if another decision spoke of it."""
        self._now.set_content(card_html(relay))
        if relay.decision != self._decision:
            self._decision = relay.decision
            if self._fold.value:
                ui.timer(0, self._ask, once=True)

    async def _ask(self) -> None:
        self.element.classes(**{"add" if self._fold.value else "remove": "unfolded"})
        if self._fold.value:
            self._why.set_content(await run.io_bound(self._answer) or "")

    def _answer(self) -> str:
        try:
            return why_html(self._take_why(self._name))
        except NoSuchEntry as missing:
            return f'<p class="soft">{escape(str(missing))}</p>'


def title_html(picture: Picture, count: int) -> str:
    """Return the heading, and how many relays are not here."""
    if not count:
        hidden = picture.disclosure != "open"
        said = "Each member sees his own: gridtally-member view." if hidden else ""
        return f'<h2>Relays</h2><p class="legend">{said}</p>' if said else ""
    more = count - RELAYS_SHOWN
    rest = f'<p class="legend">{more} more: /api/v1/relays</p>' if more > 0 else ""
    return f"<h2>Relays</h2>{rest}"


def card_html(relay: RelayView) -> str:
    """Return what a relay is now: load, reason, lease, and how old all of that is."""
    word = "not known" if relay.fed is None else "fed" if relay.fed else "cut"
    kind = "unknown" if relay.fed is None else word
    since = "" if relay.since_ms is None else f" since {clock_text(relay.since_ms)}"
    unsafe = "" if relay.is_failsafe else ' · <b class="warn">not fail-safe</b>'
    return (
        f'<div class="relay-head"><b>{escape(relay.load or relay.relay)}</b>'
        f'<span class="state {kind}">{word}</span><span class="soft">{escape(relay.member)}</span>'
        f'</div><p class="reason">{escape(reason_text(relay))}</p>{lease_html(relay)}'
        f'<p class="legend">{escape(relay.relay)}{since}{unsafe}<br>{ages_text(relay)}'
        f"{limit_text(relay)}</p>"
    )


def reason_text(relay: RelayView) -> str:
    """Return why it is so, in plain words.

    >>> reason_text(RelayView("r", "m", "n", "l", None, None, 0, "", "fed"))
    'nobody has heard its node lately'
    """
    if relay.unusable:
        return f"cannot be counted on: {relay.unusable}"
    if relay.fed is None:
        return relay.reason or "nobody has heard its node lately"
    if relay.wanted_cut is not None and relay.wanted_cut == relay.fed:
        wanted = "cut" if relay.wanted_cut else "fed"
        return f"to be {wanted}, and not there yet: {relay.reason or 'on the way'}"
    if relay.decision is None:
        return f"nobody has decided: {relay.failsafe} is its safe state"
    return relay.reason


def lease_html(relay: RelayView) -> str:
    """Return the lease that runs as a bar with its words; without one, what keeps it safe."""
    if not relay.lease_left_ms:
        return f'<p class="legend">no lease: the coil is off, so its load is {relay.failsafe}</p>'
    ttl_ms = max(relay.lease_ttl_ms or relay.lease_left_ms, relay.lease_left_ms)
    share = 100 * relay.lease_left_ms // ttl_ms
    words = f"lease {relay.lease_left_ms / 1000:.1f} s of {ttl_ms / 1000:.0f} s"
    return (
        f'<div class="lease-line"><span class="lease-bar"><i style="width:{share}%"></i></span>'
        f"<span>{words}</span></div>"
    )


def ages_text(relay: RelayView) -> str:
    """Return how old the guard's word and the load's sample are."""
    guard = "guard never heard" if relay.age_ms is None else f"guard {age_text(relay.age_ms)}"
    if relay.load_age_ms is None:
        return f"{guard} · load not metered now"
    return f"{guard} · load {power_text(relay.load_power_mw)}, {age_text(relay.load_age_ms)}"


def limit_text(relay: RelayView) -> str:
    """Return the limit that bound, and when that was decided."""
    if relay.decided_ms is None:
        return ""
    when = f"decided {clock_text(relay.decided_ms)}, entry {relay.decision}"
    return f"<br>limit: {escape(relay.limit)} · {when}"


def age_text(age_ms: int) -> str:
    """Return an age for people.

    >>> age_text(340), age_text(75_000)
    ('0.3 s old', '75 s old')
    """
    return f"{age_ms / 1000:.1f} s old" if age_ms < 10_000 else f"{age_ms // 1000} s old"


def clock_text(at_ms: int) -> str:
    """Return the time of day of an instant, with its day. [UTC]

    >>> clock_text(1_767_225_600_000)
    '01-01 00:00:00'
    """
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%m-%d %H:%M:%S")


def why_html(why: WhyView) -> str:
    """Return the decision that spoke of a relay last, what it rested on, and the alternatives."""
    if why.entry is None:
        return (
            '<p class="soft">No decision has spoken of it, so its coil is off and its load is '
            f"{escape(why.failsafe)}.</p>"
        )
    rows = (
        ("rule", why.rule),
        ("limit", why.limit),
        ("because", why.because),
        ("this relay", why.order),
    )
    said = "".join(f"<dt>{key}</dt><dd>{escape(text)}</dd>" for key, text in rows if text)
    done = "".join(f"<li>{_done(each)}</li>" for each in why.done)
    guard = f"<ul>{done}</ul>" if done else '<p class="soft">The guard has not answered yet.</p>'
    return (
        f'<div class="why"><div><dl>{said}</dl>{guard}{_hidden_html(why)}</div>'
        f"<div>{_seen_html(why)}</div><div>{_others_html(why)}</div></div>"
    )


def _done(done: DoneView) -> str:
    coil = "on" if done.energised else "off"
    reason = f", {escape(done.reason)}" if done.reason else ""
    said = f"{clock_text(done.at_ms)}: {escape(done.outcome)}, coil {coil}{reason}"
    return f'{said} <span class="soft">entry {done.entry}</span>'


def _seen_html(why: WhyView) -> str:
    if not why.view_kept:
        return '<p class="soft">What the hub saw is no longer kept; its root is on the ledger.</p>'
    rows = "".join(_seen_row(each) for each in why.seen)
    return f"<h3>What it rested on</h3><table>{rows}</table>" if rows else ""


def _seen_row(seen: SeenView) -> str:
    age = "never heard" if seen.power_mw is None else "of unknown age"
    age = age if seen.age_ms is None else age_text(seen.age_ms)
    danger = f"too old: counted as danger, {power_text(seen.rated_mw)}"
    note = danger if seen.counted == "danger" else escape(seen.quality)
    return (
        f"<tr><td>{escape(seen.meter_id)}</td><td>{power_text(seen.power_mw)}</td>"
        f"<td>{age}</td><td>{note}</td></tr>"
    )


def _others_html(why: WhyView) -> str:
    rows = "".join(_other_row(each) for each in why.others[:OTHERS_SHOWN])
    more = len(why.others) - OTHERS_SHOWN
    rest = f'<p class="soft">and {more} more</p>' if more > 0 else ""
    return f"<h3>What else it could have been</h3><table>{rows}</table>{rest}" if rows else ""


def _other_row(other: AlternativeView) -> str:
    word = "cut" if other.cut else "fed"
    return (
        f"<tr><td>{escape(other.load or other.relay)}</td>"
        f'<td class="{word}">{word}</td><td>{escape(other.reason)}</td></tr>'
    )


def _hidden_html(why: WhyView) -> str:
    if not why.hidden:
        return ""
    return f'<p class="soft">{why.hidden} values of others are not shown.</p>'
