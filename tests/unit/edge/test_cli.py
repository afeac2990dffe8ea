"""The command line: what it prints, what it says, and how it ends."""

import json
import logging
import os
import sys

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.config import EXAMPLE, load_config
from edge.keygen import make_keys
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.service import main
from keys.file import load
from messages.possession import Claim
from messages.publickey import parse_cose_key
from messages.trust import format_trust
from tests.support.edge_hub import FakeHub

SIMULATED = EXAMPLE + '\n[simulation]\nwire = "unix:wire.sock"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge.toml").write_text(SIMULATED)
    return tmp_path


@pytest.fixture
def enrolled(folder):
    make_keys(load_config(folder / "edge.toml"))
    (folder / "trust.toml").write_text(format_trust(FakeHub().trust))
    (folder / "dep1.password").write_text("secret")
    return folder


def call(*arguments):
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        return CliRunner().invoke(app, list(arguments))
    finally:
        root.handlers[:] = before


@pytest.fixture
def serve(capsys):
    """Run what `run` and `guard` become; return (exit code, standard error)."""

    def run(name, path="edge.toml"):
        root = logging.getLogger()
        before = root.handlers[:]
        try:
            code = main([name, path])
        finally:
            root.handlers[:] = before
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    return run


def test_a_wrong_configuration_ends_with_78_and_says_all(folder, serve):
    (folder / "edge.toml").write_text(
        SIMULATED.replace("sample_ms", "sample").replace("0x41", "0x40")
    )
    said = [serve("run"), serve("guard")]
    for command in (["check-config"], ["keygen"], ["status"], ["meter", "x"]):
        ended = call(*command)
        assert ended.stdout == ""
        said.append((ended.exit_code, ended.stderr))
    for code, text in said:
        assert code == os.EX_CONFIG
        first, second = text.splitlines()
        assert first.startswith("edge.toml:8: sampling: unknown key")
        assert "address 0x40" in second


def test_a_file_that_is_not_there(folder, serve):
    sentence = "nowhere.toml: cannot be read: No such file or directory\n"
    assert serve("run", "nowhere.toml") == (os.EX_CONFIG, sentence)
    ended = call("status", "--config", "nowhere.toml")
    assert (ended.exit_code, ended.stderr) == (os.EX_CONFIG, sentence)


def test_run_and_guard_become_lean_programs(monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda path, program: became.append((path, program)))
    call("run", "--config", "a b.toml")
    call("guard", "-v")
    start = [sys.executable, "-m", "edge.service"]
    assert became == [
        (sys.executable, [*start, "run", "a b.toml"]),
        (sys.executable, [*start, "guard", "edge.toml", "--verbose"]),
    ]


def test_keygen_makes_keys_once_and_says_their_fingerprints(folder):
    first = call("keygen")
    assert first.exit_code == 0
    *lines, path = first.stdout.splitlines()
    assert path == str(folder / "enrol-dep1.json")
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "node dep1",
        "meter dep1-pv",
        "meter dep1-load",
        "meter dep1-heater",
    ]
    assert "SIMULATION" in first.stderr
    enrol = json.loads((folder / "enrol-dep1.json").read_text())
    keys = [enrol["node_key"], *(each["key"] for each in enrol["meters"])]
    for line, key in zip(lines, keys, strict=True):
        assert line.split()[0] == parse_cose_key(bytes.fromhex(key)).fingerprint
    assert load(folder / "keys/dep1-pv.pem").public.cose_key.hex() == enrol["meters"][0]["key"]
    assert (folder / "keys/dep1-pv.pem").stat().st_mode & 0o777 == 0o600
    again = call("keygen")
    assert [line.split()[0] for line in again.stdout.splitlines()[:4]] == [
        line.split()[0] for line in lines
    ]
    assert again.stdout.count("(was there)") == 4
    assert json.loads((folder / "enrol-dep1.json").read_text()) == enrol


def test_with_trust_at_hand_each_key_agrees_to_be_the_node_s(enrolled):
    call("keygen")
    enrol = json.loads((enrolled / "enrol-dep1.json").read_text())
    network_id = FakeHub().trust.network_id
    said = [("node", "dep1", enrol["node_key"], enrol["node_proof"])]
    said += [("meter", m["meter_id"], m["key"], m["proof"]) for m in enrol["meters"]]
    assert len(said) == 4
    for holder, name, key, proof in said:
        claim = Claim(network_id, holder, name)
        claim.check(parse_cose_key(bytes.fromhex(key)), bytes.fromhex(proof))


def test_the_enrolment_file_says_what_the_ledger_must_know(folder):
    call("keygen")
    enrol = json.loads((folder / "enrol-dep1.json").read_text())
    heater = enrol["meters"][2]
    heater.pop("key")
    assert heater == {
        "meter_id": "dep1-heater",
        "model": "ina219",
        "purpose": "appliance",
        "parent": "dep1-load",
        "member": "alice",
        "rated_mw": 40_000,
        "first_sequence": 1,
        "fuel": "",
        "location": "",
        "proof": "",
    }
    solar = enrol["meters"][0]
    assert (solar["fuel"], solar["location"]) == ("solar", "Upper Mill")
    assert enrol["relays"] == [
        {
            "relay": "dep1-heater-relay",
            "deenergised": "fed",
            "load": "dep1-heater",
            "member": "alice",
            "rated_mw": 40_000,
            "critical": False,
            "min_on_ms": 0,
            "min_off_ms": 0,
            "failsafe": True,
            "importance": 0,
            "shed_price_utok_per_kwh": 0,
            "setpoint": "",
        }
    ]
    assert {key: enrol[key] for key in ("format", "microgrid", "node", "member")} == {
        "format": "gridtally-enrol-1",
        "microgrid": "bench",
        "node": "dep1",
        "member": "alice",
    }


