"""`gridtally-hub feed` and `key feeder`: facts from outside, and who may tell them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, instant, log_to_stderr, told

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer, keys: typer.Typer) -> None:
    """Add the commands of this file to the hub's program, and to its group of keys."""
    app.command(short_help="Tell facts from outside, as a feeder.")(feed)
    keys.command("feeder", short_help="Let a key tell facts from outside.")(feeder)


def feed(
    *,
    fact: Annotated[str, typer.Argument(help="Which, such as price or co2.", metavar="FACT")] = "",
    value: Annotated[
        int | None, typer.Argument(help="A whole number, in the fact's unit.", metavar="VALUE")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", help="The feeder's key, which signs.", metavar="KEY")
    ],
    at: Annotated[
        str | None, typer.Option(help="From when on, with its zone; default: now.", metavar="TIME")
    ] = None,
    valid_s: Annotated[int, typer.Option(help="For how long it is good. [s]", min=1)] = 3_600,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="A file with fact,at,value,valid_s instead.", metavar="FILE"),
    ] = None,
    config: Config = HERE,
) -> None:
    """Sign one fact, or those of a file, and get them onto the ledger. Silent when all are taken.

    What each slot uses is in docs/feeds.md; `gridtally-hub status` shows it.

      gridtally-hub feed price 231000 --valid-s 7200 --key meteo.pem

      gridtally-hub feed --csv tomorrow.csv --key meteo.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.config import load_config
        from hub.feeds.telling import Fact, read_facts, tell
        from keys.stores import open_signer
        from messages.timetext import format_time

        if table is not None and not fact:
            facts = read_facts(table)
        elif table is None and fact and value is not None:
            at_ms = time.time_ns() // 1_000_000 if at is None else instant(at)
            facts = [Fact(fact, at_ms, value, at_ms + 1_000 * valid_s)]
        else:
            fail("want a fact and its value, or --csv FILE", os.EX_USAGE)
        reasons = tell(load_config(config), open_signer(key), facts)
        for each, reason in zip(facts, reasons, strict=True):
            if reason:
                print(f"{each.fact} at {format_time(each.at_ms)}: {reason}")
        if any(reasons):
            raise typer.Exit(os.EX_DATAERR)


def feeder(
    *,
    name: Annotated[str, typer.Argument(help="The feeder's name.", metavar="NAME")],
    key: Annotated[
        str, typer.Option("--key", help="Its key; made where there is none.", metavar="KEY")
    ],
    fact: Annotated[
        list[str],
        typer.Option(help="What it may tell, and the unit; repeatable.", metavar="FACT=UNIT"),
    ],
    config: Config = HERE,
) -> None:
    """Enrol a feeder by an entry that the administrator's key signs.

    The facts price and feed_in make the tariff where the policy says so, in utok_per_kwh.

      gridtally-hub key feeder meteo --fact price=utok_per_kwh --fact co2=g_per_kwh --key meteo.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.enrolling import hand_over, sign_as_administrator
        from hub.config import load_config
        from keys.stores import open_or_generate
        from messages.entries import KeyEntry
        from messages.feeding import facts_fault

        facts = dict(text.partition("=")[::2] for text in fact)
        fault = facts_fault(facts)
        if fault:
            fail(fault, os.EX_USAGE)
        signer, _ = open_or_generate(key, None)
        entry = KeyEntry("enrol", "feeder", name, signer.public.cose_key, facts=facts)
        settings = load_config(config)
        (reason,) = hand_over(settings, sign_as_administrator(settings, [entry]))
        print(f"feeder {name}: {reason or 'enrolled'}")
        if reason:
            raise typer.Exit(os.EX_DATAERR)
