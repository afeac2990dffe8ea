"""The log over HTTP: the same bytes as the static export, headers for caches, doors for entries."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from hub.core.disclosing import NOBODY, Asker
from hub.errors import ConfigError
from hub.ledger.export import export_tiles
from hub.ledger.records import Cosigned
from hub.starting import Opened
from hub.web.api import build_routes
from hub.web.app import _token
from hub.web.reader import LedgerReader
from hub.web.tlog import EntryDoor, build_log_routes
from hub.web.view import Picture, SlotView
from messages.log.checkpoint import open_checkpoint
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.proof import check_proof, parse_proof
from messages.log.tree import leaf_hash
from messages.trust import Trust
from tests.support.hub_bench import SLOT_MS, START_MS, Bench
from tests.support.pictures import picture
from tests.support.signers import ed25519

TOKEN = "t" * 32
READINGS = 300


class Client:
    """Asks an ASGI application; what comes back is decompressed, `raw` is as it was sent."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(self, path: str, headers: dict[str, str | bytes] | None = None) -> httpx.Response:
        return asyncio.run(self._ask(path, headers))[0]

    def raw(self, path: str, headers: dict[str, str | bytes]) -> tuple[httpx.Response, bytes]:
        return asyncio.run(self._ask(path, headers))

    async def _ask(
        self, path: str, headers: dict[str, str | bytes] | None
    ) -> tuple[httpx.Response, bytes]:
        base = "http://hub.example"
        async with httpx.AsyncClient(transport=self._transport, base_url=base) as client:
            request = client.build_request("GET", path, headers=headers)  # type: ignore[arg-type]
            answer = await client.send(request, stream=True)
            raw = b"".join([part async for part in answer.aiter_raw()])
            body = gzip.decompress(raw) if "content-encoding" in answer.headers else raw
            kept = [(k, v) for k, v in answer.headers.items() if k != "content-encoding"]
            return httpx.Response(answer.status_code, headers=kept, content=body), raw


class Everything:
    """Shows the same to everybody."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger

    def picture(self, asker: Asker = NOBODY) -> Picture:
        return picture()

    def slots(self, limit: int, asker: Asker = NOBODY) -> tuple[SlotView, ...]:
        return self._ledger.slots(limit)


class Site:
    """A ledger of some 300 entries, and its routes."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.bench.link.is_open = False  # who publishes nothing signs nothing
        self.opened: Opened = self.bench.open()
        spine = self.bench.spine(self.opened)
        assert set(self.bench.enrol(spine)) == {""}
        for number in range(1, READINGS + 1):
            at_ms = START_MS + number * SLOT_MS
            spine.take_in([self.bench.reading("pv", at_ms, number)], 0, at_ms)
        self.spine = spine
        spine.sign_checkpoint()
        self.trust: Trust = self.opened.trust
        self.key = parse_vkey(self.trust.log_vkey)

    @property
    def size(self) -> int:
        return self.opened.recorder.store.size

    def client(
        self, token: str | None = None, policy: str | None = None, *, is_disclosed: bool = True
    ) -> Client:
        trust = self.trust if policy is None else replace(self.trust, policy=policy)
        ledger = LedgerReader(self.bench.config, trust)
        while not ledger.refresh():
            pass
        door = EntryDoor(token, lambda: is_disclosed)
        app = FastAPI()
        app.include_router(build_routes(Everything(ledger), ledger, door))
        app.include_router(build_log_routes(ledger, door))
        return Client(app)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.opened.close()


@pytest.fixture(scope="module")
def client(site: Site) -> Client:
    return site.client()


def test_every_file_of_the_export_is_served_to_the_byte(
    site: Site, client: Client, tmp_path: Path
) -> None:
    export_tiles(site.opened.recorder.store, tmp_path, site.trust)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "log.vkey"]
    assert len(files) == 7
    for path in files:
        answer = client.get(f"/{path.relative_to(tmp_path)}")
        assert answer.status_code == 200, path
        assert answer.content == path.read_bytes(), path


