"""The programs with keys on a token and in a TPM: found, check, show, run, and end without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys import stores
from messages.publickey import parse_cose_key
from tests.support.edge_node import Node, node, wait_until
from tests.support.soft_token import SoftToken
from tests.support.soft_tpm import SoftTpm

ROOT = Path(__file__).parents[2]


def call(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def init(folder: Path, **keys: str) -> subprocess.CompletedProcess[str]:
    words = [word for name, place in keys.items() for word in (f"--{name}-key", place)]
    return call("hub", "init", "--microgrid", "bench", "--dir", folder, *words)


def test_a_hub_has_its_keys_on_a_token_and_in_a_tpm(
    token: SoftToken, tpm: SoftTpm, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    made = init(
        folder, log=token.place("log"), hub=tpm.place("0x81000101"), administrator=token.place("a")
    )
    assert made.returncode == 0, made.stderr
    config = ("--config", folder / "hub.toml")

    assert not (folder / "keys").exists()
    shown = json.loads(call("hub", "key-info", *config, "--json").stdout)
    assert [(each["name"], each["store"], each["algorithm"]) for each in shown] == [
        ("log", "PKCS#11 token", "eddsa"),
        ("hub", "TPM 2.0", "es256"),
        ("administrator", "PKCS#11 token", "eddsa"),
    ]
    assert f"hub_key: {shown[1]['fingerprint']}" in made.stdout
    policy = folder / "policy.toml"
    policy.write_text(call("hub", "policy", "--example").stdout)
    signed = call("hub", "policy", policy, *config)
    assert signed.returncode == 0, signed.stderr
    assert call("hub", "verify", *config).returncode == 0

    assert "belong together" in call("hub", "check-config", *config).stdout
    token.pull()
    away = call("hub", "check-config", *config)
    assert away.returncode == os.EX_UNAVAILABLE
    assert "[keys] log: pkcs11:token=site;object=log: " in away.stderr
    token.plug()
    tpm.clear()
    gone = call("hub", "check-config", *config)
    assert gone.returncode == os.EX_CONFIG
    assert "[keys] hub: tpm:0x81000101: no key at this handle" in gone.stderr


def test_a_log_is_never_founded_with_a_key_that_no_checkpoint_can_have(
    tpm: SoftTpm, token: SoftToken, tmp_path: Path
) -> None:
    refused = init(tmp_path / "hub", log=tpm.place("0x81000101"))
    assert refused.returncode == os.EX_CONFIG
    assert "no Ed25519" in refused.stderr
    same = init(tmp_path / "other", log=token.place("a"), hub=token.place("a"))
    assert same.returncode == os.EX_CANTCREAT
    assert "each have a key of their own" in same.stderr


@pytest.fixture
def edge(token: SoftToken, tpm: SoftTpm, tmp_path: Path) -> Iterator[Node]:
    """Yield a node whose own key is in the TPM, one meter's on the token, the other's in a file."""
    with node(tmp_path / "edge", meters=2) as made:
        text = made.config_file.read_text()
        text = text.replace("keys/m0.pem", token.place("m0"))
        text = f'key = "{tpm.place("0x81000101")}"\n{text}'
        made.config_file.write_text(text)
        yield made


def lines_of(made: Node) -> int:
    journal = made.folder / "journal.txt"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def test_keygen_makes_each_key_where_it_is_to_lie(edge: Node) -> None:
    config = ("--config", edge.config_file)
    before = call("edge", "check-config", "--no-probe", *config)
    assert before.returncode == os.EX_CONFIG
    assert "key of the node: tpm:0x81000101: no key at this handle" in before.stderr
    assert "key of meter m0: pkcs11:token=site;object=m0: the token holds no such" in before.stderr

    made = call("edge", "keygen", *config)
    assert made.returncode == 0, made.stderr
    enrolment = json.loads((edge.folder / "enrol-dep1.json").read_text())
    shown = json.loads(call("edge", "key-info", *config, "--json").stdout)
    assert [(each["store"], each["algorithm"]) for each in shown] == [
        ("TPM 2.0", "es256"),
        ("PKCS#11 token", "eddsa"),
        ("file", "eddsa"),
    ]
    keys = [enrolment["node_key"], *(each["key"] for each in enrolment["meters"])]
    enrolled = [parse_cose_key(bytes.fromhex(each)).fingerprint for each in keys]
    assert enrolled == [each["fingerprint"] for each in shown]
    again = call("edge", "keygen", *config)
    assert again.stdout.count("(was there)") == 3
    enrolment_again = json.loads((edge.folder / "enrol-dep1.json").read_text())
    keys_again = [enrolment_again["node_key"], *(m["key"] for m in enrolment_again["meters"])]
    assert keys_again == keys
    assert call("edge", "check-config", "--no-probe", *config).returncode == 0


def test_keygen_refuses_ed25519_in_a_tpm_by_name(edge: Node) -> None:
    refused = call("edge", "keygen", "--alg", "eddsa", "--config", edge.config_file)
    assert refused.returncode == os.EX_CONFIG
    assert "tpm:0x81000101: a TPM 2.0 has P-256 keys only, no Ed25519" in refused.stderr
    assert not (edge.folder / "enrol-dep1.json").exists()


def signed(made: Node) -> dict[str, list[int]]:
    """Return the register sequences that each meter's key signed, as the journal of tests says."""
    signers = {name: stores.open_signer(place) for name, place in made.config.key_places.items()}
    lines = (made.folder / "journal.txt").read_text().split("\n")
    words = [line.split() for line in lines if line.count(" ") == 3]
    return {
        name: [int(n) for kid, stream, n, _ in words if (kid, stream) == (each, "register")]
        for name, each in ((name, each.public.kid.hex()) for name, each in signers.items())
    }


