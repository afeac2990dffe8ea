"""The command line of a node. Standard output holds what was asked for; all else goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from edge import keyinfo, limiting
from edge.calibration import cli as calibration
from edge.commissioning import cli as commissioning
from edge.config import EdgeConfig
from edge.doctor import cli as doctor
from edge.errors import ConfigError
from edge.joining import cli as joining
from edge.relaytest import cli as relaytest
from edge.service import command, loaded, log_to_stderr, told
from messages.correction import gain_text
from messages.membership import ROTATION

app = typer.Typer(
    name="gridtally-edge",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measures, signs and forwards on one node, and holds its relays.\n\n"
    "A new node, from the configuration to the first reading:\n\n"
    "  gridtally-edge check-config          is everything wired as it is written?\n\n"
    "  gridtally-edge keygen                make its keys; then enrol them on the hub\n\n"
    "  gridtally-edge guard                 in one terminal, if it has relays\n\n"
    "  gridtally-edge run                   in another",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
HERE: Final = Path("edge.toml")
_STATES: Final = {True: "energised", False: "released", None: "unreadable"}


@app.command(short_help="Be the agent: sample, sign, store, forward.")
def run(
    config: Config = HERE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details, too.")] = False,
) -> None:
    """Sample the meters, sign what they say, keep it on disk, and forward it to the hub.

    It starts with every device, the broker and the hub absent, says once what is missing, and goes
    on by itself when it is there. End it with Ctrl-C or SIGTERM.

      gridtally-edge run --config /etc/gridtally/edge.toml
    """
    _become(command("run", config, verbose=verbose))


@app.command(short_help="Hold the relays of this node.")
def guard(
    config: Config = HERE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details, too.")] = False,
) -> None:
    """Own the GPIO lines of the relays, and move them on the hub's signed leases only.

    Relays are released (safe) when it starts, when it ends, when a lease is over, and when the
    agent is gone or silent for two seconds.

      gridtally-edge guard --config /etc/gridtally/edge.toml
    """
    _become(command("guard", config, verbose=verbose))


@app.command(short_help="Check the configuration and every device in it.")
def check_config(
    config: Config = HERE,
    probe: Annotated[bool, typer.Option(help="Read every meter, and try the broker.")] = True,
) -> None:
    """Read the configuration, its keys and its trust, and then every meter once.

    All findings come at once, each with file and line. Ends with 0 if all is well, 78 if the
    configuration is wrong, 69 if a device, a token with keys or the broker does not answer.

      gridtally-edge check-config --config edge.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from edge import report
        from edge.app import load_keys, load_trust
        from edge.config import boot_warnings, safety_warnings

        settings = loaded(config)
        wrong = [*_wrong(load_keys, settings), *_wrong(load_trust, settings)]
        print(f"{config}: {len(settings.meter)} meters, {len(settings.relay)} relays")
        for warning in (*boot_warnings(settings), *safety_warnings(settings)):
            print(f"note: {warning}")
        answers = report.read_all(settings) if probe else []
        for answer in answers:
            print(f"{answer.table.meter_id}: {_in_words(answer)}")
        boards = report.look_at_relays(settings) if probe else []
        for board in boards:
            print(f"{board.table.relay}: {board.fault or f'is {_STATES[board.is_energised]}'}")
        faults = [answer.fault for answer in answers if answer.sample is None]
        faults += [board.fault for board in boards if board.is_energised is None]
        broker = report.broker_fault(settings) if probe else ""
        print(f"broker: {broker or 'answers'}" if probe else "nothing was probed")
        if wrong:
            kinds = {type(error) for error in wrong}
            kind = kinds.pop() if len(kinds) == 1 else ConfigError
            raise kind(tuple(finding for error in wrong for finding in error.findings))
        if faults or broker:
            raise typer.Exit(os.EX_UNAVAILABLE)