def test_tiles_may_be_kept_for_ever_and_checkpoints_not_at_all(client: Client) -> None:
    for path in ("/tile/0/000", "/tile/0/001.p/7", "/tile/entries/000"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["content-type"] == "application/octet-stream"
    for path in ("/checkpoint", "/policy", "/proof/3.tlog-proof"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-cache"
        assert headers["content-type"] == "text/plain; charset=utf-8"


def test_a_proof_leads_from_an_entry_to_the_checkpoint(site: Site, client: Client) -> None:
    for index in (0, 7, site.size - 1):
        raw = client.get(f"/api/v1/ledger/entries/{index}").content
        proof = parse_proof(client.get(f"/proof/{index}.tlog-proof").text)
        assert check_proof(proof, leaf_hash(raw), site.key).size == site.size
        assert proof.index == index


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/002",
        "/tile/0/001",
        "/tile/0/001.p/200",
        "/tile/1/000",
        "/tile/1/000.p/2",
        "/tile/2/000.p/1",
        "/tile/63/000.p/1",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/0",
        "/tile/8/0/000",
        "/tile/entries/002",
        "/tile/entries/x001/000",
        "/tile/",
        "/proof/99999.tlog-proof",
    ],
)
def test_what_is_not_there_is_404_and_not_kept(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


@pytest.mark.parametrize("path", ["/proof/-1.tlog-proof", "/proof/x.tlog-proof"])
def test_what_is_no_index_is_refused(client: Client, path: str) -> None:
    assert client.get(path).status_code == 422


def test_what_no_checkpoint_covers_is_not_served(site: Site) -> None:
    site.spine.take_in([site.bench.reading("load", START_MS + SLOT_MS, 1)], 0, START_MS)
    client = site.client()
    width = site.size % 256
    assert client.get(f"/tile/0/001.p/{width}").status_code == 404
    assert client.get(f"/tile/0/001.p/{width - 1}").status_code == 200
    site.spine.sign_checkpoint()
    assert client.get(f"/tile/0/001.p/{width}").status_code == 200


def test_bundles_are_compressed_for_who_can_read_that(client: Client) -> None:
    plain = client.get("/tile/entries/000", headers={"Accept-Encoding": "identity"})
    answer, packed = client.raw("/tile/entries/000", {"Accept-Encoding": "br, gzip;q=0.5"})
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed) == answer.content == plain.content
    assert len(packed) < len(plain.content)
    hashes, sent = client.raw("/tile/0/000", {"Accept-Encoding": "gzip"})
    assert sent == hashes.content


def test_with_a_token_only_who_shows_it_reads_entries(site: Site) -> None:
    client = site.client(TOKEN)
    entries = ("/tile/entries/000", "/api/v1/ledger/entries/3")
    for path in entries:
        for header in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer é"):
            raw = header.encode()
            answer = client.get(path, headers={"Authorization": raw})
            assert answer.status_code == 401, header
            assert answer.headers["www-authenticate"] == "Bearer"
        shown = client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert shown.status_code == 200
    shown = client.get(entries[0], headers={"Authorization": f"Bearer {TOKEN}"})
    assert shown.headers["cache-control"].startswith("private")
    for path in ("/checkpoint", "/policy", "/tile/0/000", "/proof/3.tlog-proof"):
        assert client.get(path).status_code == 200


def test_the_checkpoint_is_the_final_one_where_witnesses_have_to_agree(site: Site) -> None:
    witness = ed25519("w1")
    key = NoteKey("w1", COSIGNATURE, witness.public)
    policy = f"log {site.trust.log_vkey}\nwitness w1 {format_vkey(key)}\nquorum w1\n"
    answer = site.client(policy=policy).get("/checkpoint")
    assert answer.status_code == 404
    assert "no checkpoint has met the quorum yet" in answer.json()["detail"]
    note = site.spine.sign_checkpoint().note
    size = site.size
    line = cosign(parse_note(note).text, 7, "w1", witness)
    site.opened.recorder.store.cosignatures.keep(Cosigned(size, "w1", key.key_id, 7, line), 0)
    site.spine.take_in([site.bench.reading("heater", START_MS + SLOT_MS, 1)], 0, START_MS)
    site.spine.sign_checkpoint()
    client = site.client(policy=policy)
    shown = client.get("/checkpoint").text
    assert shown == note + line
    assert client.get("/policy").text == policy
    newest = client.get("/api/v1/ledger/checkpoint").text
    assert open_checkpoint(newest, site.key).size == size + 1
    assert parse_proof(client.get("/proof/3.tlog-proof").text).checkpoint == shown


def test_a_token_is_long_and_nobody_else_s_to_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for text, mode in (("short", 0o600), ("t" * 32, 0o644)):
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(ConfigError, match="mode 0600"):
            _token(str(path))
    path.chmod(0o600)
    assert _token(str(path)) == "t" * 32
    assert _token(None) is None
    with pytest.raises(ConfigError, match="No such file"):
        _token(str(tmp_path / "none"))


def test_entries_are_for_nobody_without_a_token_where_names_are_hidden(site: Site) -> None:
    hidden = site.client(is_disclosed=False)
    for path in ("/api/v1/ledger/entries/3", "/tile/entries/000.p/5"):
        answer = hidden.get(path)
        assert answer.status_code == 403
        assert "the disclosure in force hides them" in answer.text
    assert hidden.get("/tile/0/000.p/5").status_code == 200
    assert hidden.get("/proof/3.tlog-proof").status_code == 200
    shown = site.client(TOKEN, is_disclosed=False)
    bearer: dict[str, str | bytes] = {"Authorization": f"Bearer {TOKEN}"}
    assert shown.get("/api/v1/ledger/entries/3", bearer).status_code == 200
    assert shown.get("/api/v1/ledger/entries/3").status_code == 401
