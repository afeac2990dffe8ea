"""The outbox under kill -9: what was acknowledged is there, once, with its register."""

import random
import subprocess
import sys
import time
from pathlib import Path

from edge.outbox import Outbox

# A writer whose register counts its own instants; it says a number only after its transaction.
WRITER = """
import sys
from pathlib import Path
from edge.register import Register
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft

outbox = Outbox(Path(sys.argv[1]), 100_000)
outbox.begin_boot()
while True:
    total = (outbox.registers().get("pv") or Register(0, 0)).import_uwh + 1
    def sign(sequence, total=total):
        return f"{sequence} {total}".encode()
    drafts = (Draft(b"a" * 8, "register", sign), Draft(b"b" * 8, "telemetry", sign))
    outbox.commit(Batch(drafts, {"pv": Register(total, 0)}))
    print(total, flush=True)
"""
KILLS = 12


def test_kills_lose_nothing_and_take_no_number_twice(tmp_path):
    seed = 20_261
    chance = random.Random(seed)
    acknowledged, boots = 0, 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "state")],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        lines = child.stdout
        assert lines is not None
        for _ in range(chance.randrange(1, 40)):
            acknowledged = int(lines.readline())
        time.sleep(chance.random() * 0.02)
        child.kill()
        rest = lines.read().decode().splitlines()
        child.wait(10)
        lines.close()
        acknowledged = max([acknowledged, *map(int, rest)])
        boots += 1

        outbox = Outbox(tmp_path / "state", 100_000)
        total = outbox.registers()["pv"].import_uwh
        assert acknowledged <= total <= acknowledged + 1, f"seed {seed}"
        rows = list(outbox.all_rows())
        for kid, stream in ((b"a" * 8, "register"), (b"b" * 8, "telemetry")):
            signed = [row.raw.decode().split() for row in rows if row.kid == kid]
            assert signed == [[str(n), str(n)] for n in range(1, total + 1)], f"seed {seed}"
            assert outbox.head(kid, stream).next_sequence == total + 1
        outbox.close()
        acknowledged = total
    outbox = Outbox(tmp_path / "state", 100_000)
    assert outbox.begin_boot() == boots + 1
    outbox.close()
