"""Sealed readings: a replica that is enrolled opens them, and nobody else executes anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from hub.core.state import State
from hub.cosigning.evidence import EvidenceFolder
from hub.inbox import Inbox
from hub.ledger.records import Snapshot
from hub.market.catalog import CONTRACTS
from hub.replica.errors import Sealed, SourceAway
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.mirror import Mirror
from hub.replica.opening import Preimages
from hub.replica.source import BODY_BYTES_MAX, NONE, Headers, Sources
from hub.replica.turns import PROPOSE_PATH
from hub.starting import Opened, read_trust
from hub.vault.stores import Stores
from hub.web.proposing import build_propose_routes
from hub.web.reader import LedgerReader
from hub.web.replicas import build_replica_routes
from hub.web.tlog import EntryDoor, build_log_routes
from messages.entries import KeyEntry
from messages.errors import MalformedMessage
from messages.log.note import parse_vkey
from messages.opening import format_preimages, parse_preimages
from messages.publickey import Signer
from tests.support.hub_bench import Bench
from tests.support.signers import ed25519
from tests.support.village import replica_of, vrf_of
from tests.unit.hub.test_sealed import settle


class AppSource:
    """The page's own routes as a source, without a socket; `changes` spoils answers."""

    place = "memory:page"

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app)
        self.asked: list[str] = []
        self.spoils = False

    def get(self, path: str, limit: int = BODY_BYTES_MAX, headers: Headers = NONE) -> bytes:
        self.asked.append(path)
        return asyncio.run(self._ask("GET", path, None, headers))

    def post(self, path: str, body: bytes) -> None:
        asyncio.run(self._ask("POST", path, body, NONE))

    async def _ask(self, method: str, path: str, body: bytes | None, headers: Headers) -> bytes:
        base = "http://hub.example"
        async with httpx.AsyncClient(transport=self._transport, base_url=base) as client:
            answer = await client.request(method, f"/{path}", content=body, headers=dict(headers))
        if answer.status_code != 200:
            raise SourceAway(f"{path}: {answer.status_code} {answer.text}")
        if self.spoils and path.startswith("opening"):
            rows = [(index, raw[:-1] + b"\xff") for index, raw in parse(answer.content)]
            return format_preimages(rows)
        return answer.content


def parse(raw: bytes) -> list[tuple[int, bytes]]:
    return sorted(parse_preimages(raw).items())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "hub", readings="sealed")


@pytest.fixture
def opened(bench: Bench) -> Iterator[Opened]:
    made = bench.open()
    spine = bench.spine(made)
    alice = KeyEntry(
        "enrol",
        "replica",
        "alice",
        replica_of("alice").public.cose_key,
        vrf=vrf_of("alice").public.cose_key,
    )
    assert set(bench.enrol(spine, [*bench.key_entries(), alice])) == {""}
    settle(bench, made, spine)
    yield made
    made.close()


@pytest.fixture
def page(bench: Bench, opened: Opened) -> AppSource:
    ledger = LedgerReader(bench.config, opened.trust)
    while not ledger.refresh():
        pass
    app, door = FastAPI(), EntryDoor(None)
    app.include_router(build_log_routes(ledger, door))
    app.include_router(build_replica_routes(ledger, door, Stores([])))
    app.include_router(build_propose_routes(ledger, Inbox(bench.folder)))
    return AppSource(app)


