"""Rebuild the files that a power cut could have left, from a record of real writes and syncs.

The record comes from `tests/faults/shim/record_io.c`, preloaded into a real process. The model is a
journalling file system on an honest disk: what a sync covered is there; of what came after, any
subset of 512-byte sectors may have arrived, in any order; a sync also carries every earlier change
of names, and of later ones a prefix may have arrived. It does not model a disk that lies.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

HEAD = struct.Struct("<cHHqI")
SECTOR = 512
NOT_DURABLE = ("-shm", ".lock", ".sock")  # rebuilt by their owner at every start
SOCKET = "NIC"


@dataclass(frozen=True, slots=True)
class Record:
    """One call that succeeded: `op` is one letter, as the shim's head comment has them."""

    op: str
    path: str
    second: str
    offset: int
    content: bytes


def read_records(log: Path) -> list[Record]:
    """Return every whole record of the shim's log; a torn last one is left out."""
    raw = log.read_bytes()
    records = []
    at = 0
    while at + HEAD.size <= len(raw):
        op, a, b, offset, n = HEAD.unpack_from(raw, at)
        body = at + HEAD.size
        end = body + a + b + n
        if end > len(raw):
            break
        path = raw[body : body + a].decode()
        second = raw[body + a : body + a + b].decode()
        records.append(Record(op.decode(), path, second, offset, raw[body + a + b : end]))
        at = end
    return records


@dataclass
class Inode:
    """One file: what is surely on the disk, and what may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)

    def settle(self) -> None:
        for record in self.pending:
            apply(self.durable, record)
        self.pending.clear()

    def after_power_cut(self, rng: random.Random, survival: float) -> bytes:
        content = bytearray(self.durable)
        for record in self.pending:
            if record.op == "T":
                if rng.random() < survival:
                    apply(content, record)
                continue
            for start in range(0, len(record.content), SECTOR):
                if rng.random() < survival:
                    piece = record.content[start : start + SECTOR]
                    apply(content, Record("W", "", "", record.offset + start, piece))
        return bytes(content)


def apply(content: bytearray, record: Record) -> None:
    if record.op == "T":
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
        return
    end = record.offset + len(record.content)
    content.extend(bytes(max(0, end - len(content))))
    content[record.offset : end] = record.content


@dataclass
class Disk:
    """A folder as the process saw it, and as the disk has it."""

    names: dict[str, Inode] = field(default_factory=dict)
    durable_names: dict[str, Inode] = field(default_factory=dict)
    renames: list[Record] = field(default_factory=list)

    def play(self, record: Record) -> None:
        """Take one record in; what happens on a socket leaves the disk as it is."""
        if record.op in SOCKET or record.path.endswith(NOT_DURABLE):
            return
        if record.op in "URO":
            self._rename(self.names, record)
            self.renames.append(record)
        elif record.op == "S":
            if record.path in self.names:
                self.names[record.path].settle()
            self.durable_names = dict(self.names)
            self.renames.clear()
        else:
            if record.path not in self.names:
                self.play(Record("O", record.path, "", 0, b""))
            self.names[record.path].pending.append(record)

    @staticmethod
    def _rename(names: dict[str, Inode], record: Record, created: Inode | None = None) -> None:
        if record.op == "U":
            names.pop(record.path, None)
        elif record.op == "R" and record.path in names:
            names[record.second] = names.pop(record.path)
        elif record.op == "O" and record.path not in names:
            names[record.path] = created or Inode()

    def after_power_cut(self, rng: random.Random) -> dict[str, bytes]:
        """Return one possible folder after a power cut now: name -> content."""
        names = dict(self.durable_names)
        for record in self.renames[: rng.randint(0, len(self.renames))]:
            self._rename(names, record, self.names.get(record.path))
        survival = rng.choice((0.0, 0.2, 0.5, 0.9, 1.0))
        return {name: inode.after_power_cut(rng, survival) for name, inode in names.items()}


def crash_states(
    records: list[Record], count: int, seed: int, before: Mapping[str, bytes] | None = None
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield `count` pairs (records played, folder after a power cut there), in record order.

    `before` is what the folder held, durably, when the record began.
    """
    rng = random.Random(seed)
    points = sorted(rng.randint(0, len(records)) for _ in range(count))
    disk = Disk({name: Inode(bytearray(content)) for name, content in (before or {}).items()})
    disk.durable_names = dict(disk.names)
    played = 0
    for point in points:
        while played < point:
            disk.play(records[played])
            played += 1
        yield played, disk.after_power_cut(rng)


def below(records: list[Record], folder: str) -> list[Record]:
    """Return the record as one folder saw it: its files under their own names, and every socket.

    Each record keeps its place. `folder` ends with a slash, or is empty for all.
    """
    return [
        replace(
            record,
            path=record.path.removeprefix(folder),
            second=record.second.removeprefix(folder),
        )
        if record.path.startswith(folder) or record.op in SOCKET
        else replace(record, path="elsewhere.lock")
        for record in records
    ]


def write_folder(folder: Path, state: dict[str, bytes]) -> None:
    """Write a rebuilt folder to the disk, as the process would find it at its next start."""
    for name, content in state.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
