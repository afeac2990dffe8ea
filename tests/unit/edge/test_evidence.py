"""What a node keeps when the hub shows it a head that contradicts the one it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import Posting
from edge.receipts import Proven, log_trust, open_held
from member.verify import main as gridtally_verify
from messages.entries import Genesis, sign_entry
from messages.errors import BadProof
from messages.evidence import Heads, parse_evidence
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import unwitnessed
from messages.log.tree import leaf_hash
from messages.logkeeping import Takeover
from messages.trust import Trust, format_trust
from tests.support.edge_hub import ORIGIN, FakeHub
from tests.support.signers import ed25519

A = b"a" * 8


class Node:
    """A node's outbox and posting, with a hub in a few lines."""

    def __init__(self, folder: Path, hub: FakeHub, trust: Trust | None = None) -> None:
        self.sent: list[bytes] = []
        self.hub = hub
        self.outbox = Outbox(folder, 1_000)
        self.posting = Posting(self.outbox, log_trust(trust or hub.trust), "dep1", self._publish)

    def _publish(self, _leaf: str, raw: bytes) -> bool:
        self.sent.append(raw)
        return True

    def measure(self, count: int) -> None:
        drafts = tuple(Draft(A, "register", lambda n: b"register %d" % n) for _ in range(count))
        assert self.posting.store(Batch(drafts))

    def deliver(self) -> None:
        for row in self.outbox.all_rows():
            self.hub.store(row.kid, row.stream, row.sequence, row.raw)

    def answer(self, hub: FakeHub) -> None:
        self.posting.take(hub.sign(hub.receipt()))

    def evidence(self) -> Path:
        return Path(self.outbox.evidence_file)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path / "state", FakeHub())
    made.measure(2)
    made.deliver()
    made.answer(made.hub)
    assert made.outbox.rows == 0
    return made


def forked(*raws: bytes) -> FakeHub:
    """Another ledger under the same log key."""
    hub = FakeHub()
    for number, raw in enumerate(raws, 1):
        hub.store(A, "register", number, raw)
    return hub


def verdict(file: Path, hub: FakeHub) -> int:
    return gridtally_verify(["evidence", str(file), "--key", hub.trust.log_vkey])


