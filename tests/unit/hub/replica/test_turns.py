"""Turns: a replica proposes when its round is open, and remembers whom the hub passed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hub.market.catalog import CONTRACTS
from hub.replica.errors import SourceAway
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.proposing import Proposer
from hub.replica.turns import PENDING_MAX, Turns
from messages import cose
from messages.entries import BlockHeader, parse_as, sign_entry
from tests.support.served_log import ServedLog, mirror_in, sources
from tests.support.village import KWH, Village, replica_of, vrf_of
from tests.support.village_ledger import trust_of

ROUND_MS = 10_000


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


class Bench:
    """Ann and Ben run replicas; this is one of them, turned by hand."""

    def __init__(self, folder: Path, member: str) -> None:
        self.folder = folder
        self.grown = Village(signed=True)
        self.grown.replica("ann")
        self.grown.replica("ben")
        self.grown.meter("ann-pv", "ann", "generation")
        for slot in range(3):
            self.grown.read("ann-pv", slot, exported=slot * 5 * KWH)
        self.grown.close(0)
        self.grown.header()  # nobody was enrolled at the first draw: the hub's
        self.grown.close(1)
        self.log = ServedLog([])
        self.peer = ServedLog([])
        self.clock = Clock()
        self.open(member)

    def open(self, member: str) -> None:
        path = self.folder / "standing"
        execution = Execution(path, trust_of(self.grown), CONTRACTS, lambda index: None, workers=1)
        self.following = Following(mirror_in(self.folder), execution, sources(self.log))
        self.turns = Turns(
            self.folder / "objections", self.following, sources(self.log), CONTRACTS, self.clock
        )
        self.proposer = Proposer(
            replica_of(member),
            vrf_of(member),
            self.following,
            sources(self.log),
            (self.peer,),
            self.clock,
        )
        self.following.add_chores(self.turns, self.proposer)

    def turn(self) -> None:
        self.log.raws = [entry.raw for entry in self.grown.entries]
        self.following.turn()

    @property
    def order(self) -> tuple[str, ...]:
        return self.grown.state.draw.order

    def header_of(self, member: str, number: int) -> bytes:
        """Return the header that a member would propose, as bytes."""
        grown = Village.__new__(Village)
        grown.__dict__.update(self.grown.__dict__)
        grown.entries, grown.state = list(self.grown.entries), self.grown.state.copy()
        grown.log = self.grown.log.copy()
        grown.propose(member, round=number)
        return grown.entries[-1].raw

    def handed(self) -> list[BlockHeader]:
        return [parse_as(BlockHeader, cose.parse(raw)) for _, raw in self.log.taken]


def test_the_first_proposes_at_once_and_shows_it_to_the_others(tmp_path: Path) -> None:
    first = Bench(tmp_path / "probe", "ann").order[0]
    bench = Bench(tmp_path / "it", first)
    bench.turn()
    bench.turn()  # too soon to hand it in again
    assert bench.log.taken == [("propose", bench.header_of(first, 0))]
    assert bench.peer.taken == [("header", bench.header_of(first, 0))]
    bench.clock.now_ms += 1_000
    bench.turn()
    assert len(bench.log.taken) == 2
    assert len(bench.peer.taken) == 1
    bench.grown.propose(first)
    bench.clock.now_ms += 1_000
    bench.turn()
    assert len(bench.log.taken) == 2  # it is on the log


def test_the_second_waits_for_its_round(tmp_path: Path) -> None:
    second = Bench(tmp_path / "probe", "ann").order[1]
    bench = Bench(tmp_path / "it", second)
    bench.turn()
    bench.clock.now_ms += ROUND_MS - 1
    bench.turn()
    assert bench.log.taken == []
    assert bench.proposer.wait_s() is not None
    bench.clock.now_ms += 1
    bench.turn()
    (header,) = bench.handed()
    assert header.round == 1
    assert bench.log.taken[0][1] == bench.header_of(second, 1)


def test_who_is_not_enrolled_proposes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "eve")
    for _ in range(5):
        bench.turn()
        bench.clock.now_ms += ROUND_MS
    assert bench.log.taken == []


def shown(folder: Path, *, late_ms: int = 0) -> Bench:
    """Return a third replica that was shown the first one's header, once the close was there."""
    bench = Bench(folder, "eve")
    bench.turn()
    bench.clock.now_ms += late_ms
    assert bench.turns.take(bench.header_of(bench.order[0], 0)) == ""
    return bench


