"""A ledger as static files behind a plain web server: downloaded, checked, and read by others."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.ledger.store import Store
from member.verify import main as gridtally_verify
from tests.support.hub_bench import SLOT_MS, START_MS, Bench
from tests.support.hub_process import command
from tests.support.needs import needs_module
from tests.support.witness_process import free_port

READINGS = 700  # with the first entries: two full tiles and a partial one


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("static") / "hub")
    opened = made.open()
    spine = made.spine(opened)
    assert set(made.enrol(spine)) == {""}
    readings = [made.reading("pv", START_MS + n * SLOT_MS, 9 * n) for n in range(READINGS)]
    spine.take_in(readings, 0, 2**50)
    spine.sign_checkpoint()
    opened.close()
    out = made.folder.parent
    done = command(
        *("export", "--tiles", str(out / "tiles"), "--csv", str(out / "tables")),
        *("-c", str(made.folder / "hub.toml")),
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert (out / "tables" / "readings.csv").exists()
    return made


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as any web server would; yield its address."""
    port = free_port()
    line = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "-d",
        str(folder),
    ]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/checkpoint").close()
                break
            except urllib.error.URLError:
                assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def names(size: int) -> Iterator[str]:
    """Yield every path of a log of so many entries, written from the C2SP document alone."""
    yield from ("checkpoint", "policy", "log.vkey")
    levels, count = ["entries", "0"], size
    number = 0
    while count:
        for level in levels:
            for tile in range((count + 255) // 256):
                width = min(256, count - 256 * tile)
                assert tile < 1000
                yield f"tile/{level}/{tile:03d}" + ("" if width == 256 else f".p/{width}")
        number, count = number + 1, count // 256
        levels = [str(number)]


def download(address: str, folder: Path, size: int) -> Path:
    for name in names(size):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            path.write_bytes(answer.read())
    return folder


def test_what_is_downloaded_is_verified_by_the_key_alone(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = size_of(bench)
    with served(bench.folder.parent / "tiles") as address:
        mirror = download(address, tmp_path / "mirror", size)
    key = str(mirror / "log.vkey")
    assert gridtally_verify(["entries", str(mirror), "--key", key]) == 0
    assert f"{size} signatures right" in capsys.readouterr().out
    checkpoint = str(mirror / "checkpoint")
    assert gridtally_verify(["checkpoint", checkpoint, "--key", key]) == 0
    assert gridtally_verify(["policy", str(mirror / "policy"), checkpoint]) == 0
    assert "unwitnessed" in capsys.readouterr().out
    trust = str(bench.folder / "trust.toml")
    assert gridtally_verify(["entries", str(mirror), "--trust", trust]) == 0
    for name in ("tile/entries/001", "tile/0/000", "tile/1/000.p/2", "tile/0/002.p/194"):
        _flip(mirror / name)
        assert gridtally_verify(["entries", str(mirror), "--key", key]) in (11, 65), name
        _flip(mirror / name)
    assert gridtally_verify(["entries", str(mirror), "--key", key]) == 0
    (mirror / "tile/0/001").unlink()
    assert gridtally_verify(["entries", str(mirror), "--key", key]) == 66


def test_a_reader_that_others_wrote_audits_it_over_http(bench: Bench) -> None:
    aics = needs_module("aics_tlog")
    size = size_of(bench)
    tiles = bench.folder.parent / "tiles"
    with served(tiles) as address:
        head = aics.parse_checkpoint(aics.parse_note((tiles / "checkpoint").read_text()).text)
        assert head.size == size
        reader = aics.HttpTileReader(address)
        report = aics.audit_tiles(reader, size, head.root)
        assert report is not None
        assert aics.tree_root_from_tiles(reader, size) == head.root
        with Store.open(bench.config.database, read_only=True) as store:
            for index in (0, 255, 256, size - 1):
                assert aics.read_entry(reader, index, size) == store.entry(index).raw
                proof = aics.inclusion_proof_from_tiles(reader, index, size)
                assert tuple(proof) == store.prove(index, size)
            proof = aics.consistency_proof_from_tiles(reader, 300, size)
            assert tuple(proof) == store.prove_consistency(300, size)
        _flip(tiles / "tile/entries/001")
        try:
            with pytest.raises(aics.TileVerificationError):
                aics.audit_tiles(aics.HttpTileReader(address), size, head.root)
        finally:
            _flip(tiles / "tile/entries/001")


def size_of(bench: Bench) -> int:
    with Store.open(bench.config.database, read_only=True) as store:
        return store.size


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