def test_two_heads_of_one_size_convict_the_log(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.answer(forked(b"one", b"other"))
    assert "two different ledgers of 2 entries" in node.posting.alarm
    assert node.evidence().name.startswith("heads-")
    assert verdict(node.evidence(), node.hub) == 0
    assert f"the log {ORIGIN} signed two trees of 2 entries" in capsys.readouterr().out
    stranger = FakeHub(log=ed25519("stranger"))
    assert verdict(node.evidence(), stranger) != 0
    evidence = parse_evidence(node.evidence().read_text())
    assert isinstance(evidence, Heads)
    assert (evidence.first, evidence.second) == (
        node.hub.checkpoint(),
        forked(b"one", b"other").checkpoint(),
    )
    node.outbox.close()


def test_a_shorter_head_is_kept_and_convicts_nobody_alone(node: Node) -> None:
    node.answer(forked(b"one"))
    assert "a ledger of 1 entries, it had 2" in node.posting.alarm
    assert node.evidence().name.startswith("unproven-")
    assert verdict(node.evidence(), node.hub) == 15
    found = json.loads(node.evidence().read_text())
    assert found["first"].splitlines()[1] == "1"
    assert found["second"] == node.hub.checkpoint()
    node.outbox.close()


def test_it_stays_when_the_alarm_ends_and_is_written_once(node: Node) -> None:
    node.answer(forked(b"one", b"other"))
    file = node.evidence()
    node.outbox.forget_checkpoint()
    assert node.outbox.evidence_file == ""
    assert file.exists()
    assert len(list(file.parent.iterdir())) == 1
    node.outbox.close()


def test_a_disk_that_takes_no_file_still_raises_the_alarm(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.evidence._write", full)
    node.answer(forked(b"one", b"other"))
    assert node.posting.alarm
    assert node.outbox.evidence_file == ""
    assert "the evidence could not be kept: No space left" in caplog.text
    node.outbox.close()


# --- a log whose key ended ------------------------------------------------------------------------


def successor(hub: FakeHub, size: int, signed_up_to: int) -> tuple[Trust, Trust]:
    """Return the trust before and after a takeover behind `size` entries."""
    administrator, old = ed25519("administrator"), hub.trust
    genesis = Genesis(
        *("bench", ORIGIN, 60_000, 1_000, "open", True, administrator.public.cose_key),
        *(hub.hub.public.cose_key, hub.log.public.cose_key, old.policy, 0),
    )
    raw = sign_entry(administrator, genesis, b"")
    name = f"{ORIGIN}/log2" if signed_up_to > size else ORIGIN
    vkey = format_vkey(NoteKey(name, ED25519, ed25519("log-2").public))
    entry = Takeover(
        *(size, old.log_vkey, vkey, signed_up_to, hub.checkpoint(), unwitnessed(vkey), "lost", 0)
    )
    before = replace(old, network_id=leaf_hash(raw))
    lineage = (raw, sign_entry(administrator, entry, before.network_id))
    after = replace(before, origin=name, log_vkey=vkey, policy=unwitnessed(vkey), lineage=lineage)
    assert format_trust(after)
    return before, after


def test_a_node_sends_again_what_a_log_gave_up(tmp_path: Path) -> None:
    hub = FakeHub()
    node = Node(tmp_path / "state", hub)
    node.measure(2)
    node.deliver()
    node.answer(hub)
    node.measure(3)
    for key, head in node.outbox.heads().items():  # stored at the old hub, and not final
        assert (key, head.stored_up_to, head.final_up_to) == ((A, "register"), 2, 2)
    node.outbox.close()
    _, after = successor(hub, size=1, signed_up_to=2)
    again = Node(tmp_path / "state", hub, after)
    assert again.posting.checkpoint == hub.checkpoint(), "it says what it holds"
    assert again.posting.alarm == ""
    (head,) = again.posting.stream_heads()
    assert (head.first_held, head.stored_up_to, head.next_sequence) == (3, 2, 6)
    again.posting.send(0)
    assert again.sent == [b"register 3", b"register 4", b"register 5"]
    again.outbox.close()


def test_what_was_stored_and_not_final_is_sent_again(tmp_path: Path) -> None:
    hub = FakeHub()
    node = Node(tmp_path / "state", hub)
    node.measure(2)
    node.deliver()
    node.answer(hub)
    node.measure(1)
    node.outbox.settle(Proven(None, "", {(A, "register"): 3}, {}, frozenset()))
    assert node.outbox.heads()[A, "register"].stored_up_to == 3
    node.outbox.close()
    _, after = successor(hub, size=1, signed_up_to=2)
    again = Node(tmp_path / "state", hub, after)
    assert again.outbox.heads()[A, "register"].stored_up_to == 2
    again.posting.send(0)
    assert again.sent == [b"register 3"]
    again.outbox.close()


def test_where_the_name_stays_the_new_key_has_to_continue_what_is_held() -> None:
    hub = forked(b"one", b"two")
    _, after = successor(hub, size=5, signed_up_to=2)
    held = open_held(hub.checkpoint(), log_trust(after))
    assert (held.newest and held.newest.size, held.has_ended) == (2, False)
    _, after = successor(hub, size=1, signed_up_to=2)
    held = open_held(hub.checkpoint(), log_trust(after))
    assert (held.newest, held.has_ended) == (None, True)


def test_a_head_of_a_log_that_nobody_took_over_is_refused() -> None:
    stranger = FakeHub(log=ed25519("stranger"))
    stranger.store(A, "register", 1, b"one")
    _, after = successor(FakeHub(), size=1, signed_up_to=2)
    with pytest.raises(BadProof):
        open_held(stranger.checkpoint(), log_trust(after))
