"""Puts a switchboard into a demo: lines before it starts, switches and their door once it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import make_url

from hub.config import load_config
from testbed.devices import Devices
from testbed.faults.cable import lay
from testbed.faults.disk import Mode
from testbed.faults.processes import GUARD
from testbed.play import Play
from testbed.stage import BROKER, HUB, WEB, Stage
from testbed.switchboard.board import Board, Switch
from testbed.switchboard.catalog import FAULTS
from testbed.switchboard.copied_keys import readings_of_a_copy
from testbed.switchboard.door import Door
from testbed.switchboard.finding import noted
from testbed.switchboard.ledgers import LedgerEdited, LedgerRolledBack
from testbed.switchboard.line import Line, OnLine
from testbed.switchboard.programs import (
    EDGE,
    BadDisk,
    ClockAhead,
    Hung,
    Killed,
    Looping,
    Programs,
)
from testbed.switchboard.strangers import Stranger, idle_sockets, impostor, slow_requests
from testbed.switchboard.tampering import Tampering

LEDGER: Final = "ledger"
DISKS: Final = (
    ("disk_full", Mode.FULL),
    ("disk_read_only", Mode.READ_ONLY),
    ("disk_no_sync", Mode.NO_SYNC),
    ("disk_short", Mode.SHORT),
)


@dataclass(frozen=True, slots=True)
class OnDevice:
    """One fault of a simulated meter, bus or relay."""

    devices: Devices
    target: str
    fault: str

    @property
    def is_on(self) -> bool:
        """Whether it is played; what happens once is over as soon as it happened."""
        return self.fault in self.devices.faults[self.target].active

    def turn(self, on: bool) -> None:
        """Begin or end it."""
        self.devices.turn(self.target, self.fault, on)


@contextmanager
def lines_laid(stage: Stage) -> Iterator[Mapping[str, Line]]:
    """Lay a line for each node before the stage starts; the hub is told where the board will be."""
    made = stage.installation
    lines: dict[str, Line] = {}
    with ExitStack() as closing:
        for node in made.layout.nodes:
            copied = cache(partial(readings_of_a_copy, made, node.node))
            tampering = Tampering(made.layout.scenario.microgrid, node.node, copied)
            line = Line(made.broker_port, tampering, loop=stage.devices.loop)
            closing.callback(line.close)
            lay(line, made.broker_port, made.edge_toml(node.node))
            lines[node.node] = line
        with made.hub_toml.open("a", encoding="utf-8") as toml:  # its last table is [simulation]
            toml.write(f'switchboard = "unix:{made.switchboard}"\n')
        yield lines


class Switchboard:
    """The faults of one demo that runs: it obeys from the moment it is entered."""

    def __init__(self, stage: Stage, lines: Mapping[str, Line]) -> None:
        """Find a switch for everything there is; copies the ledger as it is now."""
        self._stage = stage
        self._lines = lines
        self._closing = ExitStack()
        scratch = self._closing.enter_context(TemporaryDirectory(prefix="gridtally-faults-"))
        self._programs = Programs(stage, Path(scratch))
        self._board = Board(stage.installation.layout.scenario.title, self._switches())

    def __enter__(self) -> Switchboard:
        """Open the door, and be found."""
        self._door = Door(self._stage.installation.switchboard, self._board)
        self._closing.callback(self._door.close)
        self._closing.enter_context(noted(self._stage.installation.folder))
        self._stage.clock.idle = self.look
        return self

    def __exit__(self, *_reason: object) -> None:
        """Close the door, and leave nobody frozen."""
        self._closing.close()
        for name in tuple(self._programs.frozen):
            self._programs.go_on(name)

    def look(self) -> None:
        """Serve the door, and look after the programs."""
        self._door.serve()
        if self._board.is_quiet:
            self._stage.supervisor.check()
            return
        for words in self._programs.look():
            self._board.tell(words)

    def follow(self, play: Play) -> Play:
        """Let a play be patient while faults are on."""
        play.is_hindered = lambda: not self._board.is_quiet
        play.nodes_away = lambda: self._programs.nodes_away
        return play

    def _switches(self) -> Mapping[str, Mapping[str, Switch]]:
        found: dict[str, dict[str, Switch]] = {}
        for fault, target, switch in self._each():
            found.setdefault(fault, {})[target] = switch
        return {name: found[name] for name in FAULTS if name in found}

    def _each(self) -> Iterator[tuple[str, str, Switch]]:
        """Yield (fault, target, switch) for everything there is."""
        yield from self._of_programs()
        for node, line in self._lines.items():
            for name, fault in FAULTS.items():
                if fault.kind == "node":
                    yield name, node, OnLine(line, name)
        loop, made = self._stage.devices.loop, self._stage.installation
        yield "idle_sockets", BROKER, Stranger(loop, idle_sockets, made.broker_port)
        yield "impostor", BROKER, Stranger(loop, impostor, made.broker_port)
        yield "slow_requests", WEB, Stranger(loop, slow_requests, made.web_port)
        database = Path(make_url(load_config(made.hub_toml).database).database or "")
        yield "ledger_edited", LEDGER, LedgerEdited(self._programs, database)
        yield "ledger_rolled_back", LEDGER, LedgerRolledBack(self._programs, database)
        for target, switches in self._stage.devices.faults.items():
            for name in switches.names:
                yield name, target, OnDevice(self._stage.devices, target, name)

    def _of_programs(self) -> Iterator[tuple[str, str, Switch]]:
        for name in self._programs.names:
            yield "kill", name, Killed(self._programs, name)
            yield "hang", name, Hung(self._programs, name)
            if name not in (BROKER, WEB):
                yield "wrong_clock", name, ClockAhead(self._programs, name)
            if name.startswith((EDGE, GUARD)):
                yield "boot_loop", name, Looping(self._programs, name)
            if name == HUB or name.startswith(EDGE):
                for fault, mode in DISKS:
                    yield fault, name, BadDisk(self._programs, name, mode)
