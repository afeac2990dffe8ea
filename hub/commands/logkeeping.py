"""The commands about the log's own key: end it, and let a new one go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.terminal import log_to_stderr, told
from hub.config import load_config

if TYPE_CHECKING:
    from hub.commands.retiring import Known
    from messages.logkeeping import Takeover

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]

logs = typer.Typer(
    no_args_is_help=True, help="The log's key: which one signs, and how another takes over."
)


def add_commands(app: typer.Typer) -> None:
    """Add the verbs to the hub's program."""
    app.add_typer(logs, name="log")


@logs.callback()
def _log() -> None:
    """Keep the command a group, however few verbs it has."""


@logs.command(short_help="End the log's key by a signed entry; a new one goes on.")
def retire(
    reason: Annotated[str, typer.Option(help="Why, for everybody to read.", metavar="TEXT")],
    config: Config = Path("hub.toml"),
    shown: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that somebody holds; may be repeated.", metavar="FILE"),
    ] = None,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored", help="The ledger is an old copy: give up what was signed after it."
        ),
    ] = False,
    new_key: Annotated[
        str | None,
        typer.Option(help="Where the new key is made; default: beside the old.", metavar="KEY"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End the log's key by an entry that the administrator signs, and let a new one go on.

    When the key is stolen or lost, or when the newest ledger is gone and only an older copy is
    left. Stop the hub first. Witnesses are asked what the old key signed. If that is more than is
    here, it is given up: the log goes on under another name, since under the old one it would
    contradict what is final, and every node says what it holds and sends it again. If nothing is
    missing, the name stays.

    It writes hub.toml and trust.toml: copy trust.toml to every node and witness; they check in it
    that an administrator ended the old key. What ended is kept in retired/. One that was cut short
    is finished by the same command.

      gridtally-hub log retire --reason "the disk died; this is the copy of Monday"

      gridtally-hub log retire --reason "the key was copied" --new-key keys/log-2.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands import retiring  # noqa: PLC0415 - opens the ledger's whole machinery

        settings = load_config(config)
        notes = [path.read_text(encoding="utf-8") for path in shown or ()]
        work = retiring.Retiring(settings)
        try:
            if not work.is_unfinished:
                known = work.look(notes)
                place, signer = retiring.new_key(settings, known.size, new_key)
                entry = work.draft(known, signer, reason, renamed=restored)
                print("\n".join(_plan_lines(known, entry)), file=sys.stderr)
                if not yes and not typer.confirm("End the old key for good?", err=True):
                    raise typer.Exit(1)
                work.append(replace(entry, at_ms=_now_ms()))
            else:
                place, signer = retiring.new_key(settings, work.last_index, new_key)
            folder = work.finish(config, place, signer)
        finally:
            work.close()
        print(f"the log goes on as {work.log_key.name}; what ended is in {folder}")
        print(
            f"{settings.trust}: copy it to every node, and let each witness follow: "
            "gridtally-hub witness --dir DIR --follow trust.toml. Then start the hub.",
            file=sys.stderr,
        )


def _plan_lines(known: Known, entry: Takeover) -> Iterator[str]:
    """Yield what is known and what will be."""
    for seen in known.seen:
        yield f"{seen.source}: the old key signed {seen.head.size} entries"
    for line in known.silent:
        yield f"not known: {line}"
    yield f"here are {entry.size} entries"
    if entry.keeps_name:
        yield f"nothing is missing: the log keeps its name, with the key {entry.new}"
        return
    lost = f"{entry.given_up} entries are given up" if entry.given_up else "as --restored says"
    yield f"{lost}: the log goes on as {entry.new}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
