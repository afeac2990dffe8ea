"""Keys of a node that follow one another: made, taken over, written down; killed at any point."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.agent import Packing
from edge.cli import app
from edge.config import EXAMPLE, load_config
from edge.errors import EdgeError, OutboxLocked, Unavailable
from edge.inbound import Event, Task
from edge.joining import rotate as rotating
from edge.joining.rotate import next_place, rotate
from edge.keygen import make_keys
from edge.measuring import Measuring
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft, Row
from edge.posting import Posting
from edge.receipts import log_trust
from edge.relaying import NodeKey
from edge.rotating import SOCKET, Rotating, ask_agent, rotation_door
from edge.service import loaded
from edge.successors import Successor, begun, followed
from keys import stores
from messages import cose
from messages.entries import KeyEntry, network_aad, parse_as
from messages.membership import ROTATION, check_proof
from messages.publickey import Signer
from messages.trust import format_trust, parse_trust
from tests.support.edge_hub import FakeHub

HUB = FakeHub()
PV = "dep1-pv"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    trust = format_trust(HUB.trust).replace("simulation = true", "simulation = false")
    (tmp_path / "trust.toml").write_text(trust)
    path = tmp_path / "edge.toml"
    path.write_text(EXAMPLE)
    make_keys(load_config(path))
    return path


def signer_of(file: Path, name: str) -> Signer:
    return stores.open_signer(loaded(file).key_places[name])


def rows(file: Path) -> list[Row]:
    outbox = Outbox(Path(load_config(file).state), 100)
    try:
        return list(outbox.all_rows())
    finally:
        outbox.close()


def sign_some(file: Path, name: str, count: int) -> None:
    """Have a meter's key sign some registers."""
    outbox = Outbox(Path(load_config(file).state), 100)
    kid = signer_of(file, name).public.kid
    outbox.commit(Batch(tuple(Draft(kid, "register", lambda n: b"%d" % n) for _ in range(count))))
    outbox.close()


def last_word(file: Path, old: Signer) -> KeyEntry:
    """Return the one rotation that a key signed, checked as a hub checks it."""
    (row,) = [each for each in rows(file) if (each.kid, each.stream) == (old.public.kid, ROTATION)]
    network_id = parse_trust((file.parent / "trust.toml").read_text()).network_id
    envelope = cose.parse(row.raw)
    cose.verify(envelope, old.public, network_aad(network_id))
    entry = parse_as(KeyEntry, envelope)
    check_proof(entry, network_id)
    assert row.sequence == 1
    return entry


def test_a_key_is_followed_by_one_beside_it(file: Path) -> None:
    old = signer_of(file, PV)
    sign_some(file, PV, 3)
    (done,) = rotate(file, [PV], "", None)
    new = signer_of(file, PV)
    assert (done.name, done.fingerprint, done.is_agents) == (PV, new.public.fingerprint, False)
    assert (done.old_place, done.new_place) == ("keys/dep1-pv.pem", "keys/dep1-pv.2.pem")
    entry = last_word(file, old)
    assert (entry.action, entry.holder, entry.name) == ("rotate", "meter", PV)
    assert (entry.key, entry.replaces) == (new.public.cose_key, old.public.kid)
    assert entry.last_sequences == {"register": 3}
    assert begun(load_config(file)) == []
    changed = set(file.read_text().splitlines()) - set(EXAMPLE.splitlines())
    assert changed == {'key = "keys/dep1-pv.2.pem"'}


def test_without_names_every_key_is_followed(file: Path) -> None:
    before = {name: signer_of(file, name).public for name in load_config(file).key_places}
    done = list(rotate(file, [], "", None))
    assert [each.name for each in done] == ["", PV, "dep1-load", "dep1-heater"]
    for name, old in before.items():
        assert signer_of(file, name).public != old
    assert len(rows(file)) == 4
    assert last_word(file, stores.open_signer(str(file.parent / "keys/dep1.pem"))).holder == "node"


def test_the_third_follows_the_second(file: Path) -> None:
    for number in (2, 3):
        (done,) = rotate(file, [PV], "", None)
        assert done.new_place == f"keys/dep1-pv.{number}.pem"


class Killed(BaseException):
    """What ends a program between two of its steps."""


