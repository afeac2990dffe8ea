"""From the books of a hub to findings: command, status, page, metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.ledger.books import BookRow, SlotEnergyRow, SlotRow
from hub.watching.collecting import Lookout, findings
from hub.watching.suspects import SHARE, UNSHOWN, Suspect
from hub.web.metrics import metrics_text
from hub.web.page import head_html
from messages.entries import KeyEntry
from testbed.detecting.street import HOUR_MS, drawn_street
from testbed.detecting.trials import LYING, Case, falsified_street
from tests.support.hub_bench import NODE, Bench
from tests.support.pictures import picture
from tests.support.signers import ed25519

BEGIN, HOURS = 240, 400


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A hub whose books have a street with one meter that shows half."""
    made = Bench(tmp_path)
    tracks, boundary_wh = falsified_street(
        drawn_street(3)[:8], Random(5), Case(LYING, 0.5), 2, BEGIN
    )
    columns = {each.meter_id: each.net_wh for each in tracks}
    columns["tie"] = tuple(boundary_wh)
    purposes = {each.meter_id: each.purpose for each in tracks} | {"tie": "boundary"}
    rows: list[BookRow] = []
    for hour in range(HOURS):
        at_ms = hour * HOUR_MS
        rows.append(SlotRow(at_ms, at_ms + HOUR_MS, 1, "complete", "", "", 0, 0, 0, 0, 0))
        for name, net_wh in columns.items():
            net_uwh = round(net_wh[hour] * 1e6)
            taken, given = max(net_uwh, 0), max(-net_uwh, 0)
            rows.append(SlotEnergyRow(at_ms, name, name[:3], taken, given, "metered"))
    opened = made.open()
    entries = [
        made.key_entries()[0],
        *(
            KeyEntry(
                "enrol",
                "meter",
                name,
                ed25519(name).public.cose_key,
                node=NODE,
                member=name[:3],
                purpose=purpose,
            )
            for name, purpose in purposes.items()
        ),
    ]
    made.enrol(made.spine(opened), entries)
    opened.recorder.store.books.replace(rows)
    opened.close()
    return made


def ask(bench: Bench, *command: str) -> str:
    config = ("--config", str(bench.folder / "hub.toml"))
    done = CliRunner().invoke(app, [*command, *config])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_command_names_meter_energy_and_what_to_check(bench: Bench) -> None:
    said = ask(bench, "suspects")
    assert "336 slots, 1970-01-03T16:00Z to 1970-01-17T16:00Z" in said
    assert "follows meter h03-used" in said
    assert "check the ratio of its transformers" in said
    found = json.loads(ask(bench, "suspects", "--json"))
    assert [(each["meter_id"], each["kind"]) for each in found["suspects"]] == [("h03-used", SHARE)]
    assert (found["slots"], found["missing"]) == (336, "")


def test_status_says_it_and_accuses_nobody(bench: Bench) -> None:
    lines = [line for line in ask(bench, "status").splitlines() if line.startswith("CHECK: ")]
    assert len(lines) == 1
    assert "h03-used" in lines[0]


def test_a_lookout_looks_once_a_slot(bench: Bench) -> None:
    opened = bench.open()
    store, lookout = opened.recorder.store, Lookout()
    first = lookout.look(store)
    assert first
    assert lookout.look(store) is first
    newest = SlotRow(HOURS * HOUR_MS, 0, 1, "complete", "", "", 0, 0, 0, 0, 0)
    store.books.replace([newest])
    assert lookout.look(store) is not first
    opened.close()


def test_what_cannot_be_compared_is_said(bench: Bench) -> None:
    opened = bench.open()
    opened.recorder.store.books.clear()
    found = findings(opened.recorder.store)
    assert found.missing == "0 slots are known whole, 48 are needed"
    opened.close()


def test_page_and_metrics_have_it_as_text() -> None:
    suspect = Suspect(SHARE, "<m>", "ann", 0, 84, 3_000.0, 0.5, 9.0)
    seen = picture(suspects=(suspect, Suspect(UNSHOWN, "", "", 0, 84, 9_000.0, 0.2, 9.0)))
    html = head_html(seen)
    assert html.count('class="check"') == 2
    assert "&lt;m&gt;" in html
    text = metrics_text(seen).decode()
    assert 'gridtally_suspect_watt_hours{kind="shows a share",meter="<m>"} 3000.0' in text
