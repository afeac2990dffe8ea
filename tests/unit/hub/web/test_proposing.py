"""What is spooled for the hub: a header of a replica that counts, for the block that is due."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from hub.core.state import State
from hub.inbox import Inbox
from hub.web.proposing import HEADER_BYTES_MAX, WAITING_MAX, build_propose_routes, objection
from messages.entries import sign_entry
from messages.publickey import Signer
from tests.support.signers import ed25519
from tests.support.village import KWH, Village, replica_of


def village() -> Village:
    made = Village(signed=True)
    made.replica("ann")
    made.meter("ann-pv", "ann", "generation")
    for slot in range(3):
        made.read("ann-pv", slot, exported=slot * 5 * KWH)
    made.close(0)
    made.header()
    made.close(1)
    return made


class Reader:
    """The page's ledger, as far as this asks it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lock = threading.Lock()


def signed(grown: Village, signer: Signer, **changes: Any) -> bytes:
    return sign_entry(signer, replace(grown.draft(), **changes), grown.network_id)


def ask(app: FastAPI, body: bytes) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as client:
            return await client.post("/propose", content=body)

    return asyncio.run(go())


@pytest.fixture
def grown() -> Village:
    return village()


@pytest.fixture
def app(grown: Village, tmp_path: Path) -> FastAPI:
    made = FastAPI()
    reader: Any = Reader(grown.state)
    made.include_router(build_propose_routes(reader, Inbox(tmp_path)))
    return made


def test_a_due_header_is_spooled_once(app: FastAPI, grown: Village, tmp_path: Path) -> None:
    raw = signed(grown, replica_of("ann"))
    for _ in range(2):
        assert ask(app, raw).status_code == 200
    assert [spooled.raw for spooled in Inbox(tmp_path).waiting()] == [raw]


def test_everything_else_is_refused_with_a_reason(
    app: FastAPI, grown: Village, tmp_path: Path
) -> None:
    raw = signed(grown, replica_of("ann"))
    wrong = {
        400: [b"", b"x", raw[:-1], raw + b"x", raw[:-1] + bytes((raw[-1] ^ 1,))],
        403: [signed(grown, grown.hub), signed(grown, ed25519("eve"))],
        409: [
            signed(grown, replica_of("ann"), height=0),
            signed(grown, replica_of("ann"), height=2),
            signed(grown, replica_of("ann"), end_index=3),
        ],
        413: [raw + bytes(HEADER_BYTES_MAX)],
    }
    for status, bodies in wrong.items():
        for body in bodies:
            answer = ask(app, body)
            assert (answer.status_code, answer.json()["detail"] != "") == (status, True)
    assert Inbox(tmp_path).waiting() == ()


def test_a_revoked_replica_proposes_nothing(grown: Village) -> None:
    raw = signed(grown, replica_of("ann"))
    assert objection(grown.state, raw) == (200, "")
    kid = replica_of("ann").public.kid
    grown.state.keys[kid] = grown.state.keys[kid]._replace(until_index=9)
    assert objection(grown.state, raw)[0] == 403


def test_a_full_inbox_takes_no_more(app: FastAPI, grown: Village, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    for number in range(WAITING_MAX):
        inbox.put(b"%d" % number)
    assert ask(app, signed(grown, replica_of("ann"))).status_code == 503
