"""Pairing over real TLS on loopback: the hub's endpoint, the edge's client, and who else calls."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import load_config as load_edge
from edge.errors import EdgeError, Unavailable
from edge.joining.errors import JoinRefused
from edge.joining.join import Shown, join
from edge.joining.meeting import meet
from hub.balancing.catalog import POLICIES
from hub.commands.enrolling import found_installation
from hub.commands.founding import Plan as Founding
from hub.config import HubConfig, load_config
from hub.joining import endpoint as endpoints
from hub.joining.broker import prepare_broker
from hub.joining.errors import JoiningRefused
from hub.joining.pairing import Paired, Pairing, Plan
from hub.joining.registry import current_keys, read_registry
from hub.joining.window import Joining, Reason
from hub.ledger.verify import verify
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.starting import read_trust
from keys import file as key_file
from messages import schema
from messages.pairing import LENGTH_BYTES, Request, format_text, frame, parse_text

HOST = "127.0.0.1"
EDGE = """\
node = "dep1"
microgrid = "bench"
member = "alice"
trust = "trust.toml"
state = "state"

[sampling]
sample_ms = 1000
slot_ms = 60000

# my own remark
[broker]
host = "10.0.0.1"
port = 1883
password_file = "dep1.password"

[[bus]]
name = "i2c1"
kind = "i2c"
device = "/dev/i2c-1"

