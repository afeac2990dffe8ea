"""A full disk under a running agent: the ballast goes first, then memory, then it recovers."""

import os
import sqlite3
import subprocess
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from edge.outbox import Outbox
from testbed.supervisor import free_port
from tests.support.edge_node import node, wait_until
from tests.support.needs import absent, needs_root

PAGE = 4096


@contextmanager
def small_disk(folder):
    """Mount a disk of 2 MB."""
    needs_root("mounts a tmpfs")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        absent("this machine lets no tmpfs be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Take every free block."""
    with suppress(OSError), (folder / "filling").open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * PAGE)


def test_the_agent_goes_on_through_a_full_disk(tmp_path):
    with (
        node(tmp_path / "node", port=free_port(), sample_ms=100) as made,
        small_disk(made.folder / "state") as disk,
    ):
        agent = made.start("run")
        wait_until(lambda: "is up" in made.log("run"), 20, "it runs")
        assert (disk / "ballast").exists()
        fill(disk)
        wait_until(lambda: "ballast given back" in made.log("run"), 30, "the ballast is freed")
        fill(disk)
        wait_until(lambda: "readings wait in memory" in made.log("run"), 30, "memory takes over")
        assert agent.poll() is None
        os.truncate(disk / "filling", 0)
        (disk / "filling").unlink()
        wait_until(lambda: "the disk works again; 0 messages" in made.log("run"), 10, "recovery")
        assert made.log("run").count("readings wait in memory") == 1
        before = rows(disk)
        wait_until(lambda: rows(disk) >= before + 5, 20, "readings are stored again")
        agent.terminate()
        assert agent.wait(10) == 0
        with closing(Outbox(disk, 1000)) as outbox:
            for kid, stream in outbox.heads():
                numbers = [
                    row.sequence
                    for row in outbox.all_rows()
                    if (row.kid, row.stream) == (kid, stream)
                ]
                assert numbers == list(range(1, len(numbers) + 1))


def rows(folder: Path) -> int:
    """How many rows the outbox holds, as another process sees it."""
    with closing(sqlite3.connect(f"file:{folder}/outbox.db?mode=ro", uri=True)) as connection:
        found: int = connection.execute("SELECT count(*) FROM row").fetchone()[0]
    return found