def status(made: Node) -> dict[str, Any]:
    told = call("edge", "status", "--json", "--config", made.config_file).stdout
    found: dict[str, Any] = json.loads(told or "{}")
    return found


def test_an_agent_measures_on_while_a_token_is_pulled_and_signs_all_of_it_later(
    edge: Node, token: SoftToken
) -> None:
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    agent = edge.start("run")
    wait_until(lambda: lines_of(edge) > 4, 30, "readings of both meters")
    token.pull()
    wait_until(lambda: status(edge).get("keys_away"), 30, "what is wrong, in status")
    (told,) = status(edge)["keys_away"]
    assert told.startswith("pkcs11:token=site;object=m0: ")
    away = lines_of(edge)
    wait_until(lambda: lines_of(edge) > away + 3, 30, "readings of the other meter")
    assert agent.poll() is None
    shown = call("edge", "status", "--config", edge.config_file).stdout
    assert "KEY AWAY: pkcs11:token=site;object=m0: " in shown
    assert edge.log("run").count("measuring and counting go on") == 1
    assert "Traceback" not in edge.log("run")

    token.plug()
    wait_until(lambda: status(edge)["keys_away"] == [], 30, "the key is back")
    token.restart()
    numbers = signed(edge)
    assert numbers["m0"] == list(range(1, len(numbers["m0"]) + 1))
    assert abs(len(numbers["m0"]) - len(numbers["m1"])) <= 1, "not one slot is missing"
    assert "is back, and signed what waited for it" in edge.log("run")


def test_an_agent_without_its_token_does_not_begin_and_is_to_be_started_again(
    edge: Node, token: SoftToken
) -> None:
    """Only the token knows its public key, so that before it is seen nothing can be numbered."""
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    token.pull()
    assert edge.start("run").wait(30) == os.EX_UNAVAILABLE
    assert "pkcs11:token=site;object=m0: " in edge.log("run")
    assert "Traceback" not in edge.log("run")
    token.plug()
    edge.start("run")
    wait_until(lambda: lines_of(edge) > 4, 30, "readings once it is back")


def test_an_agent_whose_tpm_is_gone_says_nothing_as_a_node_and_measures_on(
    edge: Node, tpm: SoftTpm
) -> None:
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    agent = edge.start("run")
    wait_until(lambda: lines_of(edge) > 4, 30, "readings of both meters")
    tpm.stop()
    before = lines_of(edge)
    wait_until(lambda: lines_of(edge) > before + 4, 30, "readings of both meters")
    assert agent.poll() is None
    assert "Traceback" not in edge.log("run")


@pytest.mark.parametrize("store", ["token", "tpm file"])
def test_a_key_is_followed_in_its_own_store(
    edge: Node, token: SoftToken, tpm: SoftTpm, store: str
) -> None:
    if store == "tpm file":
        text = edge.config_file.read_text()
        edge.config_file.write_text(text.replace(token.place("m0"), tpm.place("m0.tpm")))
    config = ("--config", edge.config_file)
    assert call("edge", "keygen", *config).returncode == 0
    edge.start("run")
    wait_until(lambda: lines_of(edge) > 4, 30, "readings of both meters")
    turned = call("edge", "rotate", "m0", *config)
    assert turned.returncode == 0, turned.stderr
    assert ("m0.2.tpm" if store == "tpm file" else "object=m0.2") in turned.stdout
    assert "signs with it now" in turned.stderr
    token.restart()
    wait_until(lambda: len(signed(edge)["m0"]) >= 2, 30, "registers of the new key")
    handle = call("edge", "rotate", "dep1", *config)
    assert handle.returncode == os.EX_UNAVAILABLE
    assert "say with --to where the new key lies: another handle" in handle.stderr
    there = call("edge", "rotate", "dep1", "--to", tpm.place("0x81000102"), *config)
    assert there.returncode == 0, there.stderr


def test_an_agent_signs_on_after_its_tpm_was_without_power(edge: Node, tpm: SoftTpm) -> None:
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    text = edge.config_file.read_text()
    edge.config_file.write_text(text.replace("keys/m1.pem", tpm.place("m1.tpm")))
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    agent = edge.start("run")
    wait_until(lambda: lines_of(edge) > 4, 30, "readings of both meters")
    agent.terminate()
    assert agent.wait(30) == 0
    tpm.restart()
    signed = lines_of(edge)
    edge.start("run")
    wait_until(lambda: lines_of(edge) > signed + 4, 30, "readings after the restart")


def test_an_agent_with_a_wrong_pin_says_so_and_asks_once(edge: Node, token: SoftToken) -> None:
    assert call("edge", "keygen", "--config", edge.config_file).returncode == 0
    token.write_pin("999999")
    agent = edge.start("run")
    assert agent.wait(30) == os.EX_CONFIG
    assert "refuses the PIN" in edge.log("run")
