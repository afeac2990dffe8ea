"""Model files: what they say, and what is told of wrong ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from hardware.errors import BadModelFile, UnknownModel
from hardware.modelfile import load_model, parse_model, shipped_model, shipped_names
from hardware.ports import Manners

HEAD = """\
title = "A meter"
measures = "one phase of mains"
source = "its sheet"
[link]
baud = 9600
"""
POWER = """\
[[register]]
name = "power"
unit = "W"
address = 0x0010
"""


def findings(text: str) -> list[str]:
    with pytest.raises(BadModelFile) as caught:
        parse_model(text, Path("my_meter.toml"))
    return list(caught.value.findings)


def test_what_a_register_does_not_say_stands_in_the_defaults():
    text = HEAD + '[defaults]\nfunction = 3\ntype = "s32"\nword_order = "low_first"\n' + POWER
    own = '[[register]]\nname = "mode"\naddress = 5\nfunction = 4\ntype = "u16"\n'
    model = parse_model(text + own, Path("my_meter.toml"))
    power, mode = model.register("power"), model.register("mode")
    assert (power.function, power.type, power.words, power.low_first) == (3, "s32", 2, True)
    assert (mode.function, mode.type, mode.words) == (4, "u16", 1)
    assert model.name == "my_meter"


def test_scales_are_exact_and_limits_become_manners():
    limits = "[limits]\npause_ms = 50\nlatency_ms = 400\nwords_max = 10\nwords_most = 40\n"
    model = parse_model(HEAD + limits + POWER + 'scale = "1/3"\n', Path("a.toml"))
    assert model.register("power").scale == Fraction(1, 3)
    assert (model.manners, model.words_most) == (Manners(50, 400), 40)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("u16", (0xFFFF,)),
        ("s16", (0x7FFF,)),
        ("u64", (0xFFFF_FFFF_FFFF_FFFF,)),
        ("s32", (0x7FFF_FFFF,)),
        ("high_u8", (0xFF,)),
        ("low_s8", (0x7F,)),
    ],
)
def test_max_is_the_greatest_number_of_the_type(kind, codes):
    text = HEAD + POWER + f'type = "{kind}"\nnot_available_is = "max"\n'
    assert parse_model(text, Path("a.toml")).register("power").not_available == codes


def test_reads_are_planned_within_the_limit_and_over_holes():
    rows = "".join(
        f'[[register]]\nname = "r{place}"\naddress = {place}\n' for place in (0, 1, 4, 9, 10)
    )
    text = HEAD + "[limits]\nwords_max = 8\nhole_words_max = 2\n" + rows
    model = parse_model(text, Path("a.toml"))
    names = [register.name for register in model.registers]
    assert [(b.address, b.count) for b in model.plan(names)] == [(0, 5), (9, 2)]
    assert [(b.address, b.count) for b in model.plan(names, 2)] == [(0, 2), (4, 1), (9, 2)]


@pytest.mark.parametrize(
    ("more", "line", "says"),
    [
        (POWER + 'scale = "0"\n', 10, "a scale of nothing"),
        (POWER + 'scale = "a tenth"\n', 10, '"a tenth" is no exact number'),
        (POWER + "scale = 0.1\n", 10, "scale must be text, got 0.1"),
        (POWER + "sign = 0\n", 10, "sign: 0 is neither 1 nor -1"),
        (POWER + "low = 5\nhigh = 4\n", 10, "low: 5 is above high, 4"),
        (POWER + 'times = ["ratio"]\n', 10, 'times: no register is named "ratio"'),
        (POWER + POWER, 11, 'two registers are named "power"'),
        (POWER.replace('"power"', '"Total P"'), 7, '"Total P" is no name, want small letters'),
        (POWER.replace('"W"', '"Watt"'), 8, 'unit: "Watt" is none of'),
        (POWER + 'type = "ascii"\n', 6, 'missing key "words": a text says how many'),
        (POWER + "address2 = 1\n", 10, 'unknown key "address2"'),
        ("[identify]\nfunction = 3\naddress = 1\n", 6, "identify: wants values or texts"),
        (POWER + '[sample]\nvoltage_mv = ["power"]\n', 11, 'register "power" is in "W", want V'),
        (POWER + '[sample]\npower_mw = ["-p"]\n', 11, 'power_mw: no register is named "-p"'),
        ("[limits]\nwords_max = 126\n", 7, "words_max: 126 is above 125"),
    ],
)
def test_each_finding_has_its_line(more, line, says):
    (finding,) = findings(HEAD + more)
    assert finding.startswith(f"my_meter.toml:{line}: ")
    assert says in finding


def test_all_findings_come_at_once():
    text = 'title = 5\nbuses = ["modbus-rtu"]\n' + POWER + 'type = "u24"\n'
    found = findings(text)
    wanted = ("title must be text", '"modbus-rtu" is none of', 'type: "u24" is none of')
    for each in (*wanted, 'missing key "measures"', 'missing key "source"'):
        assert any(each in finding for finding in found), each


def test_a_device_on_serial_lines_says_how_its_own_is_set():
    text = HEAD.replace("[link]\nbaud = 9600\n", "")
    (finding,) = findings(text + POWER)
    assert 'missing table "link"' in finding
    assert parse_model('buses = ["modbus_tcp"]\n' + text + POWER, Path("a.toml")).table.link is None


def test_broken_toml_and_missing_files_are_told_with_their_name(tmp_path):
    assert findings(HEAD + "[[register\n")[0].startswith("my_meter.toml:6: ")
    with pytest.raises(BadModelFile, match=r"none\.toml: cannot be read: No such file"):
        load_model(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"title = '\xe9'\n")
    with pytest.raises(BadModelFile, match="not UTF-8 text"):
        load_model(tmp_path / "latin.toml")


def test_shipped_models_are_found_by_name():
    assert "sdm120" in shipped_names()
    assert shipped_model("sdm120") is shipped_model("sdm120")
    with pytest.raises(UnknownModel, match=r"sdm999\.toml"):
        shipped_model("sdm999")
    with pytest.raises(UnknownModel, match="sdm120 has no register 'volts'"):
        shipped_model("sdm120").register("volts")
