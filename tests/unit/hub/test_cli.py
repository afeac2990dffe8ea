"""Every command says what it did, on the right stream, with the right exit code."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.config import load_config
from hub.core.pricing import regulation_of
from hub.ledger.store import Store
from hub.vault.desk import read_state
from messages.errors import BadProof
from messages.log.note import parse_vkey
from messages.log.proof import check_proof, parse_proof
from messages.trust import parse_trust
from tests.support.hub_bench import MICROGRID, SLOT_MS
from tests.support.signers import ed25519


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Take back the log handler that a command puts on the runner's standard error."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = run("init", "--microgrid", MICROGRID, "--dir", str(tmp_path), "--slot-ms", str(SLOT_MS))
    assert made.exit_code == 0, made.stderr
    return tmp_path


def config(folder: Path) -> tuple[str, str]:
    return ("--config", str(folder / "hub.toml"))


def enrolment(folder: Path, node: str = "dep1", seed: str = "n") -> Path:
    body = {
        "format": "gridtally-enrol-1",
        "microgrid": MICROGRID,
        "node": node,
        "member": "alice",
        "node_key": ed25519(seed).public.cose_key.hex(),
        "meters": [
            {
                "meter_id": f"{node}-pv",
                "model": "ina219",
                "purpose": "generation",
                "parent": "",
                "member": "alice",
                "rated_mw": 120_000,
                "key": ed25519(f"{seed}-pv").public.cose_key.hex(),
                "first_sequence": 1,
            }
        ],
        "relays": [],
    }
    path = folder / f"enrol-{node}.json"
    path.write_text(json.dumps(body))
    return path


# --- init


def test_init_leaves_an_installation_that_verifies(folder: Path) -> None:
    for key in ("log", "hub", "administrator"):
        assert stat.S_IMODE((folder / "keys" / f"{key}.pem").stat().st_mode) == 0o600
    for user in ("hub", "web"):
        assert stat.S_IMODE((folder / f"{user}.password").stat().st_mode) == 0o600
    trust = parse_trust((folder / "trust.toml").read_text())
    assert trust.origin == f"gridtally.local/{MICROGRID}"
    assert not trust.simulation
    settings = load_config(folder / "hub.toml")
    assert settings.slots.slot_ms == SLOT_MS
    with Store.open(settings.database, read_only=True) as store:
        assert [entry.kind for entry in store.entries()] == ["genesis", "policy"]
        assert store.entry(0).leaf_hash == trust.network_id
    verified = run("verify", *config(folder))
    assert verified.exit_code == 0
    assert verified.stdout.startswith("ledger verified, 2 entries, root ")


def test_init_never_overwrites(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = run("init", "--microgrid", "other", "--dir", str(folder))
    assert again.exit_code == 73
    assert "nothing is overwritten" in again.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_simulation_is_marked_in_the_ledger_s_name(tmp_path: Path) -> None:
    made = run("init", "--microgrid", "sim", "--dir", str(tmp_path), "--simulation", "--json")
    assert json.loads(made.stdout)["origin"] == "simulation.gridtally.local/sim"
    shown = run("status", *config(tmp_path))
    assert "SIMULATION" in shown.stderr
    assert "SIMULATION" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--microgrid", "Bench"), 65, "1 to 32 of a-z"),
        (("--microgrid", "b", "--readings", "hidden"), 2, "open or sealed"),
        (("--microgrid", "b", "--policy", "absent.toml"), 66, "absent.toml"),
    ],
)
def test_init_refuses(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    made = run("init", *arguments, "--dir", str(tmp_path))
    assert made.exit_code == code
    assert words in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_takes_the_first_policy_from_a_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('contract = "auction"\ndispatch = "none"\n')
    made = run("init", "--microgrid", "b", "--dir", str(tmp_path / "x"), "--policy", str(bad))
    assert made.exit_code == 78
    assert 'missing key "price"' in made.stderr
    assert not (tmp_path / "x").exists()


# --- enrol, policy


def test_enrol_shows_fingerprints_and_asks(folder: Path) -> None:
    file = enrolment(folder)
    asked = CliRunner().invoke(app, ["enrol", str(file), *config(folder)], input="n\n")
    assert asked.exit_code == 1
    assert ed25519("n").public.fingerprint in asked.stderr
    assert ed25519("n-pv").public.fingerprint in asked.stderr
    assert "enrolled" not in asked.stdout  # the runner echoes the answer there
    with Store.open(load_config(folder / "hub.toml").database, read_only=True) as store:
        assert store.size == 2
    done = CliRunner().invoke(app, ["enrol", str(file), *config(folder)], input="y\n")
    assert done.exit_code == 0
    assert done.stdout.endswith("node dep1: enrolled\nmeter dep1-pv: enrolled\n")


def test_enrol_says_why_not(folder: Path) -> None:
    assert run("enrol", str(enrolment(folder)), "--yes", *config(folder)).exit_code == 0
    other = run("enrol", str(enrolment(folder, seed="other")), "--yes", *config(folder))
    assert other.exit_code == 65
    assert "node dep1: node dep1 has a key" in other.stdout
    broken = folder / "broken.json"
    broken.write_text("{}")
    refused = run("enrol", str(broken), "--yes", *config(folder))
    assert refused.exit_code == 65
    assert "missing key 'node_key'" in refused.stderr


def test_enrol_needs_the_administrator_s_key(folder: Path) -> None:
    (folder / "keys" / "administrator.pem").chmod(0o644)
    refused = run("enrol", str(enrolment(folder)), "--yes", *config(folder))
    assert refused.exit_code == 78
    assert "chmod 600" in refused.stderr


def test_a_policy_that_says_nothing_of_it_keeps_what_binds_every_market(folder: Path) -> None:
    example = run("policy", "--example").stdout
    file = folder / "policy.toml"
    for start, more in (("12:00Z", "[regulation]\ncap_utok_per_kwh = 9\n"), ("13:00Z", "")):
        file.write_text(example + more)
        signed = run("policy", str(file), "--from", f"2026-11-21T{start}", *config(folder))
        assert signed.exit_code == 0, signed.stderr
    state = read_state(load_config(folder / "hub.toml"))
    caps = [regulation_of(each).cap_utok_per_kwh for _, each in sorted(state.policies.items())]
    assert caps == [100_000_000, 9, 9]


def test_policy_binds_from_a_slot(folder: Path) -> None:
    example = run("policy", "--example")
    assert example.exit_code == 0
    file = folder / "policy.toml"
    file.write_text(example.stdout.replace("220_000", "230_000"))
    signed = run("policy", str(file), "--from", "2026-11-21T12:00Z", *config(folder))
    assert signed.exit_code == 0, signed.stderr
    assert signed.stdout.startswith("in force from 2026-11-21T12:00:00+00:00: dep_balance")
    for wrong, words in (("2026-11-21T12:00:30Z", "do not begin then"), ("noon", "no time like")):
        refused = run("policy", str(file), "--from", wrong, *config(folder))
        assert refused.exit_code == 64
        assert words in refused.stderr


# --- believing nothing


def test_prove_prints_a_proof_that_holds(folder: Path) -> None:
    proven = run("prove", "1", *config(folder))
    assert proven.exit_code == 0
    assert proven.stderr.startswith("entry 1 (policy), id ")
    key = parse_vkey(parse_trust((folder / "trust.toml").read_text()).log_vkey)
    with Store.open(load_config(folder / "hub.toml").database, read_only=True) as store:
        leaf = store.entry(1).leaf_hash
    proof = parse_proof(proven.stdout)
    assert check_proof(proof, leaf, key).size == 2
    with pytest.raises(BadProof):
        check_proof(proof, bytes(32), key)
    by_id = run("prove", leaf.hex()[:16], "--json", *config(folder))
    assert json.loads(by_id.stdout) == {
        "index": 1,
        "entry_id": leaf.hex(),
        "proof": proven.stdout,
    }


def test_prove_wants_an_entry_or_a_sample(folder: Path) -> None:
    for asked in ((), ("1", "--sample", "dep1-pv", "0")):
        refused = run("prove", *asked, *config(folder))
        assert refused.exit_code == 64
        assert "an ENTRY, or --sample METER AT" in refused.stderr
    absent = run("prove", "--sample", "dep1-pv", "2026-11-21T12:00Z", *config(folder))
    assert (absent.exit_code, absent.stdout) == (65, "")
    assert "no meter dep1-pv is enrolled" in absent.stderr
    unzoned = run("prove", "--sample", "dep1-pv", "2026-11-21T12:00", *config(folder))
    assert unzoned.exit_code == 64


@pytest.mark.parametrize("entry", ["2", "ffffffffffffffff", "ffff", "xyz"])
def test_prove_refuses_what_is_not_there(folder: Path, entry: str) -> None:
    refused = run("prove", entry, *config(folder))
    assert refused.exit_code == 65
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr


def test_audit_prints_the_verdict(folder: Path) -> None:
    audited = run("audit", *config(folder))
    assert audited.exit_code == 0
    assert audited.stdout.startswith("every bill is right: 0 slots from 2 entries\n")
    body = json.loads(run("audit", "--json", *config(folder)).stdout)
    assert (body["entries"], body["difference"]) == (2, "")


def test_verify_finds_a_flipped_bit(folder: Path) -> None:
    path = folder / "ledger.db"
    raw = bytearray(path.read_bytes())
    at = raw.index(b"application/x.gridtally.policy+cbor")
    raw[at + 60] ^= 1
    path.write_bytes(bytes(raw))
    verified = run("verify", *config(folder))
    assert verified.exit_code == 65
    assert verified.stdout.startswith("NOT verified: ")


def test_export_writes_files(folder: Path) -> None:
    assert run("export", "--tiles", str(folder / "t"), *config(folder)).exit_code == 0
    assert (folder / "t" / "checkpoint").read_text().splitlines()[1] == "2"
    assert run("export", "--csv", str(folder / "c"), *config(folder)).exit_code == 0
    assert (folder / "c" / "slots.csv").exists()
    refused = run("export", *config(folder))
    assert (refused.exit_code, refused.stdout) == (64, "")


# --- the rest


def test_check_config_says_everything_at_once(folder: Path) -> None:
    (folder / "hub.password").unlink()
    (folder / "keys" / "hub.pem").chmod(0o640)
    checked = run("check-config", *config(folder))
    assert checked.exit_code == 78
    assert "mode 0640" in checked.stderr
    assert "hub.password is not there" in checked.stderr


def test_check_config_tries_the_broker(folder: Path) -> None:
    toml = folder / "hub.toml"
    toml.write_text(toml.read_text().replace("port = 1883", "port = 1"))
    checked = run("check-config", *config(folder))
    assert checked.exit_code == 69
    assert "belong together" in checked.stdout
    assert "broker 127.0.0.1:1: Connection refused" in checked.stdout


def test_keys_of_another_network_are_found(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("init", "--microgrid", MICROGRID, "--dir", str(other))
    (folder / "trust.toml").write_bytes((other / "trust.toml").read_bytes())
    for command in ("check-config", "run"):
        ended = run(command, *config(folder))
        assert ended.exit_code == 78
        assert "not the hub key that" in ended.stderr
        assert "not the log key that" in ended.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('microgrid = "bench"', 'microgrid = "other"', "the ledger is of bench"),
        ("slot_ms = 60000", "slot_ms = 900000", "the ledger was founded with 60000"),
        ("[web]", '[simulation]\nclock = "unix:c.sock"\n[web]', "see [simulation]"),
    ],
)
def test_run_refuses_what_does_not_fit_the_ledger(
    folder: Path, old: str, new: str, words: str
) -> None:
    toml = folder / "hub.toml"
    toml.write_text(toml.read_text().replace(old, new))
    ended = run("run", *config(folder))
    assert ended.exit_code == 78
    assert words in ended.stderr


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    for command in ("run", "verify", "audit", "status", "check-config", "web"):
        ended = run(command, *config(tmp_path))
        assert ended.exit_code == 78
        assert "`gridtally-hub init` writes one" in ended.stderr


def test_status_without_a_hub(folder: Path) -> None:
    shown = run("status", *config(folder))
    assert shown.stdout == "ledger: 2 entries, checkpoint over 2\nhub: never ran here\n"
    body = json.loads(run("status", "--json", *config(folder)).stdout)
    assert body["ledger"] == {"entries": 2, "checkpoint": 2, "evidence": 0}


def test_every_command_teaches(folder: Path) -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        name = (command.name or command.callback.__name__).replace("_", "-")
        shown = run(name, "--help")
        assert shown.exit_code == 0
        assert f"gridtally-hub {name}" in shown.stdout, name
