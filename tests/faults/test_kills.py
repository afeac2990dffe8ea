"""Nothing lost: edge, hub, broker and guard are killed at seeded random moments of a whole run.

Every line of each edge's journal must be on the ledger or in a seal exactly once and nothing else;
the replay must give the state roots that the live hub wrote down; and where no relay moves, the
final registers must equal those of the undisturbed run. `make torture` does the same 200 times.
"""

from importlib import resources
from pathlib import Path

import pytest

from testbed.demo import Options
from testbed.torture.kills import Ordeal, torture

SEED = 20_261_121
QUARTERS = {"slots = 96": "slots = 24", "instant_ms = 300_000": "instant_ms = 180_000"}


def village(folder: Path) -> str:
    """Write the shipped village, six hours of it, and return its file."""
    text = resources.files("testbed.scenarios").joinpath("village.toml").read_text("utf-8")
    for old, new in QUARTERS.items():
        assert old in text
        text = text.replace(old, new)
    # Six hours from 9:00, so that the sun shines.
    text = text.replace("T00:00:00Z", "T09:00:00Z")
    path = folder / "village.toml"
    path.write_text(text, "utf-8")
    return str(path)


def run(scenario: str, folder: Path, kills: int, seed: int) -> Ordeal:
    ordeal = torture(Options(scenario), folder, kills, seed)
    print(
        f"seed {seed}: {dict(ordeal.kills)}, {dict(ordeal.accounts.stored)}, {ordeal.wall_s:.0f} s"
    )
    ordeal.require_whole()
    assert sum(ordeal.kills.values()) == kills
    assert ordeal.accounts.stored["register"] > 0
    assert ordeal.accounts.stored["telemetry"] > 0
    return ordeal


@pytest.mark.timeout(400)
def test_kills_lose_nothing_and_change_no_register(tmp_path: Path) -> None:
    scenario = village(tmp_path)
    undisturbed = run(scenario, tmp_path / "calm", 0, SEED)
    tortured = run(scenario, tmp_path / "tortured", 20, SEED)
    assert tortured.registers == undisturbed.registers
    assert tortured.accounts.stored == undisturbed.accounts.stored


@pytest.mark.timeout(400)
def test_kills_lose_no_acknowledgement_of_a_relay(tmp_path: Path) -> None:
    ordeal = run("paper000", tmp_path / "relays", 10, SEED)
    assert ordeal.accounts.stored["event"] > 0
    assert ordeal.audit.failed_slots == 0


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    scenario = village(tmp_path)
    undisturbed = run(scenario, tmp_path / "calm", 0, SEED)
    for number in range(4):
        tortured = run(scenario, tmp_path / f"village{number}", 35, SEED + number)
        assert tortured.registers == undisturbed.registers
    for number in range(2):
        run("paper000", tmp_path / f"paper{number}", 30, SEED + number)