[[meter]]
meter_id = "dep1-pv"
model = "ina219"
bus = "i2c1"
address = 0x40
shunt_mohm = 100
current_max_ma = 3200
key = "keys/dep1-pv.pem"
purpose = "generation"
fuel = "solar"
location = "Upper Mill"
rated_w = 40
"""


def yes(joining: Joining, peer: str) -> bool:
    return True


@pytest.fixture
def config(tmp_path: Path) -> HubConfig:
    folder = tmp_path / "hub"
    policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
    found_installation(folder, Founding("bench", 60_000, 30_000, "open", False, policy), 1)
    file = folder / "hub.toml"
    list(prepare_broker(load_config(file), file, [HOST, "hub.local"], 8883, folder / "mosquitto"))
    return load_config(file)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "edge.toml").write_text(EDGE)
    return folder


class Waiting:
    """A hub that waits for a node, in a thread; `end` gives what came of it."""

    def __init__(self, pairing: Pairing, confirm: Callable[[Joining, str], bool]) -> None:
        self.text = pairing.text
        self.told: list[str] = []
        self.asked: list[Joining] = []
        self.result: Paired | Exception | None = None

        def work() -> None:
            def ask(joining: Joining, peer: str) -> bool:
                self.asked.append(joining)
                return confirm(joining, peer)

            try:
                self.result = pairing.wait(self.told.append, ask)
            except JoiningRefused as error:
                self.result = error

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def end(self) -> Paired | Exception | None:
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.result


@contextmanager
def waiting(
    config: HubConfig, confirm: Callable[[Joining, str], bool] = yes, **changes: Any
) -> Iterator[Waiting]:
    plan = Plan("dep1", "alice", 1, HOST, 0)
    with Pairing(config, replace(plan, **changes)) as pairing:
        made = Waiting(pairing, confirm)
        try:
            yield made
        finally:
            if made.thread.is_alive():
                pairing.ends_ms = 0
            made.end()


def test_a_node_joins_and_has_all_that_run_needs(config: HubConfig, node: Path) -> None:
    shown: list[Shown] = []
    with waiting(config) as hub:
        files = join(hub.text, node, shown.append)
        paired = hub.end()
    assert isinstance(paired, Paired)
    assert paired.lines == ("node dep1: enrolled", "meter dep1-pv: enrolled")
    assert not paired.must_reload, "a first certificate revokes none"
    assert shown[0].fingerprint == hub.asked[0].fingerprint
    assert files[-1] == node / "edge.toml"
    assert (node / "trust.toml").read_text() == Path(config.trust).read_text()
    edge = load_edge(node / "edge.toml")
    assert (edge.broker.host, edge.broker.port, edge.broker.password_file) == (HOST, 8883, None)
    assert edge.broker.tls is not None
    for path in (edge.broker.tls.ca, edge.broker.tls.cert, edge.broker.tls.key):
        assert path is not None
        assert Path(path).is_file()
    assert stat.S_IMODE((node / "tls" / "dep1.key.pem").stat().st_mode) == 0o600
    assert "# my own remark" in (node / "edge.toml").read_text()
    state = read_registry(config)
    assert (state.meters["dep1-pv"].fuel, state.meters["dep1-pv"].location) == (
        "solar",
        "Upper Mill",
    )
    mine = key_file.load(node / "keys" / "dep1-pv.pem").public
    assert current_keys(state)["meter", "dep1-pv"] == mine
    assert verify(config.database, read_trust(Path(config.trust))).findings == ()


def test_a_node_without_a_configuration_gets_one(config: HubConfig, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    with waiting(config) as hub:
        join(hub.text, folder, lambda shown: None)
    edge = load_edge(folder / "edge.toml")
    assert (edge.node, edge.member, edge.microgrid) == ("dep1", "alice", "bench")
    assert (edge.sampling.slot_ms, edge.meter) == (60_000, ())


def test_a_node_without_a_configuration_must_be_somebody_s(
    config: HubConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    with (
        waiting(config, member="") as hub,
        pytest.raises(JoinRefused, match="pair with --member"),
    ):
        join(hub.text, folder, lambda shown: None)
    assert list(folder.iterdir()) == []


def test_pairing_again_adds_what_is_new_and_ends_the_old_certificate(
    config: HubConfig, node: Path
) -> None:
    with waiting(config) as hub:
        join(hub.text, node, lambda shown: None)
    again = EDGE + EDGE[EDGE.index("[[meter]]") :].replace("dep1-pv", "dep1-hydro").replace(
        "0x40", "0x41"
    ).replace('"solar"', '"hydro"')
    (node / "edge.toml").write_text(again)
    with waiting(config) as hub:
        join(hub.text, node, lambda shown: None)
        paired = hub.end()
    assert isinstance(paired, Paired)
    assert paired.lines == (
        "node dep1: was enrolled already",
        "meter dep1-pv: was enrolled already",
        "meter dep1-hydro: enrolled",
    )
    assert paired.must_reload


# --- who is refused


def test_a_person_who_sees_other_fingerprints_says_no(config: HubConfig, node: Path) -> None:
    with waiting(config, lambda joining, peer: False) as hub:
        with pytest.raises(JoinRefused, match="not-confirmed: the person at the hub saw other"):
            join(hub.text, node, lambda shown: None)
        assert Reason.NOT_CONFIRMED in str(hub.end())
    assert not (node / "trust.toml").exists()
    assert (node / "edge.toml").read_text() == EDGE
    assert ("node", "dep1") not in current_keys(read_registry(config))


def test_a_wrong_token_is_refused_by_name(config: HubConfig, node: Path) -> None:
    with waiting(config) as hub:
        read = parse_text(hub.text)
        wrong = format_text(replace(read, token=bytes(16)))
        with pytest.raises(JoinRefused, match="wrong-token: this is not the token"):
            join(wrong, node, lambda shown: None)
        assert hub.asked == []
        join(hub.text, node, lambda shown: None)


def test_five_wrong_tokens_end_the_pairing(config: HubConfig, node: Path) -> None:
    with waiting(config) as hub:
        wrong = format_text(replace(parse_text(hub.text), token=bytes(16)))
        for _ in range(5):
            with pytest.raises(JoinRefused, match="wrong-token"):
                join(wrong, node, lambda shown: None)
        assert Reason.TOO_MANY_TRIES in str(hub.end())


def test_a_text_that_was_used_is_refused(config: HubConfig, node: Path, tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(joining: Joining, peer: str) -> bool:
        return gate.wait(20)

    with waiting(config, slow) as hub:
        first = threading.Thread(target=join, args=(hub.text, node, lambda shown: None))
        first.start()
        while not hub.asked:
            time.sleep(0.01)
        other = tmp_path / "other"
        other.mkdir()
        (other / "edge.toml").write_text(EDGE)
        with pytest.raises(JoinRefused, match="used: a pairing text is good for one node, once"):
            join(hub.text, other, lambda shown: None)
        gate.set()
        first.join(20)
        assert isinstance(hub.end(), Paired)
    with pytest.raises(Unavailable, match="still waiting there"):
        join(hub.text, other, lambda shown: None)


def test_a_pairing_ends_with_its_time(config: HubConfig) -> None:
    with Pairing(config, Plan("dep1", "alice", 1, HOST, 0)) as pairing:
        pairing.ends_ms = 0
        with pytest.raises(JoiningRefused, match="expired: no node joined in time"):
            pairing.wait(lambda text: None, yes)


def test_a_person_who_is_late_confirms_nothing(config: HubConfig, node: Path) -> None:
    with Pairing(config, Plan("dep1", "alice", 1, HOST, 0)) as pairing:

        def late(joining: Joining, peer: str) -> bool:
            pairing.ends_ms = 0
            return True

        hub = Waiting(pairing, late)
        with pytest.raises(JoinRefused, match="expired: it was confirmed when the time was over"):
            join(hub.text, node, lambda shown: None)
        hub.end()
    assert ("node", "dep1") not in current_keys(read_registry(config))


def test_a_text_of_another_hub_leads_to_nothing_being_sent(
    config: HubConfig, node: Path, tmp_path: Path
) -> None:
    """The address is right, the key is not: somebody is in between, or it is an old text."""
    with waiting(config) as hub:
        read = parse_text(hub.text)
        foreign = format_text(replace(read, pin=bytes(16)))
        with pytest.raises(JoinRefused, match="somebody is in between: nothing was sent"):
            join(foreign, node, lambda shown: None)
        assert hub.asked == []
    assert not (node / "keys").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('node = "dep1"', 'node = "dep2"', "node is dep2, the pairing is for dep1"),
        ('microgrid = "bench"', 'microgrid = "north"', "microgrid is north"),
        ("slot_ms = 60000", "slot_ms = 900000", "slot_ms is 900000"),
    ],
)
def test_a_node_of_somewhere_else_asks_for_nothing(
    config: HubConfig, node: Path, old: str, new: str, words: str
) -> None:
    (node / "edge.toml").write_text(EDGE.replace(old, new))
    with waiting(config) as hub:
        with pytest.raises(JoinRefused, match=words):
            join(hub.text, node, lambda shown: None)
        assert hub.asked == []


def test_trust_of_another_network_is_not_overwritten(config: HubConfig, node: Path) -> None:
    own = Path(config.trust).read_text()
    other = own.replace(own.split('network_id = "')[1][:8], "00000000", 1)
    (node / "trust.toml").write_text(other)
    with waiting(config) as hub, pytest.raises(JoinRefused, match="the trust of another network"):
        join(hub.text, node, lambda shown: None)
    assert (node / "trust.toml").read_text() == other


def test_a_node_with_another_key_is_told_which_counts(
    config: HubConfig, node: Path, tmp_path: Path
) -> None:
    with waiting(config) as hub:
        join(hub.text, node, lambda shown: None)
    thief = tmp_path / "thief"
    thief.mkdir()
    (thief / "edge.toml").write_text(EDGE)
    with (
        waiting(config) as hub,
        pytest.raises(JoinRefused, match=r"other-key: node dep1 has the key .* rotate or revoke"),
    ):
        join(hub.text, thief, lambda shown: None)


def test_the_ledger_has_the_last_word(config: HubConfig, node: Path) -> None:
    """Between judging and confirming somebody else enrolled that name."""
    from hub.commands.enrolling import hand_over, sign_as_administrator
    from messages.entries import KeyEntry
    from tests.support.signers import ed25519

    def meanwhile(joining: Joining, peer: str) -> bool:
        entry = KeyEntry("enrol", "node", "dep1", ed25519("another").public.cose_key)
        assert hand_over(config, sign_as_administrator(config, [entry])) == [""]
        return True

    with waiting(config, meanwhile) as hub:
        with pytest.raises(JoinRefused, match=f"{Reason.LEDGER_REFUSED}: node dep1 has a key"):
            join(hub.text, node, lambda shown: None)
        assert "node dep1 has a key" in str(hub.end())
    assert not (node / "trust.toml").exists()


# --- whoever else calls


def tls(port: int) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((HOST, port), 10))


def rest_of(link: socket.socket) -> bytes:
    received = b""
    try:
        while part := link.recv(65_536):
            received += part
    except OSError:
        pass
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        frame(b"no cbor"),
        frame(b"\xa0"),
    ],
    ids=["http", "4 GB", "empty", "no cbor", "an empty map"],
)
def test_who_speaks_otherwise_is_hung_up_on(config: HubConfig, node: Path, sent: bytes) -> None:
    with waiting(config) as hub:
        with tls(parse_text(hub.text).port) as link:
            link.sendall(sent)
            offer = rest_of(link)
        length = int.from_bytes(offer[:LENGTH_BYTES], "big")
        assert len(offer) == LENGTH_BYTES + length, "the offer, and not one byte more"
        join(hub.text, node, lambda shown: None)
        hub.end()
        assert f"{HOST} speaks another protocol" in hub.told[0]


def test_slow_and_silent_callers_are_closed_and_the_node_is_served(
    config: HubConfig, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "REQUEST_S", 0.3)
    monkeypatch.setattr(endpoints, "HANDSHAKE_S", 3.0)
    with waiting(config) as hub:
        port = parse_text(hub.text).port
        plain = [socket.create_connection((HOST, port), 10) for _ in range(4)]
        secured = [tls(port) for _ in range(2)]
        secured[0].sendall(b"\0\0\1\0dribble")
        for link in (*plain, *secured):
            rest_of(link)  # returns when the other side closes
            link.close()
        monkeypatch.setattr(endpoints, "REQUEST_S", 30.0)
        join(hub.text, node, lambda shown: None)
        assert isinstance(hub.end(), Paired)


def test_more_callers_than_there_are_places_get_nothing(
    config: HubConfig, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "CONNECTIONS_MAX", 2)
    with waiting(config) as hub:
        port = parse_text(hub.text).port
        held = [tls(port) for _ in range(2)]
        for link in held:
            assert len(link.recv(LENGTH_BYTES)) == LENGTH_BYTES, "they have their offer"
        with tls(port) as third:
            assert rest_of(third) == b""
        for link in held:
            link.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                join(hub.text, node, lambda shown: None)
                break
            except EdgeError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_no_request_without_the_token_learns_more_than_that(config: HubConfig) -> None:
    with waiting(config) as hub, meet(parse_text(hub.text)) as meeting:
        bare = Request("dep1", json.dumps({}), (), b"", b"m" * 32)
        meeting._link.sendall(frame(schema.encode_record(bare)))
        answer = rest_of(meeting._link)
    assert b"wrong-token" in answer
    assert b"alice" not in answer


def test_pairing_says_what_is_missing(tmp_path: Path, config: HubConfig) -> None:
    bare = replace(config, broker=replace(config.broker, mosquitto=None))
    with pytest.raises(JoiningRefused, match="run `gridtally-hub mosquitto --name HOST` first"):
        Pairing(bare, Plan("dep1", "alice", 1, HOST, 0))
    with pytest.raises(
        JoiningRefused, match=r"is for hub\.local, 127\.0\.0\.1, not for 10\.9\.8\.7"
    ):
        Pairing(config, Plan("dep1", "alice", 1, "10.9.8.7", 0))
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(JoiningRefused, match=f"cannot listen on {HOST}:{port}"):
            Pairing(config, Plan("dep1", "alice", 1, HOST, port))
