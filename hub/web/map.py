"""The microgrid map: every member around one bus, drawn as SVG text. Pure.

Width of a line is power, moving dashes are its direction, shape and colour together say the state
of a meter, and each relay is a drawn switch with its lease running down. Names come from devices
and members, so each is escaped before it is drawn.
"""

from __future__ import annotations

from html import escape

from hub.web.view import (
    Badge,
    MemberView,
    MeterView,
    Picture,
    RelayView,
    SourceView,
    calibration_text,
    power_text,
)

CARD_WIDTH = 236
CARD_HEAD = 92
HIDDEN_HEAD = 38
SOURCE_ROW = 19
SOURCE_MAX = 34
RELAY_ROW = 26
GAP = 22
FEEDER = 64
LINE_MIN, LINE_MAX = 2, 16
LABEL_MAX = 11
STILL_MW = 50  # below the noise of an INA219 on a 0.1 ohm shunt

BADGES: dict[Badge, tuple[str, str]] = {
    "signed": ("M-5 0 L-1.5 4 L5 -4", "signed and fresh"),
    "late": ("M0 -5 V1 M0 4 V5", "late: the newest sample is old"),
    "silent": ("M-4 -4 L4 4 M4 -4 L-4 4", "silent: nothing heard"),
}


WIDE_COLUMNS_MAX = 6
NO_MEMBERS = '<p class="soft">No member is shown by itself.</p>'


def draw_map(picture: Picture, *, narrow: bool = False) -> str:
    """Return the map of `picture` as one SVG element, for a wide or a phone-narrow screen."""
    members = picture.members
    if not members and picture.boundary is None and picture.disclosure != "open":
        return NO_MEMBERS
    if narrow or len(members) <= 1:
        return _draw_column(picture)
    return _draw_bus(picture, members)


