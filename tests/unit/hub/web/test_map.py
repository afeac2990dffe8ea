"""The map says with width, direction, shape and words what the picture holds, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from hub.web.map import LINE_MAX, LINE_MIN, draw_map
from hub.web.view import CalibrationView, SourceView
from tests.support.pictures import member, meter, picture, relay

HOSTILE = '<script>alert(1)</script>"&'


def texts(svg: str) -> list[str]:
    return [
        node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag[-4:] == "text"
    ]


def feeders(svg: str) -> list[tuple[str, int]]:
    found = re.findall(r'class="feeder (\w+)" style="stroke-width:(\d+)px"', svg)
    return [(kind, int(width)) for kind, width in found]


def test_a_member_that_takes_and_one_that_gives_are_drawn_apart() -> None:
    svg = draw_map(picture(member("dep1", 40_000), member("dep2", -10_000)))

    assert feeders(svg) == [
        ("import", LINE_MAX),
        ("export", LINE_MIN + 10_000 * (LINE_MAX - LINE_MIN) // 40_000),
    ]
    assert texts(svg).count("takes 40.0 W") == 2
    assert texts(svg).count("gives 10.0 W") == 2


def test_dashes_run_from_the_giver_to_the_taker() -> None:
    svg = draw_map(picture(member("dep1", 40_000), member("dep2", -10_000)))

    assert re.findall(r'class="dashes ([\w ]+)"', svg) == ["import", "export back"]


def test_a_tie_that_imports_feeds_the_bus() -> None:
    tie = meter("tie", 5_000, purpose="boundary")
    svg = draw_map(picture(member("dep1", 1), member("dep2", 2), boundary=tie))

    assert re.findall(r'class="dashes ([\w ]+)"', svg)[-1] == "import back"


def test_unknown_power_is_unknown_and_not_zero() -> None:
    svg = draw_map(picture(member("dep1", None, generation_mw=None), member("dep2", 0)))

    assert 'class="feeder unknown"' in svg
    assert "not known" in texts(svg)
    assert "☀ –" in texts(svg)


def test_a_cut_load_is_an_open_switch_with_its_lease_running_down() -> None:
    both = (relay("heater", fed=False, lease_left_ms=2500), relay("lamp", fed=True))
    svg = draw_map(picture(member("dep1", 1), member("dep2", 1, relays=both)))

    assert re.findall(r'class="relay (\w+)"', svg) == ["cut", "fed"]
    assert re.findall(r'class="lease" x="\d+" y="\d+" width="(\d+)"', svg) == ["30", "0"]
    assert "heater: load cut; lease 2 s; deficit 40.0 W<" in svg


def test_a_relay_that_is_not_fail_safe_says_so() -> None:
    unsafe = replace(relay("pump", fed=True), is_failsafe=False)
    svg = draw_map(picture(member("dep1", 1), member("dep2", 1, relays=(unsafe,))))
    assert "pump: load fed; lease none; deficit 40.0 W; not fail-safe<" in svg


@pytest.mark.parametrize(
    ("name", "label"),
    [("dep2-fan-relay", "fan"), ("heater", "heater"), ("dep2-electrolyser-1", "electrolys…")],
)
def test_a_relay_is_named_without_what_its_card_says(name: str, label: str) -> None:
    svg = draw_map(picture(member("dep2", 1, relays=(relay(name, fed=True),)), member("x", 1)))
    assert label in texts(svg)


@pytest.mark.parametrize("narrow", [False, True])
def test_hostile_names_are_text(narrow: bool) -> None:
    evil = replace(relay(HOSTILE, fed=None), reason=HOSTILE)
    wild = member(HOSTILE, 1, meters=(meter(HOSTILE, None, purpose=HOSTILE),), relays=(evil,))
    svg = draw_map(picture(wild, member("dep2", 2)), narrow=narrow)

    assert "<script" not in svg
    ElementTree.fromstring(svg)
    assert HOSTILE in texts(svg)
    assert HOSTILE[:10] + "…" in texts(svg)


@pytest.mark.parametrize("count", [0, 1, 2, 6, 7, 13, 40])
@pytest.mark.parametrize("narrow", [False, True])
def test_every_member_is_on_the_one_bus(count: int, narrow: bool) -> None:
    members = [member(f"m{i}", i + 1) for i in range(count)]
    svg = draw_map(picture(*members), narrow=narrow)

    assert svg.count('class="bus"') == 1
    assert [text for text in texts(svg) if text.startswith("m")] == [f"m{i}" for i in range(count)]
    assert len(feeders(svg)) == count


def test_a_corrected_meter_says_since_when_by_how_much_and_what_its_device_says() -> None:
    plain = meter("m", 1_000_000)
    view = CalibrationView(1_795_262_400_000, 12_000, 0, 988_142, 17)
    for calibration, said in (
        (None, "fresh"),
        (
            view,
            "fresh; calibrated since 2026-11-21 12:00 UTC, +1.2 % (its device says 988.1 W)",
        ),
        (replace(view, device_mw=None), "fresh; calibrated since 2026-11-21 12:00 UTC, +1.2 %"),
    ):
        marks = (replace(plain, calibration=calibration),)
        svg = draw_map(picture(member("dep1", 1, meters=marks), member("dep2", 2, meters=())))
        assert f"{said}</title>" in svg


def test_badges_tell_by_shape_as_well_as_colour() -> None:
    marks = tuple(replace(meter(b, 1), badge=b) for b in ("signed", "late", "silent"))
    svg = draw_map(picture(member("dep1", 1, meters=marks), member("dep2", 2, meters=())))

    shapes = re.findall(r'class="badge (\w+)".*?<path d="([^"]+)"', svg)
    assert [name for name, _ in shapes] == ["signed", "late", "silent"]
    assert len({shape for _, shape in shapes}) == 3


def test_sources_are_named_and_hidden_members_show_nothing_else() -> None:
    sources = (SourceView("solar", "Upper Mill"), SourceView("wind", "<Hill> with a long name"))
    svg = draw_map(picture(member("dep1", 5_000, sources=sources)))
    assert "solar, Upper Mill; wind, <Hill> w…" in texts(svg)
    assert "&lt;Hill&gt; with a long name</title>" in svg
    hidden = member("m-1", None, sources=sources[:1], is_live=False, meters=(), relays=())
    svg = draw_map(picture(hidden, member("m-2", None, is_live=False), disclosure="totals"))
    assert [text for text in texts(svg) if text] == ["m-1", "solar, Upper Mill", "m-2"]
    ElementTree.fromstring(svg)


def test_where_no_member_is_shown_nothing_is_drawn() -> None:
    assert "No member is shown" in draw_map(picture(disclosure="totals"))
    assert "<svg" in draw_map(picture())
