"""A replica's line in the policy, and what is refused on the way there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.replica import home
from hub.replica.enrolling import enrol, with_replica
from hub.replica.errors import ReplicaRefused
from hub.replica.home import EXECUTES, MIRRORS, Enrolment, parse_enrolment
from hub.starting import read_trust
from keys import file
from messages.errors import BadSignature, MalformedMessage
from messages.log.note import COSIGNATURE, ED25519, NoteKey, format_vkey
from messages.log.policy import parse_policy, unwitnessed
from tests.support.hub_bench import Bench
from tests.support.signers import ed25519

LOG = format_vkey(NoteKey("log.example", ED25519, ed25519("log").public))


def vkey(name: str) -> str:
    return format_vkey(NoteKey(f"replica.example/{name}", COSIGNATURE, ed25519(name).public))


def grown(count: int, text: str = "") -> str:
    policy = text or unwitnessed(LOG)
    for number in range(count):
        policy = with_replica(policy, vkey(f"r{number}"), f"http://r{number}.test")
    return policy


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (7, 5), (10, 7)])
def test_more_than_two_thirds_of_the_replicas_must_agree(count: int, needed: int) -> None:
    policy = parse_policy(grown(count))
    assert policy.groups["replicas"].needed == needed
    keys = list(policy.witnesses.values())
    assert policy.is_met(frozenset(keys[:needed]))
    assert not policy.is_met(frozenset(keys[: needed - 1]))
    assert {policy.kind_of(key) for key in keys} == {"replica"}
    assert policy.urls["replica.example-r0"] == "http://r0.test"


def test_who_had_to_agree_before_still_has_to() -> None:
    witness = format_vkey(NoteKey("w.example/w1", COSIGNATURE, ed25519("w1").public))
    text = f"log {LOG}\nwitness w1 {witness}\ngroup final any w1\nquorum final\n"
    policy = parse_policy(grown(4, text))
    replicas = frozenset(policy.replicas)
    outside = policy.witnesses["w1"]
    assert len(replicas) == 4
    assert policy.kind_of(outside) == "witness"
    assert not policy.is_met(replicas)
    assert policy.is_met(replicas | {outside})
    assert not policy.is_met(frozenset({outside}))


def test_a_replica_counts_once() -> None:
    with pytest.raises(ReplicaRefused, match="in the policy already"):
        with_replica(grown(2), vkey("r1"), "http://r1.test")


def enrolment(folder: Path, bench: Bench, meaning: str = EXECUTES) -> Enrolment:
    network_id = read_trust(bench.folder / "trust.toml").network_id
    home.found(folder, "alice", "replica.example/alice", meaning)
    opened = home.open_home(folder)
    opened.memory.close()
    made = home.enrolment_of(opened, "alice", "http://r.test", network_id)
    assert parse_enrolment(home.format_enrolment(made)) == made
    return made


def test_its_keys_go_onto_the_ledger_and_its_cosignature_into_the_quorum(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "hub")
    made = enrolment(tmp_path / "r1", bench)
    assert len(enrol(bench.config, made)) == 3
    opened = bench.open()
    (key,) = [key for key in opened.recorder.state.keys.values() if key.holder == "replica"]
    opened.close()
    assert (key.name, key.cose_key.hex(), key.vrf.hex()) == ("alice", made.header, made.vrf)
    policy = parse_policy(read_trust(bench.folder / "trust.toml").policy)
    assert {format_vkey(key) for key in policy.replicas} == {made.vkey}
    with pytest.raises(ReplicaRefused):
        enrol(bench.config, made)


def test_a_key_that_did_not_agree_is_not_enrolled(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "hub")
    made = enrolment(tmp_path / "r1", bench)
    before = (bench.folder / "trust.toml").read_text()
    other = Enrolment("bob", made.vkey, made.url, EXECUTES, made.header, made.vrf, made.proof)
    with pytest.raises(BadSignature):
        enrol(bench.config, other)
    assert (bench.folder / "trust.toml").read_text() == before


def test_one_that_only_mirrors_is_no_replica_in_the_policy(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "hub")
    with pytest.raises(ReplicaRefused, match="only mirrors"):
        enrol(bench.config, enrolment(tmp_path / "r1", bench, MIRRORS))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "gridtally-replica-1"}', "{"])
def test_another_file_is_no_enrolment(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_enrolment(text)


def test_a_folder_is_one_replica(tmp_path: Path) -> None:
    home.found(tmp_path, "alice", "replica.example/alice", EXECUTES)
    with pytest.raises(ReplicaRefused, match="is here already"):
        home.found(tmp_path, "bob", "replica.example/bob", EXECUTES)
    with pytest.raises(ReplicaRefused, match="no replica is here"):
        home.open_home(tmp_path / "elsewhere")
    (tmp_path / "cosigner.pem").unlink()
    file.generate(tmp_path / "cosigner.pem")
    with pytest.raises(ReplicaRefused, match="is another"):
        home.open_home(tmp_path)
