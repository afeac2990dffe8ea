"""An investigation from its opening to the notice, by the commands, on a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands.inspecting import audit_ledger, verify_ledger
from hub.core.pseudonyms import pseudonyms
from hub.errors import RecordRefused
from hub.ledger.store import Store
from hub.vault.desk import read_state
from keys.file import generate
from messages import cose
from messages.entries import Call, KeyEntry, parse_as
from messages.investigation import Notice
from tests.support.hub_bench import SLOT_MS
from tests.support.vault_bench import Community

DAY_SLOTS = 86_400_000 // SLOT_MS


@pytest.fixture
def here(tmp_path: Path) -> Community:
    return Community(tmp_path)


def notices(here: Community) -> list[Notice]:
    """Return what stands on the ledger."""
    with Store.open(here.config.database, read_only=True) as store:
        found = store.of_kind(Notice.KIND)
    return [parse_as(Notice, cose.parse(entry.raw)) for entry in found]


def test_an_embargo_holds_until_its_slot_and_the_notice_names_each_use(here: Community) -> None:
    record = here.desk("ann").put(b"who ann is", "identity", "")
    desk, state = here.desk("rita"), read_state(here.config)
    start_ms = desk.next_slot_ms
    opened = {
        "case": "tap-1",
        "subject": pseudonyms(state)["ann"],
        "reason": "seal broken",
        "until_slot_ms": start_ms + 3 * SLOT_MS,
        "embargo_slot_ms": start_ms + 2 * SLOT_MS,
    }
    desk.ask("open", opened, "cases")
    assert desk.get(record, "tap-1") == b"who ann is"
    here.close()
    assert notices(here) == []
    here.close()
    (notice,) = notices(here)
    assert (notice.case, notice.owner, len(notice.accesses)) == ("tap-1", "ann", 1)
    with Store.open(here.config.database, read_only=True) as store:
        used = parse_as(Call, cose.parse(store.entry(notice.accesses[0]).raw))
    assert (used.method, used.arguments["case"]) == ("read", "tap-1")
    here.close(2)
    with pytest.raises(RecordRefused, match="case tap-1 is over"):
        desk.get(record, "tap-1")
    assert len(notices(here)) == 1
    assert verify_ledger(here.config, lambda done, total: None).findings == ()
    audited = audit_ledger(here.config, lambda done, total: None, workers=0)
    assert audited.is_right, audited.difference


def test_the_commands_open_identify_read_list_and_close(here: Community, tmp_path: Path) -> None:
    for name, roles in (("rita2", ("regulator",)), ("ann2", ())):
        key = here.people[name] = generate(tmp_path / f"{name}.pem")
        entry = KeyEntry("enrol", "member", name, key.public.cose_key, roles=roles)
        opened = here.bench.open()
        assert here.bench.enrol(here.bench.spine(opened), [entry]) == [""]
        opened.close()
    record = here.desk("ann2").put(b"who ann is", "identity", "").hex()
    hidden = pseudonyms(read_state(here.config))["ann2"]

    def run(who: str, *words: str) -> Result:
        key = ("--key", str(tmp_path / f"{who}.pem")) if who else ()
        return CliRunner().invoke(app, [*words, *key, "--config", str(tmp_path / "hub.toml")])

    opening = ("case", "open", "tap-1", "--subject", hidden, "--reason", "seal broken")
    denied = run("ann2", *opening)
    assert (denied.exit_code, denied.stdout) == (77, "")
    assert "is signed by regulator" in denied.stderr
    assert run("rita2", *opening, "--days", "2", "--embargo-days", "3").exit_code == 77
    assert run("rita2", *opening, "--days", "2", "--embargo-days", "1").exit_code == 0
    asked = run("rita2", "case", "identity", "tap-1").stdout
    assert asked.splitlines() == ["member ann2", f"record {record}: identity"]
    assert run("rita2", "record", "get", record).exit_code == 77
    assert run("rita2", "record", "get", record, "--case", "tap-1").stdout_bytes == b"who ann is"
    assert run("", "case", "list").stdout == ""
    assert run("ann2", "case", "list").stdout == ""
    mine = run("rita2", "case", "list").stdout
    assert "case tap-1 (open, ann2 is not told before slot " in mine
    assert run("rita2", "case", "close", "tap-1").exit_code == 0
    told = run("", "case", "list").stdout
    assert "case tap-1 (over): rita2 on ann2" in told
    assert "seal broken; opened by entry" in told
    assert run("rita2", "record", "get", record, "--case", "tap-1").exit_code == 77