def test_a_header_that_was_shown_is_handed_in_too(tmp_path: Path) -> None:
    bench = shown(tmp_path)
    bench.turn()
    assert bench.log.taken == [("propose", bench.header_of(bench.order[0], 0))]
    bench.turn()
    assert len(bench.log.taken) == 1


def test_it_does_not_cosign_that_the_hub_passed_somebody_over(tmp_path: Path) -> None:
    bench = shown(tmp_path)
    bench.turn()
    before = len(bench.grown.entries)
    bench.grown.propose(bench.order[1])
    bench.turn()
    assert bench.turns.objection(before) == ""
    reason = bench.turns.objection(before + 1)
    assert f"entry {before} is the header of round 1 for block 1" in reason
    assert bench.following.standing.notes == [reason]
    bench.open("eve")  # a restart does not make it forget
    assert bench.turns.objection(before + 1) == reason


def test_it_cosigns_what_the_hub_could_not_have_known(tmp_path: Path) -> None:
    late = shown(tmp_path / "late", late_ms=ROUND_MS // 2 + 1)
    late.turn()
    assert len(late.log.taken) == 1
    away = shown(tmp_path / "away")

    def refuse(path: str, body: bytes) -> None:
        raise SourceAway("the hub is away")

    away.log.post = refuse  # type: ignore[method-assign]
    away.turn()
    never = Bench(tmp_path / "never", "eve")
    never.turn()
    for bench in (late, away, never):
        bench.grown.propose(bench.order[1])
        bench.turn()
        assert bench.turns.objection(len(bench.grown.entries)) == ""
        assert not (bench.folder / "objections").exists()


def test_the_earlier_round_on_the_log_is_no_reason_to_object(tmp_path: Path) -> None:
    bench = shown(tmp_path)
    bench.turn()
    bench.grown.propose(bench.order[0])
    bench.turn()
    assert bench.turns.objection(len(bench.grown.entries)) == ""


def test_a_header_that_does_not_follow_is_not_handed_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "eve")
    bench.turn()
    first, second = bench.order[:2]
    right = parse_as(BlockHeader, cose.parse(bench.header_of(first, 0)))
    network_id = bench.grown.network_id
    follows_not = [
        bench.header_of(second, 0),  # not its round
        sign_entry(replica_of(first), replace(right, state_root=bytes(32)), network_id),
        sign_entry(replica_of(first), replace(right, log_root=bytes(32)), network_id),
    ]
    for raw in follows_not:
        assert bench.turns.take(raw) == ""
    bench.turn()
    assert bench.log.taken == []
    strangers = [
        b"no header",
        sign_entry(replica_of("eve"), right, network_id),
        sign_entry(bench.grown.hub, right, network_id),
        sign_entry(replica_of(first), right, bytes(32)),
    ]
    assert all(bench.turns.take(raw) for raw in strangers)


def test_who_shows_too_much_is_refused_until_the_next_block(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "eve")
    bench.turn()
    network_id, draft = bench.grown.network_id, bench.grown.draft()
    raws = [
        sign_entry(replica_of("ann"), replace(draft, round=number + 2), network_id)
        for number in range(PENDING_MAX + 1)
    ]
    reasons = [bench.turns.take(raw) for raw in raws]
    assert reasons[:-1] == [""] * PENDING_MAX
    assert "too many" in reasons[-1]
    bench.grown.propose(bench.order[0])
    bench.turn()
    assert bench.turns.take(raws[-1]) == ""