def _draw_bus(picture: Picture, members: tuple[MemberView, ...]) -> str:
    """The bus runs across, members above and below it; more than two rows fold it like a snake."""
    per_side = min(WIDE_COLUMNS_MAX, max(3, (len(members) + 1) // 2))
    rows = [members[i : i + per_side] for i in range(0, len(members), per_side)]
    peak = _peak(picture)
    parts: list[str] = []
    buses: list[int] = []
    width = per_side * (CARD_WIDTH + GAP) + GAP
    y = 8
    for first in range(0, len(rows), 2):
        above, below = rows[first], rows[first + 1] if first + 1 < len(rows) else ()
        bus_y = y + max(_height(m) for m in above) + FEEDER
        buses.append(bus_y)
        for column, member in enumerate(above):
            parts += _hang(member, column, bus_y - FEEDER - _height(member), bus_y, peak)
        for column, member in enumerate(below):
            parts += _hang(member, column, bus_y + FEEDER, bus_y, peak)
        y = bus_y + GAP + (FEEDER + max(_height(m) for m in below) if below else 12)
    if picture.boundary is not None:
        x = GAP + CARD_WIDTH // 2 + (per_side - 1) * (CARD_WIDTH + GAP)
        parts.append(_flow(f"M{x} {buses[-1]} V{y}", picture.boundary.power_mw, peak, tie=True))
        parts.append(_boundary_box(picture, x - CARD_WIDTH // 2, y))
        y += 60
    left, right = GAP // 2, width - GAP // 2
    bus = "".join(f"M{right} {at} H{left}" for at in buses) + f"M{left} {buses[0]} V{buses[-1]}"
    parts.append(f'<path class="bus" d="{bus}"/>')
    return _svg(parts, width, y)


def _hang(member: MemberView, column: int, top: int, bus_y: int, peak_mw: int) -> list[str]:
    x = GAP + column * (CARD_WIDTH + GAP)
    edge = top + _height(member) if top < bus_y else top
    return [
        _feeder(
            x + CARD_WIDTH // 2,
            edge,
            bus_y,
            member.net_mw,
            peak_mw,
            is_hidden=not member.is_live,
        ),
        _card(member, x, top),
    ]


def _draw_column(picture: Picture) -> str:
    """One bus down the left edge, a card beside it for each member: for a phone."""
    peak = _peak(picture)
    parts: list[str] = []
    y = 10
    left = 18
    x = left + FEEDER // 2 + 10
    for member in picture.members:
        height = _height(member)
        parts.append(_flow(f"M{left} {y + 40} H{x}", member.net_mw, peak))
        parts.append(_card(member, x, y))
        y += height + GAP
    if picture.boundary is not None:
        parts.append(_flow(f"M{left} {y + 20} H{x}", picture.boundary.power_mw, peak, tie=True))
        parts.append(_boundary_box(picture, x, y))
        y += 60
    parts.insert(0, f'<path class="bus" d="M{left} 6 V{y - 10}"/>')
    return _svg(parts, x + CARD_WIDTH + 10, y)


def _svg(parts: list[str], width: int, height: int) -> str:
    return (
        f'<svg class="map" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Microgrid map" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _peak(picture: Picture) -> int:
    powers = [abs(m.net_mw) for m in picture.members if m.net_mw is not None]
    if picture.boundary is not None and picture.boundary.power_mw is not None:
        powers.append(abs(picture.boundary.power_mw))
    return max(powers, default=0) or 1


def _width(power_mw: int | None, peak_mw: int) -> int:
    if not power_mw:
        return LINE_MIN
    return LINE_MIN + abs(power_mw) * (LINE_MAX - LINE_MIN) // peak_mw


def _flow(path: str, net_mw: int | None, peak_mw: int, *, tie: bool = False) -> str:
    """A line from the bus outward. A member's import leaves the bus; the tie's import feeds it."""
    width = _width(net_mw, peak_mw)
    if net_mw is None:
        return f'<path class="feeder unknown" d="{path}"/>'
    kind = "still" if abs(net_mw) < STILL_MW else ("import" if net_mw > 0 else "export")
    back = " back" if (net_mw > 0) == tie else ""
    return (
        f'<path class="feeder {kind}" style="stroke-width:{width}px" d="{path}"/>'
        f'<path class="dashes {kind}{back}" d="{path}" '
        f'style="stroke-width:{max(2, width // 2)}px"/>'
    )


def _feeder(
    x: int, card_y: int, bus_y: int, net_mw: int | None, peak_mw: int, *, is_hidden: bool
) -> str:
    middle = (card_y + bus_y) // 2
    said = "" if is_hidden else _direction(net_mw)
    return _flow(f"M{x} {bus_y} V{card_y}", net_mw, peak_mw) + (
        f'<text class="flow" x="{x + 14}" y="{middle + 5}">{said}</text>'
    )


def _direction(net_mw: int | None) -> str:
    if net_mw is None:
        return "not known"
    if abs(net_mw) < STILL_MW:
        return "balanced"
    return f"takes {power_text(net_mw)}" if net_mw > 0 else f"gives {power_text(-net_mw)}"


def _height(member: MemberView) -> int:
    return _head(member) + RELAY_ROW * len(member.relays) + (6 if member.relays else 0)


def _head(member: MemberView) -> int:
    """Height above the relays: name, sources, and where samples are shown powers and meters."""
    name = CARD_HEAD if member.is_live else HIDDEN_HEAD
    return name + (SOURCE_ROW if member.sources else 0)


def _card(member: MemberView, x: int, y: int) -> str:
    head = _head(member)
    relays = "".join(
        _relay_row(relay, x, y + head + RELAY_ROW * i) for i, relay in enumerate(member.relays)
    )
    side = _direction(member.net_mw) if member.is_live else ""
    return (
        f'<g><rect class="card" x="{x}" y="{y}" width="{CARD_WIDTH}" height="{_height(member)}"'
        f' rx="10"/><text class="name" x="{x + 14}" y="{y + 24}">{escape(member.member)}</text>'
        f'<text class="side" x="{x + CARD_WIDTH - 14}" y="{y + 24}">{side}</text>'
        f"{_sources(member, x, y + 43)}{_powers(member, x, y + head - CARD_HEAD)}{relays}</g>"
    )


def _sources(member: MemberView, x: int, y: int) -> str:
    """What its energy comes from, and where; as much as fits, and all of it in the title."""
    if not member.sources:
        return ""
    every = "; ".join(_source(source) for source in member.sources)
    short = every if len(every) <= SOURCE_MAX else every[: SOURCE_MAX - 1] + "…"
    return (
        f'<text class="source" x="{x + 14}" y="{y}">{escape(short)}'
        f"<title>{escape(every)}</title></text>"
    )


def _source(source: SourceView) -> str:
    return ", ".join(word for word in (source.fuel, source.location) if word)


def _powers(member: MemberView, x: int, y: int) -> str:
    """Generation, load and the state of each meter."""
    if not member.is_live:
        return ""
    settled = [meter for meter in member.meters if meter.purpose != "appliance"]
    marks = "".join(
        _meter_mark(meter, x + 23 + 22 * i, y + 72) for i, meter in enumerate(settled[:9])
    )
    return (
        f'<text class="quantity" x="{x + 14}" y="{y + 46}">☀ {_shown(member.generation_mw)}'
        f'</text><text class="quantity" x="{x + CARD_WIDTH // 2}" y="{y + 46}">'
        f"⌂ {_shown(member.load_mw)}</text>{marks}"
    )


def _shown(power_mw: int | None) -> str:
    return "–" if power_mw is None else power_text(power_mw)


def _meter_mark(meter: MeterView, x: int, y: int) -> str:
    path, meaning = BADGES[meter.badge]
    age = "" if meter.age_ms is None else f", {meter.age_ms / 1000:.1f} s old"
    quality = f", {escape(meter.quality)}" if meter.quality else ""
    source = _source(SourceView(meter.fuel, meter.location))
    purpose = escape(f"{meter.purpose}: {source}" if source else meter.purpose)
    return (
        f'<g class="badge {meter.badge}" transform="translate({x} {y})"><circle r="8.5"/>'
        f'<path d="{path}"/><title>{escape(meter.meter_id)} ({purpose}): '
        f"{power_text(meter.power_mw)}{age}; {meaning}{quality}{_calibration(meter)}</title></g>"
    )


def _calibration(meter: MeterView) -> str:
    """Since when and by how much a meter is corrected, and what its device says itself."""
    view = meter.calibration
    if view is None:
        return ""
    device = "" if view.device_mw is None else f" (its device says {power_text(view.device_mw)})"
    text = calibration_text(view.since_ms, view.power_gain_ppm, view.power_offset_mw)
    return f"; {text}{device}"


def _relay_row(relay: RelayView, x: int, y: int) -> str:
    """A switch: two contacts and a blade that lies across them when the load is fed."""
    state = "unknown" if relay.fed is None else ("fed" if relay.fed else "cut")
    blade = "M18 13 H38" if relay.fed else "M18 13 L36 2"
    left = max(0, relay.lease_left_ms)
    lease = f"{left / 1000:.0f} s" if left else ""
    bar = min(60, 60 * left // 5000)
    unsafe = "" if relay.is_failsafe else "; not fail-safe"
    stuck = f"; not to be counted on: {relay.unusable}" if relay.unusable else ""
    meaning = escape(
        f"{relay.relay}: load {state}; lease {lease or 'none'}; {relay.reason}{unsafe}{stuck}"
    )
    return (
        f'<g class="relay {state}{" stuck" if stuck else ""}" transform="translate({x} {y})">'
        f"<title>{meaning}</title>"
        f'<circle cx="16" cy="13" r="2.5"/><circle cx="40" cy="13" r="2.5"/>'
        f'<path class="blade" d="{blade}"/>'
        f'<text x="52" y="17">{escape(_label(relay))}</text>'
        f'<rect class="lease-back" x="138" y="9" width="60" height="6" rx="3"/>'
        f'<rect class="lease" x="138" y="9" width="{bar}" height="6" rx="3"/>'
        f'<text class="side" x="{CARD_WIDTH - 12}" y="17">{"stuck" if stuck else lease}</text></g>'
    )


def _label(relay: RelayView) -> str:
    """The relay's name without what the card says already, short enough for its row."""
    name = relay.relay.removeprefix(f"{relay.member}-").removeprefix(f"{relay.node}-")
    name = name.removesuffix("-relay") or relay.relay
    return name if len(name) <= LABEL_MAX else name[: LABEL_MAX - 1] + "…"


def _boundary_box(picture: Picture, x: int, y: int) -> str:
    meter = picture.boundary
    if meter is None:
        return ""
    residual = (
        ""
        if picture.unaccounted_mw is None
        else (f"unaccounted {power_text(picture.unaccounted_mw)}")
    )
    return (
        f'<g><rect class="card tie" x="{x}" y="{y}" width="{CARD_WIDTH}" height="48" rx="10"/>'
        f'<text class="name" x="{x + 14}" y="{y + 20}">boundary</text>'
        f'<text class="side" x="{x + CARD_WIDTH - 14}" y="{y + 19}">{power_text(meter.power_mw)}'
        f'</text><text class="quantity" x="{x + 14}" y="{y + 39}">{residual}</text>'
        f"{_meter_mark(meter, x + CARD_WIDTH - 23, y + 33)}</g>"
    )
