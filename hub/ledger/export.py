"""The ledger as plain files: static tiles that any C2SP tool reads, proofs, and tables for a sheet.

Everything is read in short transactions from what never changes, so an export works while the hub
runs and gives the same bytes as when it is stopped.
"""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.errors import ExportRefused, LedgerCorrupt, NoSuchEntry, StorageFull
from hub.ledger.books import (
    TABLES,
    BookRow,
    DecisionRow,
    FateRow,
    LineRow,
    MatchRow,
    ShedRow,
    SlotEnergyRow,
    SlotRow,
)
from hub.ledger.log import Log
from hub.ledger.opening import head_of
from hub.ledger.records import Checkpoint
from hub.ledger.store import Store
from hub.ledger.tiling import read_bundle, read_hashes
from messages import cose
from messages.log.policy import LogPolicy, parse_policy
from messages.log.proof import LogProof, format_proof
from messages.log.tiles import Tile, format_bundle, tile_path, tiles_of
from messages.log.tree import Frontier, leaf_hash
from messages.reading import Reading, decode_reading, parse_reading
from messages.trust import Trust

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
Progress = Callable[[int, int], None]


def prove(log: Log, wanted: int | str, policy: LogPolicy | None = None) -> str:
    """Return the `.tlog-proof` text of an entry under the newest checkpoint.

    If the policy asks for witnesses, that is the newest final one as long as it covers the entry.

    Args:
        log: a ledger.
        wanted: an index, or a text that names an entry (`Log.named`).
        policy: whose cosignatures make a checkpoint final.

    Raises:
        NoSuchEntry: there is none, or no checkpoint covers it yet.
    """
    index = (log.entry(wanted) if isinstance(wanted, int) else log.named(wanted)).index
    final = log.cosignatures.final(policy) if policy else None
    newest = final if final and index < final.size else _newest(log)
    if index >= newest.size:
        raise NoSuchEntry(
            f"entry {index} is not yet under a checkpoint: the newest one covers {newest.size}"
        )
    return format_proof(LogProof(index, log.prove(index, newest.size), newest.note))


def export_tiles(
    log: Log, folder: Path, trust: Trust, progress: Progress = lambda done, total: None
) -> Checkpoint:
    """Write the newest checkpoint and exactly its tree as static files; return the checkpoint.

    That is the newest final one where witnesses have to agree, with their cosignatures. Any web
    server can serve the folder as it is (C2SP tlog-tiles).

    log.vkey                        the log's key in one line, written first
    policy                          whose cosignatures make a checkpoint final
    checkpoint                      the signed note, written last
    tile/<level>/<n>[.p/<width>]    hashes
    tile/entries/<n>[.p/<width>]    entries

    An older export of the same log is brought up to date; its partial tiles go.

    Raises:
        ExportRefused: the folder holds something else, or cannot be written to.
        LedgerCorrupt: the entries do not have the checkpoint's root.
    """
    newest = log.published(parse_policy(trust.policy))
    tiles = list(tiles_of(newest.size))
    with _named_errors(folder):
        _claim(folder, trust.log_vkey)
        (folder / "policy").write_text(trust.policy, encoding="utf-8")
        leaves = Frontier()
        for done, tile in enumerate(tiles, 1):
            path = folder / tile_path(tile)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_tile_bytes(log, tile, leaves))
            progress(done, len(tiles))
        if leaves.root() != head_of(newest).root:
            raise LedgerCorrupt(
                f"the first {newest.size} entries do not have the root of the newest checkpoint: "
                "run `gridtally-hub verify`"
            )
        _remove_others(folder / "tile", {folder / tile_path(tile) for tile in tiles})
        (folder / "checkpoint").write_text(newest.note, encoding="utf-8")
    return newest


def _newest(log: Log) -> Checkpoint:
    newest = log.newest_checkpoint()
    if newest is None:
        raise NoSuchEntry("no checkpoint has been signed yet: start `gridtally-hub run` first")
    return Checkpoint(newest.size, newest.note + log.cosignatures.lines(newest.size))


def _claim(folder: Path, log_vkey: str) -> None:
    """Write the log's key first: by it an export knows its own folder again."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "log.vkey"
    if key.exists():
        found = key.read_text(encoding="utf-8", errors="replace").strip()
        if found != log_vkey:
            raise ExportRefused(f"{folder} holds an export of another log: {found}")
    elif (folder / "tile").exists() or (folder / "checkpoint").exists():
        raise ExportRefused(f"{folder} holds a `tile` or `checkpoint` that is no export of ours")
    key.write_text(f"{log_vkey}\n", encoding="utf-8")


def _tile_bytes(log: Log, tile: Tile, leaves: Frontier) -> bytes:
    if tile.level >= 0:
        return read_hashes(log, tile)
    bundle = read_bundle(log, tile)
    for raw in bundle:
        leaves.append(leaf_hash(raw))
    return format_bundle(bundle)


def _remove_others(folder: Path, kept: Set[Path]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):  # children before their folder
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


@contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"{folder}: the disk is full; the export is not complete") from error
        raise ExportRefused(f"{folder}: {error}") from error


# --- tables --------------------------------------------------------------------------------

READINGS = (
    "index",
    "entry_id",
    "meter",
    "sequence",
    "time_utc",
    "at_ms",
    "import_uwh",
    "export_uwh",
    "epoch",
    "quality",
)
BOOKS: tuple[tuple[str, type[BookRow]], ...] = (
    ("slots", SlotRow),
    ("slot_energies", SlotEnergyRow),
    ("matches", MatchRow),
    ("lines", LineRow),
    ("fates", FateRow),
    ("sheds", ShedRow),
    ("decisions", DecisionRow),
)


def export_csv(store: Store, folder: Path, *, unsealed: bool = False) -> dict[str, int]:
    """Write readings and books as CSV (RFC 4180, UTF-8); return {file name: rows}.

    What sealed readings say is left out unless it is asked for with `unsealed`.

    Units stand in the column names: _uwh micro-watt-hours, _mw milliwatts, _utok micro-tokens,
    _ms milliseconds UTC. Empty means not measured or not known.
    """
    with _named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        rows = _readings(store, unsealed=unsealed)
        written = {"readings.csv": _write_csv(folder / "readings.csv", READINGS, rows)}
        for name, kind in BOOKS:
            header = [column.name for column in TABLES[kind].columns]
            found = store.books.all(kind)
            written[f"{name}.csv"] = _write_csv(folder / f"{name}.csv", header, found)
    return written


def _readings(log: Log, *, unsealed: bool) -> Iterator[Sequence[object]]:
    for entry in log.entries():
        if entry.kind != "reading":
            continue
        reading = _read(entry.raw, entry.preimage if unsealed else None)
        if reading is not None:
            yield (
                entry.index,
                entry.leaf_hash,
                reading.meter_id,
                reading.sequence,
                _utc(reading.at_ms),
                reading.at_ms,
                reading.import_uwh,
                reading.export_uwh,
                reading.epoch,
                reading.quality,
            )


def _read(raw: bytes, preimage: bytes | None) -> Reading | None:
    """Return what a reading says; None of a sealed one whose preimage is not here."""
    envelope = cose.parse(raw)
    if not envelope.sealed:
        return parse_reading(envelope)
    return decode_reading(cose.open_sealed(envelope, preimage)) if preimage else None


def _utc(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([_cell(value) for value in row])
            count += 1
    return count


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value[:1] in FORMULA_STARTS:
        return f"'{value}"  # a name from a device must not become a formula in somebody's sheet
    return "" if value is None else value