def test_keys_that_others_can_read_and_missing_ones_are_all_told(enrolled, serve):
    (enrolled / "keys/dep1-pv.pem").chmod(0o644)
    (enrolled / "keys/dep1.pem").unlink()
    (enrolled / "keys/dep1-load.pem").write_bytes((enrolled / "keys/dep1-heater.pem").read_bytes())
    code, said = serve("run")
    assert code == os.EX_CONFIG
    simulation, missing, readable, twice = said.splitlines()
    assert "SIMULATION" in simulation
    assert "keys/dep1.pem: cannot read the key: No such file" in missing
    assert "gridtally-edge keygen makes keys" in missing
    assert "mode 0644 lets others read the key; want 0600: chmod 600" in readable
    assert twice == "meter dep1-heater has the same key as dep1-load"


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (None, "trust.toml: No such file or directory; gridtally-hub init writes it"),
        ("nonsense", "trust.toml: trust.toml: "),
        ("real", "is the trust of a real ledger, and this is a simulated node's"),
    ],
)
def test_a_wrong_trust_file(enrolled, trust, message, serve):
    path = enrolled / "trust.toml"
    text = path.read_text()
    path.unlink()
    if trust == "real":
        path.write_text(text.replace("simulation = true", "simulation = false"))
    elif trust is not None:
        path.write_text(trust)
    for name in ("run", "guard"):
        code, said = serve(name)
        assert code == os.EX_CONFIG
        assert message in said


def test_a_real_node_does_not_join_a_simulated_ledger(enrolled, serve):
    (enrolled / "edge.toml").write_text(EXAMPLE)
    code, said = serve("run")
    assert code == os.EX_CONFIG
    assert "is the trust of a simulated ledger, and this is a real node's" in said


def test_check_config_without_probing_looks_at_files_only(enrolled):
    ended = call("check-config", "--no-probe")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == ["edge.toml: 3 meters, 1 relays", "nothing was probed"]
    (enrolled / "trust.toml").unlink()
    (enrolled / "keys/dep1.pem").unlink()
    ended = call("check-config", "--no-probe")
    assert ended.exit_code == os.EX_CONFIG
    assert len(ended.stderr.splitlines()) == 3, "both are told, and that it is simulated"


def test_check_config_says_what_does_not_answer(enrolled):
    (enrolled / "edge.toml").write_text(SIMULATED.replace("port = 1883", "port = 1"))
    ended = call("check-config")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "dep1-pv: " in ended.stdout
    assert "broker: broker 127.0.0.1:1: " in ended.stdout
    (enrolled / "dep1.password").unlink()
    assert "dep1.password: no such file" in call("check-config").stdout


def test_status_before_there_is_anything(enrolled):
    ended = call("status")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "unable to open" in ended.stderr


def test_status_shows_streams_dead_letters_and_the_alarm(enrolled):
    outbox = Outbox(enrolled / "state-dep1", 1000)
    outbox.commit(Batch(tuple(Draft(b"a" * 8, "register", lambda n: b"%d" % n) for _ in range(3))))
    outbox.bury(b"a" * 8, "register", 2, "its meter is not enrolled", 17)
    outbox.raise_alarm("the hub is behind", "its checkpoint")
    found = json.loads(call("status", "--json").stdout)
    assert found["outbox_rows"] == 2
    assert (found["alarm"], found["evidence"]) == ("the hub is behind", "its checkpoint")
    assert found["streams"] == [
        {"key": "61" * 8, "stream": "register", "signed": 3, "stored": 0, "final": 0}
    ]
    assert found["dead_letters"] == [
        {
            "key": "61" * 8,
            "stream": "register",
            "sequence": 2,
            "reason": "its meter is not enrolled",
            "gap_index": 17,
        }
    ]
    assert found["guard"].startswith("no guard answers at ")
    shown = call("status").stdout
    assert "node dep1: 2 of 200000 rows wait" in shown
    assert "ALARM: the hub is behind" in shown
    assert "newest checkpoint: none yet" in shown
    assert "dead letter: 6161616161616161 register 2: its meter is not enrolled" in shown
    busy = call("accept-hub")
    assert busy.exit_code == os.EX_TEMPFAIL
    assert "stop it first" in busy.stderr
    outbox.close()
    assert call("accept-hub").stdout == "was: the hub is behind\n"
    assert call("accept-hub").stdout == "was: no alarm\n"


def test_help_teaches_with_examples():
    for command in ("run", "guard", "check-config", "keygen", "meter", "status", "accept-hub"):
        shown = call(command, "--help")
        assert shown.exit_code == 0
        assert f"gridtally-edge {command}" in shown.stdout, command
    assert "keygen" in call("--help").stdout