STEPS = ("take_over", "_write", "_forget")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_killed_anywhere_it_is_run_again_and_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_done: bool
) -> None:
    old, real = signer_of(file, PV), getattr(rotating, step)

    def killed(*words: object) -> None:
        if is_done:
            real(*words)
        raise Killed

    sign_some(file, PV, 2)
    monkeypatch.setattr(rotating, step, killed)
    with pytest.raises(Killed):
        list(rotate(file, [PV], "", None))
    monkeypatch.undo()

    # Whatever starts now signs with the key that counts.
    has_changed = any(row.stream == ROTATION for row in rows(file))
    assert (signer_of(file, PV).public != old.public) == has_changed
    heir = signer_of(file, PV).public
    again = list(rotate(file, [PV], "", None))
    if has_changed and (step, is_done) != ("_forget", True):
        assert [each.fingerprint for each in again] == [""], "it only finishes"
        assert signer_of(file, PV).public == heir
    entry = last_word(file, old)
    assert entry.last_sequences == {"register": 2}
    assert not begun(load_config(file))
    first_heir = stores.open_signer(str(file.parent / "keys/dep1-pv.2.pem"))
    assert entry.key == first_heir.public.cose_key


def test_a_key_that_signed_before_is_nobody_s_successor(file: Path) -> None:
    sign_some(file, "dep1-load", 1)
    with pytest.raises(Unavailable, match="has signed here before: take a new one"):
        list(rotate(file, [PV], "keys/dep1-load.pem", None))
    assert not [row for row in rows(file) if row.stream == ROTATION]


def test_a_key_has_one_successor(file: Path) -> None:
    list(rotate(file, [PV], "", None))
    file.write_text(EXAMPLE)  # a person took the old file back
    with pytest.raises(Unavailable, match="has a successor already"):
        list(rotate(file, [PV], "", None))