class Replica:
    """A replica that asks the page, with a key or without."""

    def __init__(self, bench: Bench, page: AppSource, folder: Path, signer: Signer | None) -> None:
        folder.mkdir()
        trust = read_trust(bench.folder / "trust.toml")
        sources = Sources([page])
        evidence = EvidenceFolder(folder / "evidence")
        mirror = Mirror(folder / "mirror", parse_vkey(trust.log_vkey), evidence)
        opening = Preimages(signer, trust.network_id, sources, lambda: time.time_ns() // 1_000_000)
        self.execution = Execution(folder / "standing", trust, CONTRACTS, opening.of, workers=1)
        self.following = Following(mirror, self.execution, sources)


def test_an_enrolled_replica_comes_to_the_hubs_state(
    bench: Bench, opened: Opened, page: AppSource, tmp_path: Path
) -> None:
    replica = Replica(bench, page, tmp_path / "r", replica_of("alice"))
    replica.following.turn()
    assert replica.execution.state == opened.recorder.state
    assert page.asked.count("opening/0") == 1
    for path in (tmp_path / "r").rglob("*"):  # what was opened lies nowhere on its disk
        if path.is_file():
            content = path.read_bytes()
            for entry in opened.recorder.store.entries():
                assert entry.preimage is None or entry.preimage not in content


@pytest.mark.parametrize("signer", [None, replica_of("eve"), ed25519("administrator")])
def test_who_is_not_enrolled_mirrors_and_does_not_say_that_it_executed(
    bench: Bench, opened: Opened, page: AppSource, tmp_path: Path, signer: Signer | None
) -> None:
    replica = Replica(bench, page, tmp_path / "r", signer)
    with pytest.raises((Sealed, SourceAway)):
        replica.following.turn()
    first = next(each.index for each in opened.recorder.store.entries() if each.preimage)
    assert replica.following.mirror.size == opened.recorder.store.size
    assert replica.execution.size == first
    head = replica.following.mirror.head
    objection = replica.following.vouch(
        replica.following.mirror.note, head.size, head.root, within_s=0
    )
    assert objection is not None
    assert objection.status == 503


def test_a_revoked_replica_opens_nothing_any_more(
    bench: Bench, opened: Opened, tmp_path: Path
) -> None:
    revoke = KeyEntry("revoke", "replica", "alice", b"")
    assert bench.enrol(bench.spine(opened), [revoke]) == [""]
    bench.spine(opened).sign_checkpoint()
    ledger = LedgerReader(bench.config, opened.trust)
    while not ledger.refresh():
        pass
    app, door = FastAPI(), EntryDoor(None)
    app.include_router(build_log_routes(ledger, door))
    app.include_router(build_replica_routes(ledger, door, Stores([])))
    replica = Replica(bench, AppSource(app), tmp_path / "r", replica_of("alice"))
    with pytest.raises(SourceAway, match="for replicas that are enrolled"):
        replica.following.turn()


def test_a_wrong_preimage_is_the_sources_fault_and_not_the_logs(
    bench: Bench, opened: Opened, page: AppSource, tmp_path: Path
) -> None:
    replica = Replica(bench, page, tmp_path / "r", replica_of("alice"))
    page.spoils = True
    with pytest.raises(Sealed):
        replica.following.turn()
    assert replica.following.standing.finding == ""
    page.spoils = False
    replica.following.turn()
    assert replica.execution.state == opened.recorder.state


def test_an_old_request_and_one_for_another_bundle_are_refused(
    bench: Bench, opened: Opened, page: AppSource
) -> None:
    trust = opened.trust

    def asked(utc_ms: int, bundle: int) -> str:
        opening = Preimages(replica_of("alice"), trust.network_id, Sources([page]), lambda: utc_ms)
        with pytest.raises(SourceAway) as refused:
            opening.of(bundle * 256)
        return str(refused.value)

    now_ms = time.time_ns() // 1_000_000
    assert "compare the clocks" in asked(now_ms - 600_000, 0)
    assert "compare the clocks" in asked(now_ms + 600_000, 0)
    with pytest.raises(SourceAway, match="403"):
        page.get("opening/0")
    with pytest.raises(SourceAway, match="403"):
        page.get("opening/0", headers={"Gridtally-Request": "bm90aGluZw=="})


def test_snapshots_are_served_as_they_are_kept(opened: Opened, page: AppSource) -> None:
    state = opened.recorder.state
    assert page.get("snapshot") == b""
    opened.recorder.store.save_snapshot(Snapshot(9, state.root(), state.dumps()))
    assert page.get("snapshot") == f"9 {state.root().hex()}\n".encode()
    assert State.loads(page.get("snapshot/9")) == state
    with pytest.raises(SourceAway, match="404"):
        page.get("snapshot/8")


def test_a_proposal_reaches_the_inbox(opened: Opened, page: AppSource, bench: Bench) -> None:
    with pytest.raises(SourceAway, match="400"):
        page.post(PROPOSE_PATH, b"no header")
    assert Inbox(bench.folder).waiting() == ()


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x81\x01", b"\x81\x82\x01\x02", b"\x81\x81\x01"])
def test_an_answer_of_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_preimages(raw)
