"""The commands that copy a ledger, put it back, or write it out for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.terminal import fail, loaded, log_to_stderr, progress, told

File = Annotated[Path, typer.Argument(help="The copy.", metavar="FILE")]
Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]


def add_commands(app: typer.Typer) -> None:
    """Add `backup`, `restore` and `export`."""
    app.command("backup", short_help="Copy the ledger while the hub runs.")(backup)
    app.command("restore", short_help="Put a copy of the ledger back, or check one.")(restore)
    app.command("export", short_help="Write the ledger as tiles, or the books as tables.")(export)


def backup(file: File, config: Config = Path("hub.toml")) -> None:
    """Copy the ledger to a new file, and verify the copy: every hash, signature and checkpoint.

    Works while the hub runs. Never copy the database file itself. Keys, hub.toml and trust.toml are
    not in it: keep them elsewhere, once. Ends with 65 if the copy has a fault.

      gridtally-hub backup /mnt/usb/ledger-2026-11-21.db
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.starting import read_trust  # noqa: PLC0415
        from hub.upkeep.backup import back_up  # noqa: PLC0415

        settings = loaded(config)
        with progress("backing up") as tell:
            made = back_up(settings.database, read_trust(Path(settings.trust)), file, tell)
        print(f"{made.path}: {made.report.size} entries, verified, root {made.report.root.hex()}")


def restore(
    file: File,
    config: Config = Path("hub.toml"),
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the copy, and put nothing back.")
    ] = False,
) -> None:
    """Verify a copy and put it where the hub expects its ledger. Nothing is written over.

    Stop the hub and move the broken ledger away first; keep it as evidence. A copy is refused that
    is behind what this hub handed out. Ends with 65 if the copy has a fault or is behind.

      gridtally-hub restore --verify /mnt/usb/ledger-2026-11-21.db

      gridtally-hub restore /mnt/usb/ledger-2026-11-21.db
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.words import restored_lines  # noqa: PLC0415
        from hub.starting import read_trust  # noqa: PLC0415
        from hub.upkeep import backup as backups  # noqa: PLC0415
        from messages.log.policy import parse_policy  # noqa: PLC0415

        settings = loaded(config)
        trust = read_trust(Path(settings.trust))
        with progress("verifying") as tell:
            if verify:
                found = backups.check_copy(file, trust, tell)
            else:
                found = backups.restore(settings.database, trust, file, tell)
        print(f"{found.path}: {found.report.size} entries, verified")
        if not verify:
            print("\n".join(restored_lines(witnessed=parse_policy(trust.policy).witnessed)))


def export(
    config: Config = Path("hub.toml"),
    tiles: Annotated[
        Path | None, typer.Option(help="Static tlog-tiles: checkpoint and tree.", metavar="DIR")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Readings, slots, matches, bills as CSV.", metavar="DIR")
    ] = None,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="Tables: what sealed readings say, too.")
    ] = False,
) -> None:
    """Write what the newest checkpoint covers as static files, the books as tables, or both.

    Tiles are a complete copy that programs written by others can check; tables are for a sheet and
    prove nothing. Works while the hub runs.

      gridtally-hub export --tiles tiles

      gridtally-hub export --tiles tiles --csv tables
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands import inspecting  # noqa: PLC0415

        if tiles is None and csv is None:
            fail("say what to export: --tiles DIR, --csv DIR or both", os.EX_USAGE)
        if tiles is not None and csv is not None and tiles.resolve() == csv.resolve():
            fail("tiles and tables go into a folder each", os.EX_USAGE)
        settings = loaded(config)
        lines = []
        with progress("exporting") as tell:
            if tiles is not None:
                lines.append(inspecting.export_tiles(settings, tiles, tell))
            if csv is not None:
                lines.append(inspecting.export_csv(settings, csv, unsealed=unsealed))
        print("\n".join(lines))
