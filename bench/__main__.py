"""Run the measurements one after another: `python -m bench [NAME ...] [--json]`.

A missed target is a figure like any other and ends with 0; only a measurement that cannot be taken
is an error. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from bench.figure import Figure
from testbed.broker import find_program
from testbed.supervisor import stop_on_signals


def intake(asked: argparse.Namespace) -> Iterator[Figure]:
    """Bytes in, verified, durable, receipt out: readings a second."""
    from bench import intake as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def edge_agent(asked: argparse.Namespace) -> Iterator[Figure]:
    """Memory and CPU of an agent with ten meters."""
    from bench import edge_agent as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def register_to_relay(asked: argparse.Namespace) -> Iterator[Figure]:
    """From a meter's register to a relay's pin."""
    from bench import register_to_relay as measured  # noqa: PLC0415

    for broker in _brokers():
        yield from measured.run(quick=asked.quick, broker=broker)


def cycle(asked: argparse.Namespace) -> Iterator[Figure]:
    """One look at a microgrid, from samples to orders, by its size."""
    from bench import cycle as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def restart(asked: argparse.Namespace) -> Iterator[Figure]:
    """A hub with a long ledger, from its start until it serves."""
    from bench import restart as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def audit(asked: argparse.Namespace) -> Iterator[Figure]:
    """A ledger audited from genesis, against bare verification on as many processors."""
    from bench import audit as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def joining(asked: argparse.Namespace) -> Iterator[Figure]:
    """A new node and a ledger of a million entries: behind a snapshot, slowed, from genesis."""
    from bench import joining as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def million(asked: argparse.Namespace) -> Iterator[Figure]:
    """A ledger of a million entries: audit, verify, proof, tiles, copy, start; time and memory."""
    from bench import million as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def rs485(asked: argparse.Namespace) -> Iterator[Figure]:
    """Polls of a full RS-485 bus, against what its wire allows."""
    from bench import rs485 as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def proofs(asked: argparse.Namespace) -> Iterator[Figure]:
    """Proofs among ten million leaves, made and checked; state roots."""
    from bench import proofs as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def storage(asked: argparse.Namespace) -> Iterator[Figure]:
    """Readings made durable a second, and what a meter's year weighs on the ledger."""
    from bench import storage as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def witness(asked: argparse.Namespace) -> Iterator[Figure]:
    """Heads a second that a witness cosigns, each stored before it is answered."""
    from bench import witness as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def calls(asked: argparse.Namespace) -> Iterator[Figure]:
    """A thousand members call at once, until each has been answered."""
    from bench import calls as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def trades(asked: argparse.Namespace) -> Iterator[Figure]:
    """Trades a second, signed, booked and synced: a slot of homes at once, and one by one."""
    from bench import trades as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def market(asked: argparse.Namespace) -> Iterator[Figure]:
    """Order books cleared, against numpy's sort and plain Python; partners; paper 004's market."""
    from bench import market as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def growth(asked: argparse.Namespace) -> Iterator[Figure]:
    """The same auction from 100 to a million orders a side; `python -m bench.growth` draws it."""
    from bench import growth as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def day_ahead(asked: argparse.Namespace) -> Iterator[Figure]:
    """A day of 96 slots planned by ADMM for 3, 30 and 300 homes, against HiGHS over all at once."""
    from bench import day_ahead as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick)


def compare(asked: argparse.Namespace) -> Iterator[Figure]:
    """All market contracts over measured homes; needs --homes FILE."""
    from bench import compare as measured  # noqa: PLC0415

    if asked.homes is None:
        print("compare: left out, it needs --homes FILE", file=sys.stderr)
        return iter(())
    return measured.run(homes=asked.homes)


def paper003(asked: argparse.Namespace) -> Iterator[Figure]:
    """Table 2 of paper 003: an auction against a schedule; --homes FILE for measured ones."""
    from bench import paper003 as measured  # noqa: PLC0415

    return measured.run(quick=asked.quick, homes=asked.homes)


def homes(asked: argparse.Namespace) -> Iterator[Figure]:
    """A month of measured homes at full speed; needs --homes FILE."""
    from bench import homes as measured  # noqa: PLC0415

    if asked.homes is None:
        print("homes: left out, it needs --homes FILE", file=sys.stderr)
        return
    for broker in _brokers():
        yield from measured.run(homes=asked.homes, broker=broker)


BENCHMARKS: dict[str, Callable[[argparse.Namespace], Iterator[Figure]]] = {
    "intake": intake,
    "edge_agent": edge_agent,
    "register_to_relay": register_to_relay,
    "cycle": cycle,
    "restart": restart,
    "audit": audit,
    "joining": joining,
    "million": million,
    "rs485": rs485,
    "proofs": proofs,
    "storage": storage,
    "witness": witness,
    "calls": calls,
    "trades": trades,
    "market": market,
    "growth": growth,
    "day_ahead": day_ahead,
    "compare": compare,
    "paper003": paper003,
    "homes": homes,
}


def _brokers() -> Iterator[str]:
    yield "embedded"
    if find_program("mosquitto") and find_program("mosquitto_passwd"):
        yield "mosquitto"
    else:
        print("mosquitto is not installed: with the embedded broker only", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run what was named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON list on standard output")
    parser.add_argument("--quick", action="store_true", help="shorter, for a first look")
    parser.add_argument(
        "--homes",
        type=Path,
        metavar="FILE",
        help="measured homes for `homes`, `compare`, `paper003`",
    )
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.name if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    stop_on_signals()
    figures = []
    names = asked.name or list(BENCHMARKS)
    for place, name in enumerate(names, 1):
        print(f"[{place}/{len(names)}] {name}: {BENCHMARKS[name].__doc__}", file=sys.stderr)
        for figure in BENCHMARKS[name](asked):
            figures.append(figure)
            if not asked.json:
                print(figure.line, flush=True)
    if asked.json:
        print(json.dumps([asdict(figure) for figure in figures]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