@app.command(short_help="Make the keys of this node.")
def keygen(
    config: Config = HERE,
    alg: Annotated[
        Literal["eddsa", "es256"] | None,
        typer.Option(help="Kind of the keys that are made: Ed25519 or P-256."),
    ] = None,
    p256: Annotated[
        list[str] | None,
        typer.Option("--p256", help="Make this meter's key a P-256 one; may be repeated."),
    ] = None,
) -> None:
    """Make the key of the node and of each meter, and write enrol-NODE.json.

    Each is made where the configuration says: in a file, on a token, in a TPM. Keys that are there
    stay. Private keys never leave their place: take enrol-NODE.json to the hub, compare the
    fingerprints shown here with those shown there, and enrol:

      gridtally-edge keygen --config edge.toml

      gridtally-hub enrol enrol-dep1.json

    Keys are Ed25519; a TPM has P-256 ones only. OCMF records need P-256: name those meters.

      gridtally-edge keygen --p256 dep1-pv
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.keygen import make_keys, write_enrolment
        from keys.stores import ALGORITHMS

        settings = loaded(config)
        made = make_keys(settings, p256 or (), None if alg is None else ALGORITHMS[alg])
        for each in made:
            name = f"meter {each.name}" if each.name else f"node {settings.node}"
            kept = "" if each.is_new else "  (was there)"
            print(f"{each.signer.public.fingerprint}  {name}{kept}")
        print(write_enrolment(settings, made, config.resolve().parent))


@app.command(short_help="Sign a meter's totals as an OCMF record.")
def ocmf(
    name: Annotated[str, typer.Argument(help="The meter_id of a meter.", metavar="METER")],
    config: Config = HERE,
    xml: Annotated[
        bool, typer.Option("--xml", help="As a file of the S.A.F.E. transparency software.")
    ] = False,
) -> None:
    """Sign a meter's totals, as they stand on disk now, as a fiscal OCMF record.

    The meter's own key signs, and it has to be a P-256 key. Records of a meter are numbered without
    a gap and kept in the state folder, below ocmf/. Works while the agent runs, and when it does
    not. The record is OCMF-compatible; it is no legal metrology.

      gridtally-edge ocmf dep1-pv > record.ocmf

      gridtally-edge ocmf dep1-pv --xml > record.xml
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.clock import is_synchronised
        from edge.fiscal import make_record
        from messages.ocmf import SYNCHRONISED, UNKNOWN

        settings = loaded(config)
        is_known = settings.simulation is None and (
            settings.sampling.trust_clock or is_synchronised()
        )
        clock = SYNCHRONISED if is_known else UNKNOWN
        print(make_record(settings, name, clock, as_xml=xml), end="")


@app.command(short_help="Read one meter now.")
def meter(
    name: Annotated[str, typer.Argument(help="The meter_id of a meter.", metavar="NAME")],
    config: Config = HERE,
    as_json: Json = False,
) -> None:
    """Read one meter now, past agent, broker and hub, and show what it says.

    Of a calibrated meter also what the agent makes of it.

    gridtally-edge meter dep1-pv

    gridtally-edge meter dep1-pv --json
    """
    log_to_stderr(verbose=False)
    with told():
        from dataclasses import asdict

        from edge import report

        answer = report.read_meter(loaded(config), name)
        if answer.sample is None:
            print(answer.fault, file=sys.stderr)
            raise typer.Exit(os.EX_UNAVAILABLE)
        if as_json:
            corrected = {} if answer.corrected is None else {"corrected": asdict(answer.corrected)}
            print(json.dumps({"meter_id": name, **asdict(answer.sample), **corrected}))
            return
        print("\n".join(_meter_lines(answer)))


@app.command(short_help="How outbox, receipts and relays stand.")
def status(config: Config = HERE, as_json: Json = False) -> None:
    """Show what waits for the hub, what it has, what it refused, and how the relays stand.

    Works while the agent runs, and while it does not.

      gridtally-edge status

      gridtally-edge status --json
    """
    log_to_stderr(verbose=False)
    with told():
        from edge import report

        found = report.status(loaded(config))
        print(json.dumps(found) if as_json else "\n".join(_status_lines(found)))


