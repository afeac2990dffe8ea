"""The replica's part of the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, log_to_stderr, told

Folder = Annotated[Path, typer.Option("--dir", help="The replica's folder.", metavar="DIR")]
Config = Annotated[
    Path, typer.Option("--config", "-c", help="The replica's configuration file.", metavar="FILE")
]
NAME_HELP = "Its name for good, as an address without https://, such as example.org/alice/r1."
HERE: Final = Path("replica.toml")
ENROLMENT_FILE: Final = "enrol-replica.json"


def add_commands(app: typer.Typer) -> None:
    """Add the replica's verbs to the hub's program."""
    app.command("replica-init", short_help="Make the keys and files of a new replica.")(init)
    app.command("replica-enrol", short_help="Let a replica count, and propose.")(enrol)
    app.command("replica", short_help="Be a replica: hold the log, and do its sums again.")(replica)
    app.command("replica-status", short_help="Say how a replica stands.")(status)


def init(
    directory: Folder,
    name: Annotated[str, typer.Option(help=NAME_HELP, metavar="NAME")],
    trust: Annotated[
        Path, typer.Option(help="The hub's trust.toml; it is copied.", metavar="FILE")
    ],
    source: Annotated[
        list[str], typer.Option(help="Where the log is served: the hub's page.", metavar="URL")
    ],
    *,
    url: Annotated[
        str, typer.Option(help="Where the hub will ask this replica.", metavar="URL")
    ] = "http://127.0.0.1:8092",
    listen: Annotated[
        str, typer.Option(help="Where to answer.", metavar="HOST:PORT")
    ] = "127.0.0.1:8092",
    member: Annotated[
        str, typer.Option(help="Whose it is: then it proposes blocks, too.", metavar="NAME")
    ] = "",
    mirror_only: Annotated[
        bool, typer.Option("--mirror-only", help="Hold the log, execute nothing again.")
    ] = False,
) -> None:
    """Make a new replica in a folder: keys, replica.toml, and what the hub needs to know.

    Give enrol-replica.json to whoever runs the hub, for `gridtally-hub replica-enrol`. The folder's
    witness.db is what makes it a cosigner: if that is ever lost, the key must be retired.

      gridtally-hub replica-init --dir r1 --name example.org/alice/r1 --member alice
      --trust trust.toml --source https://hub.example --url http://alice.example:8092
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.replica import home
        from hub.replica.config import ReplicaConfig, format_config
        from hub.starting import read_trust

        network_id = read_trust(trust).network_id
        meaning = home.MIRRORS if mirror_only else home.EXECUTES
        home.found(directory, member, name, meaning)
        home.write_durably(directory / "trust.toml", trust.read_text(encoding="utf-8"))
        config = ReplicaConfig(sources=tuple(source), listen=listen, member=member)
        home.write_durably(directory / "replica.toml", format_config(config))
        opened = home.open_home(directory)
        try:
            enrolment = home.enrolment_of(opened, member, url, network_id)
        finally:
            opened.memory.close()
        home.write_durably(directory / ENROLMENT_FILE, home.format_enrolment(enrolment))
        print(directory / ENROLMENT_FILE)
        print(
            f"A new replica is in {directory}: keep witness.db as you keep the keys, on one "
            "machine, and never put an old copy back. The file above is for the hub.",
            file=sys.stderr,
        )


def enrol(
    file: Annotated[
        Path, typer.Argument(help="What `gridtally-hub replica-init` wrote.", metavar="FILE")
    ],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
    ] = Path("hub.toml"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: I have compared.")] = False,
) -> None:
    """Put a replica's keys onto the ledger, and its cosignature into the quorum.

    Signed by the administrator's key. More than two thirds of all replicas must agree from then on,
    and whoever else had to. A replica reads what sealed readings hold.

      gridtally-hub replica-enrol enrol-replica.json
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.config import load_config
        from hub.replica.enrolling import enrol as enrol_replica
        from hub.replica.home import parse_enrolment

        try:
            enrolment = parse_enrolment(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{file}: {error}", os.EX_NOINPUT)
        print(f"{enrolment.member or 'no member'}: {enrolment.vkey}", file=sys.stderr)
        if not yes and not typer.confirm("Does the replica show this key?", err=True):
            raise typer.Exit(1)
        for line in enrol_replica(load_config(config), enrolment):
            print(line)


def replica(config: Config = HERE) -> None:
    """Hold the whole log, do all its sums again, and cosign what came out right.

    What it cosigned is on its disk before it answers; killed at any moment, it goes on from there.
    What it finds wrong is in its log, its status and on its address, and is never cosigned.

      gridtally-hub replica --config r1/replica.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.replica.app import run_replica
        from hub.replica.config import load_config

        run_replica(load_config(config), config.resolve().parent)


def status(
    config: Config = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how far a replica is, and what it found.

    From what it wrote last; ends with 65 if it found the log wrong.

      gridtally-hub replica-status --config r1/replica.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.replica import report

        found = report.read(config.resolve().parent)
        print(json.dumps(found) if as_json else "\n".join(report.lines(found)))
        if found["finding"]:
            raise typer.Exit(os.EX_DATAERR)
