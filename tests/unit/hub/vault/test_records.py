"""A record from a file to its reader: encrypted, granted, logged, erased; no store is trusted."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands.inspecting import audit_ledger, verify_ledger
from hub.errors import NoAnswer, RecordRefused, RecordUnavailable
from hub.ledger.store import Store
from hub.starting import read_trust
from hub.vault import desk as desks
from hub.vault.desk import read_state
from hub.vault.keeper import Keeper
from hub.vault.stores import FileStore, Stores, open_store
from keys.file import generate
from messages.entries import Call, KeyEntry, network_aad
from messages.errors import BadProof, MalformedMessage
from messages.records import lock, unlock, unwrap, wrap
from messages.sealed import make_preimage, sign_sealed
from tests.support.signers import ed25519
from tests.support.vault_bench import LATER_MS, Community

SECRET = b"ann owes nobody anything but 12.34" * 3


@pytest.fixture
def here(tmp_path: Path) -> Community:
    return Community(tmp_path)


def test_a_record_is_kept_encrypted_and_read_by_its_owner(here: Community, tmp_path: Path) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    assert here.desk("ann").get(record) == SECRET
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET[:20] in path.read_bytes() for path in held)
    (key,) = (tmp_path / "records" / "keys").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert verify_ledger(here.config, lambda done, total: None).findings == ()
    audited = audit_ledger(here.config, lambda done, total: None, workers=0)
    assert audited.is_right, audited.difference


def test_grant_read_revoke_and_every_request_stays(here: Community) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    with pytest.raises(RecordRefused, match="bob has no grant"):
        here.desk("bob").get(record)
    here.desk("ann").grant("bill", "bob", LATER_MS)
    assert here.desk("bob").get(record) == SECRET
    here.desk("ann").ask("revoke", {"what": "bill", "grantee": "bob"})
    with pytest.raises(RecordRefused, match="bob has no grant"):
        here.desk("bob").get(record)
    with pytest.raises(RecordRefused, match="rita has no grant"):
        here.desk("rita").get(record)
    accesses = sorted(read_state(here.config).accesses.values(), key=lambda each: each.entry_index)
    assert [(each.member, each.why) for each in accesses] == [("bob", "grant")]
    with Store.open(here.config.database, read_only=True) as store:
        assert len(store.of_kind(Call.KIND)) == 7  # the refused ones, too


def test_an_erased_record_is_gone_with_its_key_and_its_blobs(
    here: Community, tmp_path: Path
) -> None:
    record, other = (here.desk("ann").put(SECRET, "bill", "") for _ in range(2))
    (name, _) = sorted(path.name for path in here.one.iterdir())
    copy = (here.one / name).read_bytes()
    assert len(list(here.two.iterdir())) == 2
    assert here.desk("ann").erase(record) == ()
    assert [len(list(folder.iterdir())) for folder in (here.one, here.two)] == [1, 1]
    assert len(list((tmp_path / "records" / "keys").iterdir())) == 1
    with pytest.raises(RecordRefused, match="was erased"):
        here.desk("ann").get(record)
    assert here.desk("ann").get(other) == SECRET
    assert copy[:12] not in b"".join(path.read_bytes() for path in tmp_path.rglob("keys/*"))
    assert verify_ledger(here.config, lambda done, total: None).findings == ()


@pytest.mark.parametrize("harm", ["lost", "changed", "empty"])
def test_losing_one_store_loses_no_record_and_mends_it(here: Community, harm: str) -> None:
    record = here.desk("ann").put(SECRET, "profile", "")
    (blob,) = here.one.iterdir()
    whole = blob.read_bytes()
    if harm == "lost":
        blob.unlink()
        here.one.rmdir()
    else:
        blob.write_bytes(b"" if harm == "empty" else whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert here.desk("ann").get(record) == SECRET
    assert (here.one / blob.name).read_bytes() == whole


@pytest.mark.parametrize("harm", ["lost", "changed"])
def test_every_store_is_mended_by_command_and_what_is_lost_is_said(
    here: Community, tmp_path: Path, harm: str
) -> None:
    records = [here.desk("ann").put(SECRET, purpose, "") for purpose in ("bill", "profile")]
    gone = here.desk("ann").put(SECRET, "other", "")
    here.desk("ann").erase(gone)
    words = ["record", "mend", "--config", str(tmp_path / "hub.toml")]
    assert CliRunner().invoke(app, words).stdout == ""
    for blob in here.two.iterdir():
        blob.write_bytes(b"") if harm == "changed" else blob.unlink()
    mended = CliRunner().invoke(app, words)
    assert sorted(mended.stdout.splitlines()) == [
        f"record {record.hex()}: mended in file:two" for record in sorted(records)
    ]
    assert {path.name: path.read_bytes() for path in here.one.iterdir()} == {
        path.name: path.read_bytes() for path in here.two.iterdir()
    }
    for folder in (here.one, here.two):
        next(iter(sorted(folder.iterdir()))).unlink()
    lost = CliRunner().invoke(app, words)
    assert lost.exit_code == 69
    assert "1 records are not in every store" in lost.stderr


def test_losing_all_stores_is_said(here: Community) -> None:
    record = here.desk("ann").put(SECRET, "profile", "")
    for folder in (here.one, here.two):
        next(folder.iterdir()).unlink()
    with pytest.raises(RecordUnavailable, match="none of 2 stores"):
        here.desk("ann").get(record)


def test_a_refused_put_leaves_nothing_behind(here: Community, tmp_path: Path) -> None:
    with pytest.raises(RecordRefused, match="no purpose"):
        here.desk("ann").put(SECRET, "gossip", "")
    assert list(here.one.iterdir()) == list(here.two.iterdir()) == []
    assert list((tmp_path / "records" / "keys").iterdir()) == []


def test_a_stranger_s_and_a_revoked_member_s_requests_are_refused(here: Community) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    here.people["eve"] = ed25519("eve")
    with pytest.raises(RecordRefused, match="which no entry has enrolled"):
        here.desk("eve").get(record)
    opened = here.bench.open()
    spine = here.bench.spine(opened)
    assert here.bench.enrol(spine, [KeyEntry("revoke", "member", "rita", b"")]) == [""]
    opened.close()
    with pytest.raises(RecordRefused, match="was revoked"):
        here.desk("rita").get(record)


def test_nothing_is_answered_before_it_is_final(
    here: Community, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    here.desk("ann").get(record)
    state = read_state(here.config)
    ((call_id, access),) = state.accesses.items()
    keeper = Keeper(tmp_path / "elsewhere")
    keeper.keep_key(state.records[record].digest, bytes(32))
    keeper.serve(state, access.entry_index)
    assert keeper.take_answer(call_id) is None
    keeper.serve(state, access.entry_index + 1)
    assert len(keeper.take_answer(call_id) or b"") == 80
    keeper.serve(state, access.entry_index + 2)
    assert keeper.take_answer(call_id) == b""  # once
    monkeypatch.setattr(desks, "ANSWER_WAIT_S", 0.0)
    monkeypatch.setattr(Keeper, "serve", lambda *_: None)
    with pytest.raises(NoAnswer, match="not final yet"):
        here.desk("ann").get(record)


def test_the_commands_do_all_of_it(here: Community, tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        here.people[name] = generate(tmp_path / f"{name}.pem")
    opened = here.bench.open()
    spine = here.bench.spine(opened)
    entries = [
        KeyEntry("enrol", "member", f"{name}2", here.people[name].public.cose_key)
        for name in ("ann", "bob")
    ]
    assert not any(here.bench.enrol(spine, entries))
    opened.close()
    secret = tmp_path / "bill.pdf"
    secret.write_bytes(SECRET)

    def run(who: str, *words: str) -> Result:
        key = () if who == "" else ("--key", str(tmp_path / f"{who}.pem"))
        config = ("--config", str(tmp_path / "hub.toml"))
        return CliRunner().invoke(app, ["record", *words, *key, *config])

    record = run("ann", "put", str(secret), "--purpose", "bill").stdout.strip()
    denied = run("bob", "get", record)
    assert (denied.exit_code, denied.stdout_bytes) == (77, b"")
    assert "has no grant" in denied.stderr
    assert run("ann", "grant", record, "--to", "bob2", "--until-ms", str(LATER_MS)).exit_code == 0
    assert run("bob", "get", record).stdout_bytes == SECRET
    listed = run("", "list").stdout
    assert f"record {record}: bill of ann2, by ann2\n" in listed
    assert f"grant: bob2 reads {record} of ann2 until slot {LATER_MS}" in listed
    assert f"bob2 read {record} as grant" in listed
    assert run("ann", "revoke", record, "--to", "bob2").exit_code == 0
    assert run("bob", "get", record).exit_code == 77
    assert run("ann", "erase", record).exit_code == 0
    assert "erased at entry" in run("", "list").stdout
    assert run("ann", "get", "xyz").exit_code == 64


# --- the parts ---------------------------------------------------------------------------------


@pytest.fixture
def locked() -> tuple[bytes, bytes]:
    preimage = make_preimage(SECRET, b"s" * 32)
    return lock(preimage, b"k" * 32, b"n" * 12).ciphertext, hashlib.sha256(preimage).digest()


def test_a_changed_ciphertext_or_key_opens_nothing(locked: tuple[bytes, bytes]) -> None:
    ciphertext, digest = locked
    assert unlock(ciphertext, b"k" * 32, digest) == SECRET
    for place in range(len(ciphertext)):
        turned = bytearray(ciphertext)
        turned[place] ^= 1
        with pytest.raises(BadProof):
            unlock(bytes(turned), b"k" * 32, digest)
    for wrong in ((ciphertext, b"x" * 32, digest), (ciphertext, b"k" * 32, bytes(32))):
        with pytest.raises(BadProof):
            unlock(*wrong)
    with pytest.raises(BadProof, match="cut off"):
        unlock(ciphertext[:20], b"k" * 32, digest)


def test_an_answer_opens_for_its_reader_and_its_record_only() -> None:
    reader, stranger = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public = reader.public_key().public_bytes_raw()
    answer = wrap(b"k" * 32, b"id" * 16, public, X25519PrivateKey.generate())
    assert unwrap(answer, b"id" * 16, reader) == b"k" * 32
    for record_id, key in ((b"id" * 16, stranger), (b"no" * 16, reader)):
        with pytest.raises(BadProof):
            unwrap(answer, record_id, key)
    for place in range(len(answer)):
        turned = bytearray(answer)
        turned[place] ^= 1
        with pytest.raises((BadProof, MalformedMessage)):
            unwrap(bytes(turned), b"id" * 16, reader)
    with pytest.raises(MalformedMessage, match="no X25519"):
        wrap(b"k" * 32, b"id" * 16, bytes(32), X25519PrivateKey.generate())  # small order


def test_a_remote_store_by_fsspec_is_a_store_like_others(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    remote = open_store("memory://vault", tmp_path)
    blob = b"noise"
    name = hashlib.sha256(blob).hexdigest()
    stores = Stores([remote, FileStore(tmp_path / "f")])
    assert stores.put(name, blob) == ("memory://vault", f"file:{tmp_path / 'f'}")
    (tmp_path / "f" / name).unlink()
    assert stores.get(name) == blob
    remote.delete(name)
    with pytest.raises(RecordUnavailable):
        stores.get(name)
    remote.delete(name)
    with pytest.raises(RecordUnavailable, match="gridtally"):
        open_store("nosuch://x", tmp_path)


def test_a_store_that_fails_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    broken, good = FileStore(tmp_path / "taken"), FileStore(tmp_path / "good")
    blob = b"noise"
    name = hashlib.sha256(blob).hexdigest()
    assert Stores([broken, good]).put(name, blob) == (good.place,)
    assert Stores([broken, good]).get(name) == blob
    with pytest.raises(RecordUnavailable, match="no store took"):
        Stores([broken]).put(name, blob)


def test_who_names_another_s_ciphertext_as_his_own_erases_only_what_is_his(here: Community) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    bob, place = here.people["bob"], read_state(here.config).records[record].locators
    network_id = read_trust(Path(here.config.trust)).network_id
    commitment = sign_sealed(bob, 0, make_preimage(b"x", bytes(32)), network_aad(network_id))
    asked = {"commitment": commitment, "purpose": "bill", "locators": place, "owner": ""}
    taken = here.desk("bob").ask("put", asked).entry_id
    here.desk("bob").erase(taken)
    assert CliRunner().invoke(app, ["record", "mend", *config_of(here)]).exit_code == 0
    assert here.desk("ann").get(record) == SECRET


def test_what_was_erased_from_afar_is_deleted_by_the_next_mending(here: Community) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    here.desk("ann").ask("erase", {"record": record})
    assert len(list(here.one.iterdir())) == 1
    assert CliRunner().invoke(app, ["record", "mend", *config_of(here)]).exit_code == 0
    assert [*here.one.iterdir(), *here.two.iterdir()] == []


def config_of(here: Community) -> list[str]:
    return ["--config", str(here.bench.folder / "hub.toml")]