@app.command(short_help="End the alarm about the hub's ledger.")
def accept_hub(config: Config = HERE) -> None:
    """Forget the newest checkpoint, so that the hub's next one is believed, whatever it is.

    Only after an alarm, and only when you know why the hub's ledger is not what it was: what the
    hub lost and this node has deleted is gone for good. Stop the agent first.

      gridtally-edge accept-hub --config edge.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.outbox import Outbox

        settings = loaded(config)
        outbox = Outbox(Path(settings.state), settings.outbox.rows_max)
        try:
            print(f"was: {outbox.alarm or 'no alarm'}")
            if outbox.evidence_file:
                print(f"its evidence stays in {outbox.evidence_file}")
            outbox.forget_checkpoint()
        finally:
            outbox.close()


def _meter_lines(answer: Any) -> Iterator[str]:
    from edge import report

    for quantity, field, unit, factor in report.QUANTITIES:
        value, agents = getattr(answer.sample, field), getattr(answer.corrected, field, None)
        if value is not None:
            corrected = "" if agents is None else f"   corrected: {agents / factor:.3f} {unit}"
            yield f"{quantity:<10} {value / factor:>14.3f} {unit}{corrected}"
    if answer.sample.quality:
        yield f"{'quality':<10} {answer.sample.quality}"


def _status_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"node {found['node']}: {found['outbox_rows']} of {found['outbox_rows_max']} rows wait"
    if found["alarm"]:
        yield f"ALARM: {found['alarm']}"
    for each in found["keys_away"]:
        yield f"KEY AWAY: {each}; what it signs waits in the agent's memory, all else goes on"
    if found["evidence_file"]:
        yield f"evidence: {found['evidence_file']} (gridtally-verify evidence reads it)"
    yield "newest checkpoint: " + (" ".join(found["checkpoint"].split("\n")[:3]) or "none yet")
    if found["streams"]:
        yield f"{'key':<18}{'stream':<11}{'signed':>10}{'stored':>10}{'final':>10}"
    for each in found["streams"]:
        if each["stream"] == ROTATION:
            has = "has" if each["final"] else "does not have"
            yield f"key {each['key']} has a successor; the hub {has} its last word"
            continue
        numbers = "".join(f"{each[name]:>10}" for name in ("signed", "stored", "final"))
        yield f"{each['key']:<18}{each['stream']:<11}{numbers}"
    for each in found["dead_letters"]:
        yield f"dead letter: {each['key']} {each['stream']} {each['sequence']}: {each['reason']}"
    for each in found["calibrations"]:
        since = datetime.fromtimestamp(each["at_ms"] // 1000, UTC)
        gain = gain_text(each["power"]["gain_ppm"])
        yield f"meter {each['meter_id']}: calibrated since {since:%Y-%m-%d %H:%M} UTC, power {gain}"
    yield from _relay_lines(found)


def _relay_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"guard: {found['guard']}"
    for program, short in found["short_starts"].items():
        yield f"{program}: {short} starts in a row without a minute of life, this one included"
    for each in found["relays"]:
        lease = f", lease {each['lease_left_ms']} ms" if each["lease_left_ms"] else ""
        unsafe = ", not fail-safe" if each["not_failsafe"] else ""
        state = _STATES[each["energised"]]
        yield f"relay {each['relay']}: {state}{lease}{unsafe} ({each['reason']})"
        if each["unavailable"]:
            yield f"  no lease moves it: {each['unavailable']}"


def _in_words(answer: Any) -> str:
    from edge import report

    if answer.sample is None:
        return str(answer.fault)
    values = [
        f"{getattr(answer.sample, field) / factor:.3f} {unit}"
        for _, field, unit, factor in report.QUANTITIES
        if getattr(answer.sample, field) is not None
    ]
    return f"answers: {', '.join(values)}"


def _wrong(load: Any, config: EdgeConfig) -> tuple[ConfigError, ...]:
    try:
        load(config)
    except ConfigError as error:
        return (error,)
    return ()


def _become(program: list[str]) -> None:
    """Let this process be another program, with the same id and the same standard files."""
    os.execv(program[0], program)  # noqa: S606 - our own interpreter and module


keyinfo.add_to(app)
commissioning.add_to(app)
doctor.add_to(app)
limiting.add_to(app)
joining.add_to(app)
calibration.add_to(app)
relaytest.add_to(app)

if __name__ == "__main__":
    app()