@pytest.mark.parametrize(
    ("names", "to", "words"),
    [
        (["dep9"], "", "no key is dep9's; there are those of dep1, dep1-pv"),
        ([], "keys/x.pem", "--to is for one key"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_made(
    file: Path, names: list[str], to: str, words: str
) -> None:
    before = sorted(file.parent.rglob("*.pem"))
    with pytest.raises(Unavailable, match=words):
        list(rotate(file, names, to, None))
    assert sorted(file.parent.rglob("*.pem")) == before


def test_a_name_of_two_is_nobody_s(file: Path) -> None:
    file.write_text(EXAMPLE.replace('meter_id = "dep1-pv"', 'meter_id = "dep1"'))
    with pytest.raises(Unavailable, match="the name of the node and of a meter"):
        list(rotate(file, ["dep1"], "", None))


def test_a_folder_in_use_without_an_agent_is_said(file: Path) -> None:
    config = load_config(file)
    outbox = Outbox(Path(config.state), 100)
    try:
        with pytest.raises(OutboxLocked, match="an agent that starts"):
            list(rotate(file, [PV], "", None))
    finally:
        outbox.close()
    assert file.read_text() == EXAMPLE


TOKEN = "pkcs11:token=site;object=pv;id=%01?module-path=/m.so&pin-source=file:site.pin"


@pytest.mark.parametrize(
    ("place", "following"),
    [
        ("keys/pv.pem", "keys/pv.2.pem"),
        ("keys/pv.2.pem", "keys/pv.3.pem"),
        ("keys/pv.v9.pem", "keys/pv.v9.2.pem"),
        ("pv", "pv.2"),
        ("tpm:keys/pv.tpm", "tpm:keys/pv.2.tpm"),
        ("tpm:keys/pv.9.tpm?tcti=x", "tpm:keys/pv.10.tpm?tcti=x"),
        (TOKEN, "pkcs11:token=site;object=pv.2?module-path=/m.so&pin-source=file:site.pin"),
    ],
)
def test_where_the_next_key_lies(place: str, following: str) -> None:
    assert next_place(place) == following


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("tpm:0x81000101", "another handle"),
        ("credential:pv", "a credential of another name"),
        ("pkcs11:token=site;id=%01?module-path=/m.so", "the same URI with another object="),
    ],
)
def test_where_only_a_person_knows_it_asks(place: str, words: str) -> None:
    with pytest.raises(Unavailable, match=f"say with --to .*{words}"):
        next_place(place)


# --- with an agent


class Agent:
    """A loop that does what it is asked, and what it needs of an agent; the outbox is its own."""

    def __init__(self, file: Path) -> None:
        self.config = loaded(file)
        self.trust = parse_trust((file.parent / "trust.toml").read_text())
        self.changed: list[tuple[str, Signer]] = []
        self.events: queue.Queue[Event | None] = queue.Queue()
        self.is_ready = threading.Event()
        self.loop = threading.Thread(target=self._turn)
        self.loop.start()
        assert self.is_ready.wait(10)
        path = Path(self.config.state) / SOCKET
        self.door = rotation_door(path, self.events.put, self.rotating)
        self.door.start()
        while not path.exists():
            pass

    def _turn(self) -> None:
        outbox = Outbox(Path(self.config.state), 100)
        signers = {each.meter_id: stores.open_signer(each.key) for each in self.config.meter}
        own = stores.open_signer(self.config.key)
        self.key = NodeKey(self.config.node, own, self.trust.network_id)
        posting = Posting(outbox, log_trust(self.trust), self.config.node, lambda *_: True)
        measuring = Measuring([], PACKING, 1, lambda *_: Draft(b"", "", lambda _: b""))
        measuring.change_key = lambda *words: self.changed.append(words)  # type: ignore[method-assign]
        self.rotating = Rotating(outbox, posting, measuring, self.key, signers)
        self.is_ready.set()
        while (event := self.events.get()) is not None:
            assert isinstance(event, Task)
            event.run()
        outbox.close()

    def close(self) -> None:
        self.door.stop()
        self.events.put(None)
        self.loop.join(10)


PACKING = Packing(1_000, 900_000, 60)


@pytest.fixture
def agent(file: Path) -> Iterator[Agent]:
    made = Agent(file)
    try:
        yield made
    finally:
        made.close()


def test_a_running_agent_changes_over_at_once(file: Path, agent: Agent) -> None:
    first, second = list(rotate(file, ["dep1", PV], "", None))
    assert (first.is_agents, second.is_agents) == (True, True)
    assert agent.key.signer.public == signer_of(file, "").public
    ((name, signer),) = agent.changed
    assert (name, signer.public) == (PV, signer_of(file, PV).public)
    assert agent.rotating.signers[PV].public == signer.public
    assert begun(load_config(file)) == []
    agent.close()
    assert [row.stream for row in rows(file)] == [ROTATION, ROTATION]


def test_what_the_agent_refuses_is_said_and_the_old_key_stays(file: Path, agent: Agent) -> None:
    state = Path(load_config(file).state)
    new = str(file.parent / "keys" / "dep1-load.pem")
    with pytest.raises(Unavailable, match="the agent refused: the agent has no meter x"):
        ask_agent(state, {"change": "x", "old": "a", "new": new})
    with pytest.raises(Unavailable, match="the agent refused: /"):
        ask_agent(state, {"change": PV, "old": "a", "new": str(file.parent / "none.pem")})
    assert agent.changed == []


def test_an_agent_that_speaks_no_sense_is_gone(file: Path, agent: Agent) -> None:
    with pytest.raises(Unavailable, match="refused"):
        ask_agent(Path(load_config(file).state), {"what": "?"})


def test_what_waits_for_the_disk_is_signed_by_its_own_key(
    file: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent.rotating.posting, "store", lambda batch: False)
    with pytest.raises(Unavailable, match="waits for the disk"):
        list(rotate(file, [PV], "", None))
    assert file.read_text() == EXAMPLE
    assert agent.changed == []


def test_nobody_is_asked_where_no_agent_is(tmp_path: Path) -> None:
    assert ask_agent(tmp_path, {"written": "x"}) is None


def test_a_note_of_another_place_is_not_followed(file: Path) -> None:
    list(rotate(file, [PV], "", None))
    config = load_config(file)
    outbox = Outbox(Path(config.state), 100)
    outbox.note(Successor(PV, "", "").fact, '["/elsewhere/a.pem", "/elsewhere/b.pem"]')
    outbox.close()
    assert followed(config) == config


def test_the_command_says_what_it_did(file: Path) -> None:
    from typer.testing import CliRunner

    ran = CliRunner().invoke(app, ["rotate", PV, "--config", str(file)])
    assert ran.exit_code == 0, ran.output
    fingerprint = signer_of(file, PV).public.fingerprint
    assert ran.stdout == f"{fingerprint}  meter {PV}: keys/dep1-pv.2.pem\n"
    assert "from its next start on; keys/dep1-pv.pem signs nothing more" in ran.stderr


def test_a_configuration_that_cannot_be_edited_is_named(file: Path) -> None:
    text = EXAMPLE.replace('[[meter]]\nmeter_id = "dep1-pv"', "[[ meter ]]\nmeter_id = 'dep1-pv'")
    file.write_text(text)
    try:
        (done,) = rotate(file, [PV], "", None)
    except EdgeError as error:
        assert "write key = " in str(error)  # noqa: PT017 - either is right
    else:
        assert done.new_place in file.read_text()
