"""Topics, slots, trust.toml and key files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.errors import KeyExists, KeyUnreadable
from keys.file import generate, load
from messages import slots, topics
from messages.errors import MalformedMessage
from messages.publickey import EDDSA, ES256
from messages.trust import Trust, format_trust, parse_trust
from tests.support.signers import ed25519


def test_topics_come_back() -> None:
    for leaf in topics.UP:
        assert topics.parse(topics.up("bench", "dep1", leaf)) == topics.Topic(
            "bench", "dep1", True, leaf
        )
    for leaf in topics.DOWN:
        assert topics.parse(topics.down("bench", "dep1", leaf)) == topics.Topic(
            "bench", "dep1", False, leaf
        )
    assert topics.all_up("bench") == "gridtally/bench/+/up/+"
    assert topics.all_down("bench", "dep1") == "gridtally/bench/dep1/down/+"
    assert topics.every_down("bench") == "gridtally/bench/+/down/+"


@pytest.mark.parametrize(
    "topic",
    [
        "gridtally/bench/dep1/up",
        "other/bench/dep1/up/live",
        "gridtally/bench/dep1/side/live",
        "gridtally/bench/dep1/up/lease",
        "gridtally/bench/dep1/down/live",
        "gridtally/bench/DEP/up/live",
        "gridtally/bench/+/up/live",
        "gridtally//dep1/up/live",
        "gridtally/bench/-x/up/live",
        "gridtally/bench/" + "x" * 33 + "/up/live",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(MalformedMessage):
        topics.parse(topic)


@pytest.mark.parametrize("name", ["", "a/b", "#", "é", "a b"])
def test_no_topic_is_built_from_a_name_that_would_not_parse(name: str) -> None:
    for build in (topics.up, topics.down):
        with pytest.raises(MalformedMessage):
            build("bench", name, "live" if build is topics.up else "lease")
    with pytest.raises(AssertionError):
        topics.up("bench", "dep1", "lease")


def test_slots_are_half_open_and_aligned() -> None:
    quarter = 900_000
    assert slots.slot_start(quarter - 1, quarter) == 0
    assert slots.slot_start(quarter, quarter) == quarter
    assert slots.next_slot(quarter, quarter) == 2 * quarter
    assert slots.is_edge(quarter, quarter)
    assert not slots.is_edge(quarter + 1, quarter)
    assert slots.next_instant(1000, 1000) == 2000
    assert slots.next_instant(1001, 1000) == 2000
    assert list(slots.instants(1, 4000, 1000)) == [1000, 2000, 3000]
    assert slots.minute_of_day(slots.DAY_MS + 61_000) == 1
    assert not slots.crosses_edge(0, quarter - 1, quarter)
    assert slots.crosses_edge(quarter - 1, quarter, quarter)


TRUST = Trust(
    bytes(range(32)), "example/log", "example/log+00+AA", ed25519("hub").public, "quorum none\n"
)


@pytest.mark.parametrize("trust", [TRUST, replace(TRUST, simulation=True)])
def test_trust_comes_back(trust: Trust) -> None:
    assert parse_trust(format_trust(trust)) == trust


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("simulation = false", "simulation = 0", "simulation is true or false"),
        ("simulation = false", "", "missing or unknown: simulation"),
        ("simulation = false", "simulation = false\nmore = 1", "missing or unknown: more"),
        ('network_id = "00', 'network_id = "', "32 bytes"),
        ('network_id = "00', 'network_id = "zz', "network_id or hub_key"),
        ('hub_key = "a3', 'hub_key = "a2', "network_id or hub_key"),
        ('origin = "example/log"', "origin = 5", "is a text"),
        ("origin =", "origin", "trust.toml"),
    ],
)
def test_other_trust_texts_are_refused(old: str, new: str, finding: str) -> None:
    text = format_trust(TRUST)
    assert old in text
    with pytest.raises(MalformedMessage, match=finding):
        parse_trust(text.replace(old, new, 1))


@pytest.mark.parametrize("alg", [EDDSA, ES256])
def test_a_key_file_is_private_and_comes_back(tmp_path: Path, alg: int) -> None:
    path = tmp_path / "keys" / "meter.pem"
    signer = generate(path, alg)

    assert path.stat().st_mode & 0o777 == 0o600
    again = load(path)
    assert again.public == signer.public
    signer.public.verify(again.sign(b"x"), b"x")
    assert repr(signer) == f"FileSigner({signer.public.fingerprint})"
    with pytest.raises(KeyExists, match="never overwritten"):
        generate(path, alg)


def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "meter.pem"
    generate(path)
    path.chmod(0o640)
    with pytest.raises(
        KeyUnreadable, match=r"mode 0640 lets others read the key.*chmod 600 .*meter.pem"
    ):
        load(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadable, match="No such file"):
        load(tmp_path / "none.pem")
    path = tmp_path / "bad.pem"
    for content, finding in (
        (b"x", "not a PEM private key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "neither an Ed25519 nor a P-256"),
        (pem(rsa.generate_private_key(65537, 1024)), "neither an Ed25519 nor a P-256"),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyUnreadable, match=finding):
            load(path)


def pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyUnreadable, match="cannot write the key"):
        generate(tmp_path / "file" / "key.pem")
    assert os.listdir(tmp_path) == ["file"]
