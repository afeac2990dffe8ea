"""docs/devices-adding.md adds a meter by two files; here they are run as they are printed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from hardware import catalog, errors, modelfile
from hardware.mock.wires.modbus_pdu import answer
from hardware.mock.wires.modbus_rtu import crc16
from hardware.registers import UNITS, WORDS_OF
from tests.support.hardware_bench import ModbusDirect
from tests.support.played import played
from tests.support.source import ROOT
from tests.support.vector_device import VectorDevice

TEXT = (ROOT / "docs" / "devices-adding.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL))
VECTORS = json.loads(FILES["fjord_em7.json"])
NAMES = set(re.findall(r"`([^`\n]+)`", TEXT))


def shown_after(mark: str) -> list[str]:
    """Return the blocks that stand after a mark of the page, in order."""
    after = TEXT.split(f"<!-- {mark} -->\n", 1)[1]
    return re.findall(r"```\w*\n(.*?)```", after, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, and in it."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> modelfile.Model:
    return modelfile.load_model(folder / "fjord_em7.toml")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def test_the_page_has_its_files():
    assert set(FILES) == {"fjord_em7.toml", "wrong.toml", "fjord_em7.json"}


def test_the_command_prints_what_the_page_shows(folder):
    command, printed = shown_after("command")[:2]
    program, *words = re.findall(r'"[^"]*"|\S+', command)
    assert program == "gridtally-edge"
    done = run(*(word.strip('"') for word in words))
    assert (done.exit_code, done.stdout) == (0, printed)


def test_what_is_wrong_is_told_as_the_page_shows(folder):
    done = run("decode", "./wrong.toml", "00", "00")
    assert (done.exit_code, done.stderr) == (78, shown_after("findings")[0])


@pytest.mark.parametrize("row", VECTORS["exchanges"], ids=lambda row: row["name"])
def test_each_vector_says_what_it_is_expected_to_say(folder, row):
    for frame in (bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])):
        assert crc16(frame[:-2]) == frame[-2:]
    done = run("decode", "--json", "./fjord_em7.toml", row["request"], row["reply"])
    assert json.loads(done.stdout) == row["expect"]
    assert played(row)


@pytest.mark.parametrize("row", VECTORS["negative"], ids=lambda row: row["name"])
def test_each_negative_is_refused_by_name(row):
    with pytest.raises(getattr(errors, row["error"])):
        played(row)


def test_the_vectors_hold_a_whole_sample_which_takes_one_request(model, folder):
    bus = ModbusDirect(VectorDevice(model, VECTORS))
    sample = catalog.make_meter("./fjord_em7.toml", bus, {"address": 1}).sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-64_500, 230_500, 112)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (
        12_345_670 * 10**6,
        678_900 * 10**6,
    )
    assert (sample.frequency_mhz, sample.quality) == (49_980, "")
    assert [request.hex(" ") for request in bus.requests] == ["03 00 00 00 01", "03 00 0a 00 0e"]


def test_another_meter_under_its_id_is_refused(model, folder):
    class Other(VectorDevice):
        def read_words(self, function: int, address: int, count: int) -> Any:
            return [1908] if address == 0 else super().read_words(function, address, count)

    meter = catalog.make_meter(
        "./fjord_em7.toml", ModbusDirect(Other(model, VECTORS)), {"address": 1}
    )
    with pytest.raises(errors.WrongDevice, match="it calls itself '0x0774', want 0x0773"):
        meter.sample()


def test_it_keeps_to_what_the_page_asks_of_shipped_models(model):
    sample = model.table.sample
    for name in (name for field in fields(sample) for name in getattr(sample, field.name)):
        register = model.register(name)
        assert register.key.endswith("wh") or None not in (register.low, register.high)


def test_the_meter_of_the_page_is_configured_without_a_finding(folder):
    (table,) = tomllib.loads(shown_after("edge.toml")[0])["meter"]
    given = {"address": table["address"]}
    assert catalog.check_meter(table["model"], "modbus_rtu", given) == ()
    (finding,) = catalog.check_meter(table["model"], "modbus_rtu", {**given, "words_max": 17})
    assert "from 1 to 16" in finding.rule


def test_a_trace_is_read_again_as_the_page_says(model, folder):
    device = VectorDevice(model, VECTORS)
    lines = ["# gridtally trace 1", "# bus rs485 modbus_rtu"]
    for place, request in enumerate(("03 00 00 00 01", "03 00 0A 00 0E")):
        reply = answer(device, bytes.fromhex(request))
        for direction, pdu in ((">", bytes.fromhex(request)), ("<", reply)):
            frame = b"\x01" + pdu + crc16(b"\x01" + pdu)
            lines.append(f"2026-11-21T08:15:00.{place}00000Z {direction} {frame.hex(' ').upper()}")
    (folder / "night.trace").write_text("\n".join(lines) + "\n")
    (command,) = re.findall(r"`gridtally-edge (replay [^`]+)`", TEXT)
    done = run(*command.split(), "--json")
    (sample,) = json.loads(done.stdout)
    assert (sample["power_mw"], sample["energy_export_uwh"]) == (-64_500, 678_900 * 10**6)


TABLES = (
    modelfile.ModelTable,
    modelfile.LinkTable,
    modelfile.LimitsTable,
    modelfile.DefaultsTable,
    modelfile.IdentifyTable,
    modelfile.SerialTable,
    modelfile.RegisterTable,
    modelfile.SampleTable,
)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_is_explained(table):
    tables = {"link", "limits", "defaults", "identify", "serial", "register", "sample"}
    keys = {field.name for field in fields(table)} - tables
    assert keys - NAMES == set()


def test_every_type_unit_and_default_is_the_programs():
    assert set(WORDS_OF) - NAMES == set()
    assert set(UNITS) - NAMES == {""}
    for key, default in (("stopbits", "1"), ("parity", '`"N"`'), ("words_max", "125")):
        assert re.search(rf"^\| `{key}` \|.*\| {re.escape(default)} \|$", TEXT, re.MULTILINE), key
