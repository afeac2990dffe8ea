"""A member's own machine asks over HTTP: signed, timed, once; the web process holds no key."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from hub.core.pseudonyms import pseudonyms
from hub.inbox import Inbox
from hub.starting import load_key
from hub.vault.desk import read_state
from hub.web.requests import CALLS_AT_ONCE
from hub.web.visitors import BURST, EVERY_MS, Visitors
from keys.file import FileSigner, generate
from member.calling import HubClient
from member.errors import HubAway, HubRefused
from member.program import DAY_MS, main
from messages.asking import SCHEME, VALID_MS, Ask, format_ask
from messages.entries import Call, KeyEntry, sign_entry
from messages.errors import BadProof
from tests.support.hub_bench import SLOT_MS, START_MS
from tests.support.signers import ed25519
from tests.support.site import Site
from tests.support.vault_bench import LATER_MS, Community

SECRET = b"ann owes nobody anything but 12.34" * 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    here = Community(tmp_path_factory.mktemp("site"), readings="sealed")
    here.people["alice"] = alice = ed25519("alice")
    opened = here.bench.open()
    entry = KeyEntry("enrol", "member", "alice", alice.public.cose_key)
    assert here.bench.enrol(here.bench.spine(opened), [entry]) == [""]
    opened.close()
    here.close(3)
    here.record = here.desk("ann").put(SECRET, "bill", "")  # type: ignore[attr-defined]
    found = Site(here)
    yield found
    found.stop()


def record(site: Site) -> bytes:
    found = site.here.record  # type: ignore[attr-defined]
    assert isinstance(found, bytes)
    return found


def test_a_record_is_granted_read_and_checked_from_another_machine(site: Site) -> None:
    ann, bob = (site.client(site.here.people[name]) for name in ("ann", "bob"))
    with pytest.raises(HubRefused, match="bob has no grant"):
        bob.record(record(site))
    ann.ask("grant", {"what": "bill", "grantee": "bob", "until_slot_ms": LATER_MS})
    assert bob.record(record(site)) == SECRET
    ann.ask("revoke", {"what": "bill", "grantee": "bob"})
    with pytest.raises(HubRefused, match="bob has no grant"):
        bob.record(record(site))
    said = [access.member for access in read_state(site.here.config).accesses.values()]
    assert said.count("bob") == 1


def test_sealed_readings_are_proven_to_stand_in_the_log(site: Site) -> None:
    alice = site.client(site.here.people["alice"])
    found = alice.readings("load", START_MS, START_MS + 2 * SLOT_MS)
    assert len(found) == 2
    with pytest.raises(HubRefused, match=r"ann has no grant to a meter 'load'$"):
        site.client(site.here.people["ann"]).readings("load", START_MS, START_MS + SLOT_MS)


def test_a_regulator_learns_who_it_is_and_reads_under_his_case(site: Site) -> None:
    rita = site.client(site.here.people["rita"])
    hidden = pseudonyms(read_state(site.here.config))["ann"]
    opened = {"case": "net-1", "subject": hidden, "reason": "x", "until_slot_ms": LATER_MS}
    rita.ask("open", opened, "cases")
    assert rita.ask("identify", {"case": "net-1"}, "cases").answer == {"owner": "ann"}
    assert rita.record(record(site), "net-1") == SECRET
    with pytest.raises(HubRefused, match="is signed by regulator"):
        site.client(site.here.people["ann"]).ask("open", opened | {"case": "net-2"}, "cases")


def test_a_view_shows_a_member_his_own_bill_and_nobody_else(site: Site) -> None:
    alice, bob = (site.client(site.here.people[name]) for name in ("alice", "bob"))
    assert [row["account_utok"] for row in alice.view("members")] == [77]
    assert [row["account_utok"] for row in bob.view("members")] == [None]
    assert isinstance(alice.view("slots?limit=5"), list)


def test_another_hub_that_gives_another_record_is_found_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = site.here.desk("ann")  # the hub is open elsewhere: this goes through its inbox
    second = other.put(b"another", "other", "")
    ann = site.client(site.here.people["ann"])
    answer = HubClient._answer

    def swapped(client: HubClient, call_id: bytes) -> Any:
        wrapped, _, ciphertext = answer(client, call_id)
        entry = site.ledger.entry_with(second)
        return wrapped, entry, ciphertext

    monkeypatch.setattr(HubClient, "_answer", swapped)
    with pytest.raises(BadProof, match="another record"):
        ann.record(record(site))


# --- the door ----------------------------------------------------------------------------------


def exchange(site: Site, method: str, path: str, body: bytes, header: str) -> tuple[int, str]:
    import http.client

    connection = http.client.HTTPConnection(*site.listener.getsockname(), timeout=10)
    connection.request(method, path, body or None, {"Authorization": header})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(errors="replace")
    connection.close()
    return found


def header(site: Site, signer: FileSigner, path: str, **changes: Any) -> str:
    fields: dict[str, Any] = {"at_ms": time.time_ns() // 1_000_000, "nonce": b"n" * 16}
    network_id = changes.pop("network_id", site.trust.trust.network_id)
    return format_ask(signer, network_id, Ask(path, **(fields | changes)))


def test_a_signed_request_counts_once_for_its_path_and_its_minute(site: Site) -> None:
    path, now_ms = "/api/v1/picture", time.time_ns() // 1_000_000
    ann, eve = site.here.people["ann"], ed25519("eve")
    good = header(site, ann, path, nonce=b"1" * 16)
    assert exchange(site, "GET", path, b"", good)[0] == 200
    for wrong, words in (
        (good, "answered once already"),
        (header(site, ann, "/api/v1/members", nonce=b"2" * 16), "is for /api/v1/members"),
        (header(site, ann, path, at_ms=now_ms - VALID_MS - 9_000), "set the clock"),
        (header(site, ann, path, at_ms=now_ms + VALID_MS + 9_000), "set the clock"),
        (header(site, eve, path), "no member that counts"),
        (header(site, site.here.bench.node, path), "no member that counts"),
        (header(site, ann, path, network_id=bytes(32)), "signature"),
        (header(site, ann, path, nonce=b"short"), "nonce has 16 bytes"),
        (SCHEME + "!!!", "base64url"),
        (SCHEME + base64.urlsafe_b64encode(b"\xd2\x84").decode(), ""),
    ):
        status, answer = exchange(site, "GET", path, b"", wrong)
        assert status == 401, wrong
        assert words in answer
    assert exchange(site, "GET", path, b"", "")[0] == 200  # nobody in particular


def test_what_became_of_a_call_and_its_answer_are_for_who_signed_it(site: Site) -> None:
    ann = site.client(site.here.people["ann"])
    reply: dict[str, Any] = {"record": record(site), "reply_key": bytes(range(32))}
    call_id = ann.ask("read", reply).call_id.hex()
    for number, path in enumerate((f"/api/v1/requests/{call_id}", f"/api/v1/answers/{call_id}")):
        bob = header(site, site.here.people["bob"], path, nonce=bytes([number]) * 16)
        assert exchange(site, "GET", path, b"", bob)[0] == 404
        assert exchange(site, "GET", path, b"", "")[0] == 401
        own = header(site, site.here.people["ann"], path, nonce=bytes([9 + number]) * 16)
        assert exchange(site, "GET", path, b"", own)[0] == 200


def test_what_is_no_member_s_call_never_reaches_the_inbox(site: Site) -> None:
    network_id = site.trust.trust.network_id
    ann, eve = site.here.people["ann"], ed25519("eve")

    def call(signer: FileSigner, contract: str = "records") -> bytes:
        return sign_entry(signer, Call(b"7" * 16, LATER_MS, contract, "read", {}), network_id)

    whole = call(ann)
    for raw, status in (
        (call(eve), 403),
        (call(ann, "no_market"), 400),
        (whole[:-1] + bytes((whole[-1] ^ 1,)), 400),
        (b"no entry", 400),
        (b"x" * 4_097, 413),
        (sign_entry(ann, Call(b"7" * 16, LATER_MS, "records", "read", {}), bytes(32)), 400),
    ):
        assert exchange(site, "POST", "/api/v1/requests", raw, "")[0] == status
    late = Call(b"7" * 16, START_MS - 1, "records", "read", {})
    status, answer = exchange(
        site, "POST", "/api/v1/requests", sign_entry(ann, late, network_id), ""
    )
    assert (status, "too late" in answer) == (400, True)
    inbox = Path(site.here.config.state) / "inbox"
    assert list(inbox.glob("*.entry")) == []


def test_nobody_keeps_others_out_by_asking_often(site: Site) -> None:
    ann, bob = site.here.people["ann"], site.here.people["bob"]

    def hand_in(signer: FileSigner, number: int) -> tuple[int, bytes]:
        call = Call(number.to_bytes(16, "big"), LATER_MS, "records", "revoke", {})
        raw = sign_entry(signer, call, site.trust.trust.network_id)
        return exchange(site, "POST", "/api/v1/requests", raw, "")[0], raw

    bobs = [hand_in(bob, 1_000 + number) for number in range(2 * CALLS_AT_ONCE)]
    assert {status for status, _ in bobs} == {202, 429}
    status, raw = hand_in(ann, 2_000)
    assert status == 202
    call_id = (2_000).to_bytes(16, "big")
    deadline = time.monotonic() + 30
    while call_id not in site.ledger.state.calls:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # Somebody else plays an old request again, and ann has as many left as before.
    for _ in range(2 * CALLS_AT_ONCE):
        assert exchange(site, "POST", "/api/v1/requests", raw, "")[0] == 202
    assert hand_in(ann, 2_001)[0] == 202


def test_a_member_asks_so_often_at_once_and_no_more(site: Site) -> None:
    now_ms = time.time_ns() // 1_000_000
    who, path = Visitors(site.ledger, lambda: now_ms).who, "/api/v1/picture"
    bob, rita = site.here.people["bob"], site.here.people["rita"]
    asked = [header(site, bob, path, nonce=number.to_bytes(16, "big")) for number in range(BURST)]
    assert {who(each, path).name for each in asked} == {"bob"}
    with pytest.raises(HTTPException, match="429: bob asks too often"):
        who(header(site, bob, path), path)
    for _ in range(2):
        with pytest.raises(HTTPException, match=r"401: .*answered once already"):
            who(asked[0], path)
    assert who(header(site, rita, path), path).name == "rita"
    now_ms += EVERY_MS
    assert who(header(site, bob, path, nonce=b"b" * 16), path).name == "bob"


def test_a_hub_that_is_not_there_is_said(site: Site) -> None:
    away = HubClient("http://127.0.0.1:1", site.here.people["ann"], site.trust.trust)
    with pytest.raises(HubAway, match="Connection"):
        away.view()
    with pytest.raises(ValueError, match="want an address"):
        HubClient("hub", site.here.people["ann"], site.trust.trust)


def enrolled(site: Site, folder: Path, name: str, *roles: str) -> Path:
    """Return the file with the key of a new member."""
    key, network_id = generate(folder / f"{name}.pem"), site.trust.trust.network_id
    admin = site.here.config.keys.administrator
    assert admin is not None
    entry = KeyEntry("enrol", "member", name, key.public.cose_key, roles=roles)
    inbox = Inbox(Path(site.here.config.state))
    spooled = inbox.put(sign_entry(load_key("administrator", admin), entry, network_id))
    deadline = time.monotonic() + 30
    while inbox.outcome(spooled) is None or key.public.kid not in site.ledger.state.keys:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return folder / f"{name}.pem"


def program(site: Site, key: Path, *words: str) -> int:
    trust = str(site.here.bench.folder / "trust.toml")
    return main([*words, "--key", str(key), "--hub", site.url, "--trust", trust])


def test_the_program_opens_uses_and_closes_a_case(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = enrolled(site, tmp_path, "rex", "regulator")
    ann = pseudonyms(read_state(site.here.config))["ann"]
    asked = ("case-open", "far-1", "--subject", ann, "--reason", "seal broken", "--days", "3")
    assert program(site, key, *asked, "--embargo-days", "2") == 0
    assert program(site, key, "identity", "far-1") == 0
    assert capsys.readouterr().out == "ann\n"
    assert program(site, key, "get", record(site).hex(), "--case", "far-1") == 0
    assert capsys.readouterr().out.encode() == SECRET
    case = site.ledger.state.cases["far-1"]
    assert (case.by, case.owner, len(case.accesses)) == ("rex", "ann", 2)
    assert case.until_slot_ms - case.embargo_slot_ms == DAY_MS
    assert program(site, key, "case-close", "far-1") == 0
    assert program(site, key, "identity", "far-1") == 77
    assert "case far-1 is over" in capsys.readouterr().err
    assert program(site, key, *asked, "--slot-ms", "0") == 77
    assert "a case far-1 already" in capsys.readouterr().err


def test_the_program_does_all_of_it(
    site: Site, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    zoe = enrolled(site, tmp_path, "zoe")
    trust = str(site.here.bench.folder / "trust.toml")

    def run(*words: str) -> tuple[int, bytes, bytes]:
        code = program(site, zoe, *words)
        out, err = capsysbinary.readouterr()
        return code, out, err

    code, out, err = run("get", record(site).hex())
    assert (code, out) == (77, b"")
    assert b"refused: zoe has no grant" in err
    ann = site.client(site.here.people["ann"])
    ann.ask("grant", {"what": record(site).hex(), "grantee": "zoe", "until_slot_ms": LATER_MS})
    assert run("get", record(site).hex())[:2] == (0, SECRET)
    alice = site.client(site.here.people["alice"])
    alice.ask("grant", {"what": "reading", "grantee": "zoe", "until_slot_ms": LATER_MS})
    code, out, _ = run("readings", "load", "--from", str(START_MS), "--to", str(START_MS + SLOT_MS))
    assert out.splitlines()[0] == b"entry,at_ms,import_uwh,export_uwh"
    assert out.splitlines()[1].endswith(f",{START_MS},1,0".encode())
    assert run("grant", "bill", "--to", "bob", "--until-ms", str(LATER_MS))[0] == 0
    assert run("revoke", "bill", "--to", "bob")[0] == 0
    assert run("revoke", "bill", "--to", "bob")[0] == 77
    assert run("erase", record(site).hex())[0] == 77
    assert run("identity", "none")[0] == 77
    assert json.loads(run("view", "slots")[1])
    assert run("view", "nothing")[0] == 77
    assert main(["view", "--key", "none.pem", "--trust", trust]) == 74
