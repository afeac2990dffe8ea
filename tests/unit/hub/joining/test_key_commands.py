"""The commands about who takes part, on a founded ledger with one node: what they do and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from edge.config import EXAMPLE
from edge.config import parse_config as parse_edge
from edge.keygen import make_keys, write_enrolment
from hub.cli import app
from hub.commands.enrolling import found_installation, hand_over, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import HubConfig, load_config
from hub.joining.authority import open_authority
from hub.joining.broker import prepare_broker
from hub.joining.enrolment import read_enrolment
from hub.joining.errors import JoiningRefused
from hub.joining.keychanges import (
    end_certificates,
    entries_to_revoke,
    entries_to_rotate,
    entry_to_describe,
    rotation_lines,
)
from hub.joining.members import as_json, member_lines, membership
from hub.joining.registry import current_keys, ended_nodes, read_registry
from hub.ledger.verify import verify
from hub.policyfile import EXAMPLE as POLICY
from hub.policyfile import read_policy
from hub.starting import read_trust
from messages.entries import KeyEntry
from tests.support.signers import ed25519


def installed() -> tuple[object, object]:
    from hub.balancing.catalog import POLICIES
    from hub.market.catalog import CONTRACTS

    return CONTRACTS, POLICIES


@pytest.fixture
def config(tmp_path: Path) -> HubConfig:
    contracts, policies = installed()
    policy = read_policy(POLICY, "example", 0, contracts, policies)
    folder = tmp_path / "hub"
    found_installation(folder, Plan("bench", 900_000, 30_000, "open", False, policy), 1)
    return load_config(folder / "hub.toml")


@pytest.fixture
def file(config: HubConfig) -> Path:
    return Path(config.state) / "hub.toml"


def enrolment_file(config: HubConfig, folder: Path) -> Path:
    """Return what a node of the example writes; keys are made if there are none."""
    folder.mkdir(exist_ok=True)
    (folder / "trust.toml").write_text(Path(config.trust).read_text())
    edge = parse_edge(EXAMPLE, folder / "edge.toml")
    return write_enrolment(edge, make_keys(edge), folder)


@pytest.fixture
def node(config: HubConfig, tmp_path: Path) -> Path:
    """Enrol the node of the example; return its folder."""
    folder = tmp_path / "node"
    entries = read_enrolment(enrolment_file(config, folder).read_text(), "bench").entries
    assert not any(hand_over(config, sign_as_administrator(config, entries)))
    return folder


def call(file: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(file)], input=typed)


# --- members


def test_everybody_is_shown_with_key_standing_and_address(file: Path, node: Path) -> None:
    shown = call(file, "members").stdout.splitlines()
    network, _, head, *rest = shown
    assert network.startswith("microgrid bench, network ")
    assert head.split() == ["holder", "name", "key", "since", "standing", "roles"]
    assert [line.split()[:2] for line in rest[:7]] == [
        ["hub", "hub"],
        ["log", "log"],
        ["member", "administrator"],
        ["node", "dep1"],
        ["meter", "dep1-heater"],
        ["meter", "dep1-load"],
        ["meter", "dep1-pv"],
    ]
    assert rest[2].endswith("counts    every role")
    (pv,) = [line for line in rest if "dep1-pv@bench." in line]
    assert pv.split()[:1] + pv.split()[2:6] == ["alice", "generation", "solar", "Upper", "Mill"]
    (load,) = [line for line in rest if "dep1-load@bench." in line]
    assert load.split()[2:5] == ["consumption", "-", "-"]


def test_programs_get_the_same_as_json(config: HubConfig, file: Path, node: Path) -> None:
    body = json.loads(call(file, "members", "--json").stdout)
    assert body == json.loads(json.dumps(as_json(membership(read_registry(config)))))
    assert {each["meter_id"]: each["fuel"] for each in body["meters"]} == {
        "dep1-heater": "",
        "dep1-load": "",
        "dep1-pv": "solar",
    }
    assert body["pseudonyms"]["alice"].startswith("m-")


def test_what_ended_is_called_so(config: HubConfig, file: Path, node: Path) -> None:
    call(file, "key", "revoke", "meter", "dep1-pv", "--yes")
    lines = list(member_lines(membership(read_registry(config))))
    (key,) = [line for line in lines if line.startswith("meter   dep1-pv")]
    assert key.split()[4] == "revoked"
    (meter,) = [line for line in lines if "dep1-pv@" in line]
    assert meter.endswith("(retired)")


def test_a_feeder_has_its_line(config: HubConfig, file: Path) -> None:
    from tests.support.village import Village

    village = Village()
    village.feeder("meteo", co2="g_per_kwh")
    assert any(each.holder == "feeder" for each in membership(village.state).keys)


def test_a_ledger_without_a_genesis_has_no_members() -> None:
    from hub.core.state import State

    with pytest.raises(AssertionError, match="begins with its genesis"):
        membership(State())


# --- revoke


def test_a_node_ends_with_its_meters(config: HubConfig, file: Path, node: Path) -> None:
    done = call(file, "key", "revoke", "node", "dep1", "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "node dep1: revoked",
        "meter dep1-heater: revoked",
        "meter dep1-load: revoked",
        "meter dep1-pv: revoked",
    ]
    state = read_registry(config)
    assert ended_nodes(state) == ("dep1",)
    assert {holder for holder, _ in current_keys(state)} == {"hub", "log", "member"}
    assert verify(config.database, read_trust(Path(config.trust))).findings == ()


def test_a_person_who_says_no_revokes_nothing(config: HubConfig, file: Path, node: Path) -> None:
    before = current_keys(read_registry(config))
    done = call(file, "key", "revoke", "node", "dep1", typed="n\n")
    assert done.exit_code == 1
    assert "End these keys for good?" in done.output
    assert current_keys(read_registry(config)) == before


@pytest.mark.parametrize(
    ("holder", "name"), [("node", "dep9"), ("meter", "dep1"), ("replica", "dep1")]
)
def test_who_has_no_key_is_not_revoked(file: Path, node: Path, holder: str, name: str) -> None:
    done = call(file, "key", "revoke", holder, name, "--yes")
    assert done.exit_code == 65
    assert f"no {holder} {name} has a key that counts: see gridtally-hub members" in done.output


def test_the_last_administrator_stays(config: HubConfig, file: Path) -> None:
    done = call(file, "key", "revoke", "member", "administrator", "--yes")
    assert done.exit_code == 65
    assert "would be left without an administrator" in done.output
    assert ("member", "administrator") in current_keys(read_registry(config))


def test_what_ended_before_is_not_ended_again(config: HubConfig, file: Path, node: Path) -> None:
    call(file, "key", "revoke", "meter", "dep1-pv", "--yes")
    entries = entries_to_revoke(read_registry(config), "node", "dep1")
    assert [entry.name for entry in entries] == ["dep1", "dep1-heater", "dep1-load"]


def test_a_revoked_node_s_certificate_ends(config: HubConfig, file: Path, node: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    assert not end_certificates(config, "dep1"), "without Mosquitto's files there is none"
    files = Path(config.state) / "mosquitto"
    list(prepare_broker(config, file, ["hub.local"], 8883, files))
    authority = open_authority(Path(config.state) / "tls", "bench")
    authority.issue_client("dep1", ec.generate_private_key(ec.SECP256R1()).public_key())
    done = call(file, "key", "revoke", "node", "dep1", "--yes")
    assert "now run: sudo systemctl reload mosquitto" in done.output
    assert "user dep1\ntopic deny gridtally/bench/dep1/#" in (files / "acl").read_text()
    assert not list((Path(config.state) / "tls" / "issued").glob("dep1-*"))


# --- role


def test_roles_are_given_and_taken(config: HubConfig, file: Path) -> None:
    bob = KeyEntry("enrol", "member", "bob", ed25519("bob").public.cose_key)
    assert hand_over(config, sign_as_administrator(config, [bob])) == [""]
    done = call(file, "key", "role", "bob", "manager", "regulator")
    assert (done.exit_code, done.stdout) == (0, "member bob: has these roles\n")
    state = read_registry(config)
    (roles,) = [key.roles for key in state.keys.values() if key.name == "bob"]
    assert roles == ("manager", "regulator")
    assert call(file, "key", "role", "bob").exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("carol", "manager"), "member carol has no key"),
        (("administrator", "king"), "roles are for members"),
        (("administrator",), "would be left without an administrator"),
    ],
)
def test_roles_that_cannot_be_are_refused(file: Path, words: tuple[str, ...], told: str) -> None:
    done = call(file, "key", "role", *words)
    assert done.exit_code == 65
    assert told in done.output


# --- rotate


def lost(config: HubConfig, node: Path, *names: str) -> Path:
    """Lose some key files; return what keygen writes then."""
    for name in names:
        (node / "keys" / f"{name}.pem").unlink()
    return enrolment_file(config, node)


def test_new_keys_follow_those_that_were_lost(config: HubConfig, file: Path, node: Path) -> None:
    before = current_keys(read_registry(config))
    enrol = lost(config, node, "dep1-pv", "dep1")
    done = call(file, "key", "rotate", str(enrol), "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout == "node dep1: has its new key\nmeter dep1-pv: has its new key\n"
    after = current_keys(read_registry(config))
    changed = {place for place, key in after.items() if before[place] != key}
    assert changed == {("node", "dep1"), ("meter", "dep1-pv")}
    for place in changed:
        assert f"{after[place].fingerprint}  {place[0]} {place[1]}" in done.stderr
    assert verify(config.database, read_trust(Path(config.trust))).findings == ()
    again = call(file, "key", "rotate", str(enrol), "--yes")
    assert again.exit_code == 65
    assert "every key in the file counts already: nothing to do" in again.output


def test_other_fingerprints_change_nothing(config: HubConfig, file: Path, node: Path) -> None:
    before = current_keys(read_registry(config))
    done = call(file, "key", "rotate", str(lost(config, node, "dep1")), typed="n\n")
    assert done.exit_code == 1
    assert current_keys(read_registry(config)) == before


def test_a_key_that_does_not_agree_follows_nobody(config: HubConfig, node: Path) -> None:
    enrolment = read_enrolment(lost(config, node, "dep1").read_text(), "bench")
    silent = replace(enrolment, node=replace(enrolment.node, proof=b""))
    with pytest.raises(JoiningRefused, match="does not say that it agrees: run"):
        entries_to_rotate(config, silent)


def test_who_was_never_enrolled_is_not_rotated(config: HubConfig, tmp_path: Path) -> None:
    enrolment = read_enrolment(enrolment_file(config, tmp_path / "new").read_text(), "bench")
    with pytest.raises(JoiningRefused, match="node dep1 has no key: enrol it instead"):
        entries_to_rotate(config, enrolment)


def test_a_rotation_shows_what_to_compare(config: HubConfig, node: Path) -> None:
    enrolment = read_enrolment(lost(config, node, "dep1").read_text(), "bench")
    (line,) = rotation_lines(entries_to_rotate(config, enrolment))
    assert line.endswith("  node dep1")


def test_a_file_that_is_not_there_is_named(file: Path, tmp_path: Path) -> None:
    done = call(file, "key", "rotate", str(tmp_path / "none.json"))
    assert done.exit_code == 66
    assert "none.json" in done.output


# --- describe


def test_a_source_is_described_anew(config: HubConfig, file: Path, node: Path) -> None:
    place = "120 m E, 45 m N of the mill"
    done = call(file, "key", "describe", "dep1-pv", "--location", place)
    assert (done.exit_code, done.stdout) == (0, "meter dep1-pv: is described\n")
    meter = read_registry(config).meters["dep1-pv"]
    assert (meter.fuel, meter.location) == ("solar", place)
    assert call(file, "key", "describe", "dep1-pv", "--fuel", "").exit_code == 0
    assert read_registry(config).meters["dep1-pv"].fuel == ""
    assert place in call(file, "members").stdout
    assert verify(config.database, read_trust(Path(config.trust))).findings == ()


@pytest.mark.parametrize(
    ("meter_id", "fuel", "location", "told"),
    [
        (
            "dep9-pv",
            "wind",
            None,
            "no meter dep9-pv; enrolled are: dep1-heater, dep1-load",
        ),
        ("dep1-pv", None, None, "says that already: give --fuel or --location"),
        ("dep1-pv", "solar", "Upper Mill", "says that already"),
        ("dep1-pv", "sun", None, "no fuel 'sun'"),
        ("dep1-load", "wind", None, "a meter for consumption has no fuel"),
        ("dep1-pv", None, "46.53071, 7.47892", "at most two decimals"),
    ],
)
def test_what_nobody_can_say_of_a_source(
    config: HubConfig, node: Path, meter_id: str, fuel: str | None, location: str | None, told: str
) -> None:
    with pytest.raises(JoiningRefused, match=told):
        entry_to_describe(read_registry(config), meter_id, fuel, location)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (KeyEntry("describe", "meter", "dep9-pv", b""), "there is no meter dep9-pv"),
        (KeyEntry("describe", "meter", "dep1-load", b"", fuel="wind"), "has no fuel"),
        (KeyEntry("describe", "meter", "dep1-pv", b"", fuel="sun"), "no fuel 'sun'"),
        (KeyEntry("describe", "meter", "dep1-pv", b"", location="!"), "its location: a place in"),
        (KeyEntry("describe", "node", "dep1", b""), "only meters have a fuel"),
    ],
)
def test_the_ledger_takes_no_such_word_whoever_signs_it(
    config: HubConfig, node: Path, entry: KeyEntry, told: str
) -> None:
    (reason,) = hand_over(config, sign_as_administrator(config, [entry]))
    assert told in reason


# --- mosquitto and pair, as far as they refuse


def test_a_host_that_is_none_and_users_of_one_s_own_are_refused(
    config: HubConfig, file: Path
) -> None:
    done = call(file, "mosquitto", "--name", "a/b")
    assert done.exit_code == 65
    assert "--host a/b: want a name or an address" in done.output
    text = file.read_text()
    file.write_text(text.replace("[broker]\n", '[broker]\nuser = "me"\n'))
    done = call(file, "mosquitto", "--name", "hub.local")
    assert done.exit_code == 65
    assert "over TLS it is 'hub'" in done.output


def test_pairing_wants_a_broker_that_speaks_tls_first(config: HubConfig, file: Path) -> None:
    done = call(file, "pair", "dep1", "--host", "hub.local")
    assert done.exit_code == 65
    assert "run `gridtally-hub mosquitto --name HOST` first" in done.output
    made = call(file, "mosquitto", "--name", "127.0.0.1")
    assert made.exit_code == 0, made.output
    other = call(file, "pair", "dep1", "--host", "10.1.2.3")
    assert other.exit_code == 65
    assert "the broker's certificate is for 127.0.0.1, not for 10.1.2.3" in other.output
    (Path(config.state) / "mosquitto" / "server.crt").unlink()
    gone = call(file, "pair", "dep1", "--host", "127.0.0.1")
    assert "server.crt is not there: run `gridtally-hub mosquitto --name 127.0.0.1`" in gone.output


@pytest.mark.parametrize("name", ["Dep1", "dep_1", "d" * 33])
def test_a_name_that_is_none_is_refused(file: Path, name: str) -> None:
    done = call(file, "pair", name, "--member", "alice", "--host", "hub.local")
    assert done.exit_code == 65
    assert "1 to 32 of a-z, 0-9 and -" in done.output
