"""The hub and its witnesses over loopback TCP: what becomes final, and who is waited for."""

from __future__ import annotations

import base64
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.cosigning import rounds
from hub.cosigning.client import Peer
from hub.cosigning.finality import Finality
from hub.cosigning.rounds import Cosigning, peers_of
from hub.errors import LedgerBehind
from hub.ledger.store import Store
from hub.link.post import Post
from hub.spine import Spine
from hub.starting import Opened
from hub.witness.service import Answer
from messages.evidence import Heads, check_heads, parse_evidence
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.cosignature import cosign, open_cosignatures
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.policy import parse_policy
from messages.log.submission import parse_submission
from messages.receipt import Receipt
from tests.support.hub_bench import MICROGRID, SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519
from tests.support.witness_http import HttpWitness

DEADLINE_S = 20.0


class Site:
    """A hub of a policy of two of three, and its witnesses."""

    def __init__(self, folder: Path, count: int = 3, quorum: str = "2") -> None:
        self.folder = folder
        self.bench = Bench(folder / "hub")
        self.opened: Opened = self.bench.open()
        assert set(self.bench.enrol(self.bench.spine(self.opened))) == {""}
        vkey = self.opened.trust.log_vkey
        self.witnesses = [
            HttpWitness(folder / f"w{n}", f"witness.example/w{n}", vkey) for n in range(count)
        ]
        names = [witness.policy_line.split()[1] for witness in self.witnesses]
        lines = [f"log {vkey}", *(witness.policy_line for witness in self.witnesses)]
        lines += [f"group g {quorum} {' '.join(names)}", "quorum g"]
        self.policy = parse_policy("\n".join(lines if quorum else [f"log {vkey}", "quorum none"]))
        self.woken = threading.Event()
        self.slots = 0
        self.spine, self.cosigning = self.make_hub()

    def make_hub(self) -> tuple[Spine, Cosigning]:
        opened = self.opened
        store = opened.recorder.store
        post = Post(self.bench.link, opened.pen, MICROGRID)
        finality = Finality(store, self.policy)
        spine = Spine(opened.recorder, opened.pen, post, opened.rules, finality)
        peers = peers_of(self.policy, [witness.peer for witness in self.witnesses])
        self.ledger = Store.open(self.bench.config.database, read_only=True)
        comparison = self.bench.comparison(opened)
        cosigning = Cosigning(peers, spine, comparison, self.ledger, self.woken.set)
        return spine, cosigning

    def start(self, wait_s: float = 10.0) -> None:
        self.cosigning.start(wait_s)

    def grow(self) -> int:
        """Let a reading come in; return the ledger's size."""
        self.slots += 1
        at_ms = START_MS + self.slots * SLOT_MS
        self.spine.take_in([self.bench.reading("pv", at_ms, self.slots)], 0, at_ms)
        return self.opened.recorder.store.size

    def tend_until(self, done: Callable[[], bool]) -> None:
        """Turn the hub's loop until something is so."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not done():
            self.woken.wait(0.05)
            self.woken.clear()
            self.cosigning.tend(int(time.monotonic() * 1000))
            assert time.monotonic() < deadline_s, (self.cosigning.seen(), self.final)

    @property
    def final(self) -> int:
        return self.spine.finality.size

    @property
    def origin(self) -> str:
        return self.opened.trust.origin

    def reason(self, place: int) -> str:
        return self.cosigning.seen()[place].reason

    def evidence(self) -> list[Heads]:
        files = sorted((self.bench.folder / "evidence").glob("heads-*.json"))
        found = [parse_evidence(file.read_text()) for file in files]
        return [each for each in found if isinstance(each, Heads)]

    def stop(self) -> None:
        self.cosigning.stop()
        self.ledger.close()

    def close(self) -> None:
        for witness in self.witnesses:
            witness.close()
        self.stop()
        self.opened.close()

    def restart(self) -> None:
        """Kill the hub and start it again on the same ledger."""
        self.stop()
        self.opened.close()
        self.opened = self.bench.open()
        self.spine, self.cosigning = self.make_hub()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_all_cosign_and_what_came_in_becomes_final(site: Site) -> None:
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    final = site.spine.finality.newest
    assert final is not None
    keys = tuple(witness.home.key for witness in site.witnesses)
    assert len(open_cosignatures(final.note, keys)) >= 2
    (receipt, *_) = reversed(site.bench.take_sent(site.opened, Receipt))
    assert receipt.checkpoint == final.note
    site.tend_until(lambda: all(w.size(site.origin) == size for w in site.witnesses))
    site.tend_until(lambda: all(each.size == size for each in site.cosigning.seen()))
    assert site.cosigning.complaints == ()


def test_one_connection_serves_many_submissions(site: Site) -> None:
    site.start()
    for _ in range(5):
        size = site.grow()
        site.tend_until(lambda size=size: site.final == size)  # type: ignore[misc]
    bodies = [body for method, _, body in site.witnesses[0].asked if method == "POST"]
    sizes = [parse_submission(body.decode()).old for body in bodies]
    assert sizes == sorted(sizes)


def test_one_dead_witness_of_three_stops_nothing(site: Site) -> None:
    site.witnesses[0].stop()
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    assert site.reason(0)
    assert site.cosigning.complaints == ()
    site.witnesses[0].start()
    size = site.grow()
    site.tend_until(lambda: site.witnesses[0].size(site.origin) == size)
    site.tend_until(lambda: site.reason(0) == "")


def test_two_dead_witnesses_of_three_stop_finality_and_a_person_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "LATE_MS", 100)
    site.start()
    held = site.grow()
    site.tend_until(lambda: site.final == held)
    for witness in site.witnesses[:2]:
        witness.stop()
    size = site.grow()
    site.tend_until(lambda: site.witnesses[2].size(site.origin) == size)
    site.tend_until(lambda: bool(site.cosigning.complaints))
    assert site.final == held
    assert "nothing became final" in site.cosigning.complaints[0]
    assert site.bench.take_sent(site.opened, Receipt)[-1].streams[0].final_up_to == 1
    site.witnesses[1].start()
    site.tend_until(lambda: site.final == size)
    site.tend_until(lambda: site.cosigning.complaints == ())


def test_a_late_witness_holds_nobody_up_and_catches_up(site: Site) -> None:
    site.start()
    late = site.witnesses[1]
    late.gate.clear()
    for _ in range(3):
        size = site.grow()
        site.tend_until(lambda size=size: site.final == size)  # type: ignore[misc]
    late.gate.set()
    site.tend_until(lambda: late.size(site.origin) == size)


def test_witnesses_of_different_speed_meet_at_one_checkpoint(tmp_path: Path) -> None:
    """All three are needed and one is slow: what is shown stays until it answered."""
    site = Site(tmp_path, quorum="all")
    try:
        site.start()
        slow = site.witnesses[0]
        stopped = threading.Event()

        def let_through() -> None:
            while not stopped.wait(0.7):
                slow.gate.set()
                time.sleep(0.01)
                slow.gate.clear()

        slow.gate.clear()
        thread = threading.Thread(target=let_through)
        thread.start()
        reached: list[int] = []

        def grown() -> bool:
            site.grow()
            if site.final and site.final not in reached:
                reached.append(site.final)
            return len(reached) >= 3

        site.tend_until(grown)
        stopped.set()
        thread.join()
    finally:
        site.close()


# --- a start -------------------------------------------------------------------------------


def test_nothing_is_signed_before_enough_witnesses_were_asked(site: Site) -> None:
    for witness in site.witnesses[:2]:
        witness.stop()
    site.start(wait_s=1.0)
    site.grow()
    store = site.opened.recorder.store
    before = store.newest_checkpoint()
    site.cosigning.tend(0)
    assert not site.cosigning.may_sign
    assert "no checkpoint is signed before" in site.cosigning.complaints[0]
    assert store.newest_checkpoint() == before
    site.witnesses[0].start()
    site.tend_until(lambda: site.final == store.size)
    assert site.cosigning.may_sign


def test_an_older_ledger_is_refused_at_the_start(site: Site) -> None:
    site.start()
    size = site.grow()
    old = site.bench.folder / "ledger.db"
    site.tend_until(lambda: site.final == size)
    kept = old.with_name("old.db")
    backup(old, kept)
    newer = site.grow()
    site.tend_until(lambda: site.final == newer)
    put_back(site, kept)
    with pytest.raises(LedgerBehind, match=rf"shows a checkpoint over {newer}.*an old copy"):
        site.start()
    assert site.evidence() == []


def test_a_witness_that_shows_nothing_still_tells_of_an_older_ledger(site: Site) -> None:
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    kept = site.bench.folder / "old.db"
    backup(site.bench.folder / "ledger.db", kept)
    newer = site.grow()
    site.tend_until(lambda: all(w.size(site.origin) == newer for w in site.witnesses))
    put_back(site, kept)
    for witness in site.witnesses:
        witness.shows = False
    site.start()
    site.cosigning.tend(0)
    assert not site.cosigning.may_sign
    assert f"says it cosigned {newer} entries, more than are here" in site.cosigning.complaints[0]
    assert site.opened.recorder.store.checkpoints(size + 1) == []


def test_a_forked_ledger_is_refused_and_both_heads_convince_a_stranger(site: Site) -> None:
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    kept = site.bench.folder / "old.db"
    backup(site.bench.folder / "ledger.db", kept)
    held = site.grow()
    site.tend_until(lambda: all(w.size(site.origin) == held for w in site.witnesses))
    put_back(site, kept)
    site.slots += 10  # other readings than those that the backup lost
    site.bench.sequences[site.bench.meters["pv"].public.kid, "register"] = 1
    site.grow()
    site.grow()
    site.spine.sign_checkpoint()
    site.restart()
    with pytest.raises(LedgerBehind, match=r"two histories exist .* Evidence for others: "):
        site.start()
    (heads,) = site.evidence()
    first, second = check_heads(heads, parse_vkey(site.opened.trust.log_vkey))
    assert (first.size, second.size) == (held, held + 1)
    with pytest.raises(LedgerBehind):
        site.spine.sign_checkpoint()


def test_a_fork_that_the_hub_makes_while_it_runs_is_caught_by_its_witnesses(site: Site) -> None:
    """Another hub with the same keys grows the log elsewhere."""
    site.start()
    held = site.grow()
    site.tend_until(lambda: site.final == held)
    elsewhere = Checkpoint(site.origin, held + 1, bytes(32))
    note = sign_checkpoint(elsewhere, site.opened.pen.log)
    witness = site.witnesses[0]
    memory = witness.home.memory
    with memory.deciding(site.origin) as decision:
        assert decision.held is not None
        line = cosign(parse_note(note).text, 2**40, witness.home.key.name, witness.home.signer)
        decision.new = type(decision.held)(held + 1, bytes(32), 2**40, note + line)
    site.grow()
    with pytest.raises(LedgerBehind, match="two histories exist"):
        site.tend_until(lambda: False)
    (heads,) = site.evidence()
    check_heads(heads, parse_vkey(site.opened.trust.log_vkey))


def test_a_kill_after_the_witness_stored_costs_nothing(site: Site) -> None:
    """The answer was lost: the next start proves from the size that the witness names."""
    site.start()
    site.grow()
    checkpoint = site.spine.sign_checkpoint()
    store = site.opened.recorder.store
    for witness in site.witnesses:
        old = witness.size(site.origin)
        proof = store.prove_consistency(old, checkpoint.size)
        body = f"old {old}\n" + "".join(f"{text}\n" for text in lines(proof))
        assert witness.witness.add(f"{body}\n{checkpoint.note}".encode()).status == 200
    site.restart()
    assert site.final < checkpoint.size
    site.start()
    site.tend_until(lambda: site.final == checkpoint.size)


# --- what witnesses may answer -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, "unknown\n"), "does not watch this log: give its operator the log's vkey"),
        (Answer(403, "who\n"), "knows another key for this log"),
        (Answer(500, "oh\n"), "answers 500 oh"),
        (Answer(400, "bad\n"), "answers 400 bad"),
        (Answer(409, "many\n", "text/x.tlog.size"), "answers 409 without a size"),
        (Answer(409, "3\n"), "answers 409 as text/plain"),
        (Answer(409, "0\n", "text/x.tlog.size"), "it lost its memory"),
        (Answer(200, "fine\n"), "no cosignature of its key"),
        (Answer(200, "x" * 70_000), "too long"),
        (Answer(422, "no\n"), "refuses this head: no"),
    ],
)
def test_an_odd_answer_is_told_and_counts_for_nothing(
    site: Site, answer: Answer, reason: str
) -> None:
    site.start()
    held = site.grow()
    site.tend_until(lambda: all(each.size == held for each in site.cosigning.seen()))
    site.witnesses[0].says["POST"] = answer
    size = site.grow()
    site.tend_until(lambda: reason in site.reason(0))
    site.tend_until(lambda: site.final == size)
    assert site.cosigning.seen()[0].size == held


def test_a_cosignature_of_a_wrong_clock_is_refused(site: Site) -> None:
    site.witnesses[0].ahead_s = 3_600
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    assert "its clock is 3600 s ahead" in site.reason(0) or "clock is 3599 s" in site.reason(0)


def test_a_claim_to_be_ahead_is_not_believed_of_a_witness_that_agreed_before(site: Site) -> None:
    site.start()
    held = site.grow()
    site.tend_until(lambda: site.final == held)
    site.witnesses[0].says["POST"] = Answer(409, "1000000\n", "text/x.tlog.size")
    site.witnesses[0].shows = False
    size = site.grow()
    site.tend_until(lambda: "says it cosigned 1000000" in site.reason(0))
    site.tend_until(lambda: site.final == size)


def test_a_witness_that_shows_what_the_log_never_signed_is_no_witness(site: Site) -> None:
    forged = sign_checkpoint(Checkpoint(site.origin, 9_999, bytes(32)), ed25519("thief"))
    site.witnesses[0].says["GET"] = Answer(200, forged)
    site.start()
    size = site.grow()
    site.tend_until(lambda: site.final == size)
    site.tend_until(lambda: "what this log never signed" in site.reason(0))


# --- without a quorum ----------------------------------------------------------------------


def test_a_witness_beside_an_unwitnessed_policy_is_shown_and_counts_for_nothing(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, count=1, quorum="")
    try:
        site.start()
        size = site.grow()
        site.tend_until(lambda: site.cosigning.seen()[0].size == size)
        assert site.final == 0
        assert site.bench.take_sent(site.opened, Receipt)[-1].streams[0].final_up_to == 1
        assert site.opened.recorder.store.published(site.policy).note.count("\n— ") == 2
    finally:
        site.close()


def test_addresses_of_hub_toml_stand_before_those_of_the_policy(site: Site) -> None:
    key = site.witnesses[0].home.key
    moved = Peer(key, "http://elsewhere.example")
    other = Peer(parse_vkey(other_vkey()), "http://other.example")
    peers = peers_of(site.policy, [moved, other])
    assert [peer.url for peer in peers] == [
        moved.url,
        *(witness.url for witness in site.witnesses[1:]),
        other.url,
    ]


# --- support -------------------------------------------------------------------------------


def other_vkey() -> str:
    return format_vkey(NoteKey("other.example/w", COSIGNATURE, ed25519("other").public))


def lines(proof: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(value).decode() for value in proof]


def backup(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)
    one.close()
    other.close()


def put_back(site: Site, kept: Path) -> None:
    """Restore a backup, and lose the file beside it that would tell."""
    site.stop()
    site.opened.close()
    ledger = site.bench.folder / "ledger.db"
    for name in ("ledger.db-wal", "ledger.db-shm", "ledger.db.newest"):
        (site.bench.folder / name).unlink(missing_ok=True)
    kept.replace(ledger)
    site.opened = site.bench.open()
    site.spine, site.cosigning = site.make_hub()
