"""The disk is full: hub and edge say so, lose nothing, and go on by themselves when there is room.

The ledger and one node's outbox lie on a small file system of their own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.commands.inspecting import verify_ledger
from hub.config import load_config
from hub.ledger.store import Store
from testbed.accounts import compare
from testbed.clock import Pace
from testbed.installation import Installation
from testbed.play import Play
from testbed.stage import Stage, edge_journals
from tests.faults.whole import installation, running, scenario
from tests.support.edge_node import wait_until
from tests.support.needs import needs_root

SIZE_MB = 40  # the hub's ballast is 16, the outbox's 1
NODE = "dso"
POWERS_W = ((50, 20, 60, 10, 50, 20), (60, 60, 40, 60, 20, 60))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system in memory at a new folder."""
    needs_root("a small file system is mounted")
    folder.mkdir()
    size = f"size={SIZE_MB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def move_onto(disk: Path, made: Installation) -> None:
    """Let the ledger and a node's outbox lie on the small disk."""
    shutil.move(made.folder / "ledger.db", disk / "ledger.db")
    for file in made.folder.glob("ledger.db.*"):
        shutil.move(file, disk / file.name)
    for config, old, new in (
        (made.hub_toml, "sqlite:///ledger.db", f"sqlite:///{disk.name}/ledger.db"),
        (made.edge_toml(NODE), f'"state-{NODE}"', f'"{disk.name}/state-{NODE}"'),
    ):
        text = config.read_text()
        assert text.count(old) == 1
        config.write_text(text.replace(old, new))


def fill(disk: Path) -> Path:
    """Write until nothing more goes, and return the file."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert shutil.disk_usage(disk).free < 4096
    return filler


def health(made: Installation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made.folder / "health.json").read_text())
    return found


def pass_instants(stage: Stage, play: Play, instants: list[int]) -> None:
    for at_ms in instants:
        if at_ms > stage.installation.layout.start_ms:
            stage.devices.run(lambda world, at=at_ms: world.advance(at))  # type: ignore[misc]
        play.instant(at_ms)


def test_nothing_is_lost_and_nobody_restarts(tmp_path: Path) -> None:
    made = installation(tmp_path / "bench", scenario(2, *POWERS_W, slots=6))
    layout = made.layout
    instants = list(range(layout.start_ms, layout.end_ms + 1, layout.instant_ms))
    with small_disk(made.folder / "small") as disk:
        move_onto(disk, made)
        with running(made, "embedded") as stage:
            play = stage.play(Pace(None), lambda at_ms: None)
            pass_instants(stage, play, instants[:8])
            assert health(made)["accepting"]
            filler = fill(disk)
            sample_while_full(stage, instants[8:15])
            wait_until(lambda: not health(made)["accepting"], 10, "the hub says that it is full")
            (alarm,) = [text for text in health(made)["alarms"] if "disk" in text]
            print(alarm)
            assert "no readings are taken: free some space; the edges keep theirs" in alarm
            restarts = {name: child.restarts for name, child in stage.supervisor.children.items()}
            freed_s = time.monotonic()
            filler.unlink()
            wait_until(lambda: health(made)["accepting"], 10, "the hub goes on by itself")
            print(f"the hub took readings again {time.monotonic() - freed_s:.1f} s after")
            pass_instants(stage, play, instants[15:])
            stage.supervisor.check()
            children = stage.supervisor.children
            assert {name: child.restarts for name, child in children.items()} == restarts
        require_whole(made)


def sample_while_full(stage: Stage, instants: list[int]) -> None:
    """Let the edges measure; the hub answers no instant while it takes nothing in."""
    nodes = [node.node for node in stage.installation.layout.nodes]
    for at_ms in instants:
        stage.devices.run(lambda world, at=at_ms: world.advance(at))  # type: ignore[misc]
        stage.clock.edges(nodes, at_ms, again=False, timeout_s=5)
        stage.devices.run(lambda world: world.jump())
        stage.clock.edges(nodes, at_ms, again=True, timeout_s=5)


def require_whole(made: Installation) -> None:
    """Hold the ledger against what every edge has ever signed."""
    config = load_config(made.hub_toml)
    report = verify_ledger(config, lambda done, total: None)
    assert not report.findings
    with Store.open(config.database, read_only=True) as store:
        accounts = compare(edge_journals(made), store)
    print(accounts)
    accounts.require_equal()
    assert accounts.stored["register"] == 7 * sum(len(node.meters) for node in made.layout.nodes)
