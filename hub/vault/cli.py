"""`gridtally-hub record`: records off the ledger, each request signed by a member's key."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.commands.terminal import fail, instant, log_to_stderr, told

if TYPE_CHECKING:
    from hub.vault.desk import RecordDesk

record = typer.Typer(
    name="record",
    no_args_is_help=True,
    help="Records that are encrypted off the ledger: bills, profiles, consent forms.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Key = Annotated[str, typer.Option("--key", help="The member's key, which signs.", metavar="KEY")]
RecordId = Annotated[str, typer.Argument(help="The record's id: 64 hex digits.", metavar="RECORD")]
What = Annotated[
    str,
    typer.Argument(
        help="A record's id; a purpose: all of it; or reading: sealed ones.", metavar="WHAT"
    ),
]
HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the verbs on records to the hub's program."""
    app.add_typer(record)


@record.command(short_help="Encrypt a file, store it, commit to it on the ledger.")
def put(
    *,
    file: Annotated[Path, typer.Argument(help="What to keep.", metavar="FILE")],
    key: Key,
    purpose: Annotated[str, typer.Option(help="bill, profile, consent, identity or other.")],
    owner: Annotated[
        str, typer.Option(help="Whose it is; default: the member's own.", metavar="MEMBER")
    ] = "",
    config: Config = HERE,
) -> None:
    """Print the record's id. The ledger gets a salted hash, the owner's name and the purpose.

    gridtally-hub record put bill.pdf --purpose bill --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        print(_desk(config, key).put(file.read_bytes(), purpose, owner).hex())


@record.command(short_help="Read a record.")
def get(
    record_id: RecordId,
    key: Key,
    case: Annotated[
        str, typer.Option(help="The regulator's case to read it under.", metavar="CASE")
    ] = "",
    config: Config = HERE,
) -> None:
    """Write the record to standard output. That it was read, and by whom, stays on the ledger.

    The regulator reads what a case is open for, and names it.

    gridtally-hub record get RECORD --key bob.pem > bill.pdf
    """
    log_to_stderr(verbose=False)
    with told():
        sys.stdout.buffer.write(_desk(config, key).get(_id(record_id), case))
        sys.stdout.buffer.flush()


@record.command(short_help="Read what a meter's sealed readings say.")
def readings(
    *,
    meter: Annotated[str, typer.Argument(help="The meter.", metavar="METER")],
    key: Key,
    start: Annotated[str, typer.Option("--from", help="From this time on, with its zone.")],
    end: Annotated[str, typer.Option("--to", help="Before this time; at most 31 days later.")],
    case: Annotated[
        str, typer.Option(help="The regulator's case to read them under.", metavar="CASE")
    ] = "",
    config: Config = HERE,
) -> None:
    """Print a table; each line is checked against the ledger's entry. The request stays there.

    gridtally-hub record readings ann-load --from 2026-11-01T00:00Z --to 2026-11-08T00:00Z --key K
    """
    log_to_stderr(verbose=False)
    with told():
        from messages import cose
        from messages.reading import decode_reading

        print("entry,at_ms,import_uwh,export_uwh")
        for each in _desk(config, key).readings(meter, instant(start), instant(end), case):
            said = decode_reading(cose.open_sealed(cose.parse(each.entry), each.preimage))
            print(f"{each.index},{said.at_ms},{_total(said.import_uwh)},{_total(said.export_uwh)}")


@record.command(short_help="Let a member read a record, or all of a purpose.")
def grant(
    what: What,
    key: Key,
    to: Annotated[str, typer.Option(help="Who may read.", metavar="MEMBER")],
    until_ms: Annotated[int, typer.Option(help="The last slot it holds in. [ms UTC]")],
    config: Config = HERE,
) -> None:
    """Grant by a signed entry. It ends by itself.

    gridtally-hub record grant bill --to bob --until-ms 1795258800000 --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        _desk(config, key).grant(what, to, until_ms)


@record.command(short_help="Take a grant back.")
def revoke(
    what: What,
    key: Key,
    to: Annotated[str, typer.Option(help="Who may no longer read.", metavar="MEMBER")],
    config: Config = HERE,
) -> None:
    """Revoke by a signed entry. What was read before stays read, and that is on the ledger.

    gridtally-hub record revoke bill --to bob --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        _desk(config, key).ask("revoke", {"what": what, "grantee": to})


@record.command(short_help="Erase a record for good: its key goes, and its ciphertext.")
def erase(record_id: RecordId, key: Key, config: Config = HERE) -> None:
    """Erase it. On the ledger a hash is left, of salted bytes that nobody can guess.

    gridtally-hub record erase RECORD --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        for place in _desk(config, key).erase(_id(record_id)):
            print(f"store {place} still has the ciphertext; its key is gone", file=sys.stderr)


@record.command(short_help="See that every store has every record, and mend those that do not.")
def mend(
    replicas: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="A replica to ask for what no store has; may be repeated.", metavar="URL"
        ),
    ] = None,
    config: Config = HERE,
) -> None:
    """Fetch every record's ciphertext from every store, by its hash; no key is needed.

    What is left of records that were erased is deleted.

    Whoever answers with other bytes than the ledger names is not believed.

      gridtally-hub record mend

      gridtally-hub record mend --from http://alice.example:8092
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.config import load_config
        from hub.errors import RecordUnavailable
        from hub.replica.ciphertext import Elsewhere
        from hub.replica.source import HttpSource, Sources
        from hub.vault.desk import read_state
        from hub.vault.stores import blob_of, names_of, open_stores

        settings = load_config(config)
        stores = open_stores(settings.records.stores, settings.state)
        asked = Elsewhere(Sources([HttpSource(url) for url in replicas])) if replicas else None
        lost, state = 0, read_state(settings)
        for name in sorted(names_of(state)[1]):
            stores.delete(name)
        for record_id, row in sorted(state.records.items()):
            if row.erased_index is not None:
                continue
            try:
                for place in stores.mend(blob_of(row.locators), asked):
                    print(f"record {record_id.hex()}: mended in {place}")
            except RecordUnavailable as error:
                print(f"record {record_id.hex()}: {error}", file=sys.stderr)
                lost += 1
        if lost:
            fail(f"{lost} records are not in every store", os.EX_UNAVAILABLE)


@record.command("list", short_help="Records, grants, and who read what.")
def show(config: Config = HERE) -> None:
    """List what the ledger says: ids and names only.

    gridtally-hub record list
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.config import load_config
        from hub.vault.desk import read_state

        state = read_state(load_config(config))
        for record_id, row in sorted(state.records.items(), key=lambda each: each[1][:2]):
            gone = "" if row.erased_index is None else f", erased at entry {row.erased_index}"
            print(f"record {record_id.hex()}: {row.purpose} of {row.owner}, by {row.by}{gone}")
        for (owner, what, grantee), until_ms in sorted(state.grants.items()):
            print(f"grant: {grantee} reads {what} of {owner} until slot {until_ms}")
        for access in sorted(state.accesses.values(), key=lambda each: each.entry_index):
            said = access.record.hex() or f"readings of {access.meter}"
            what = f"read {said} as {access.why}"
            print(f"entry {access.entry_index}: {access.member} {what}")


def _desk(config: Path, key: str) -> RecordDesk:
    from hub.config import load_config
    from hub.vault.desk import RecordDesk
    from keys.stores import open_signer

    return RecordDesk(load_config(config), open_signer(key))


def _total(uwh: int | None) -> str:
    return "" if uwh is None else str(uwh)


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        fail(f"{text!r} is no record: want 64 hex digits", os.EX_USAGE)
