"""The command line of the hub. Standard output holds what was asked for, and nothing else."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.banking.cli import add_commands as add_bank_commands
from hub.casework.cli import add_commands as add_case_commands
from hub.commands.copies import add_commands as add_backup_commands
from hub.commands.keyinfo import add_commands as add_key_commands
from hub.commands.logkeeping import add_commands as add_log_commands
from hub.commands.terminal import fail, instant, loaded, log_to_stderr, progress, told
from hub.cosigning.cli import add_commands as add_cosigning_commands
from hub.disputes.cli import add_commands as add_dispute_commands
from hub.feeds.cli import add_commands as add_feed_commands
from hub.joining import cli as joining
from hub.ordering.cli import add_commands as add_order_commands
from hub.replica.cli import add_commands as add_replica_commands
from hub.statements.cli import add_commands as add_statement_commands
from hub.switching.cli import add_commands as add_switching_commands
from hub.vault.cli import add_commands as add_record_commands
from hub.watching.cli import add_commands as add_watching_commands
from hub.witness.cli import add_commands as add_witness_commands
from messages.slots import is_edge, next_slot

app = typer.Typer(
    name="gridtally-hub",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keeps a microgrid's books: takes signed readings, appends them to a ledger, settles "
    "slots, and opens relays by lease.\n\n"
    "A new microgrid, from nothing to the first settled slot:\n\n"
    "  gridtally-hub init --microgrid bench --dir .     keys, ledger, hub.toml, trust.toml\n\n"
    "  gridtally-hub enrol enrol-dep1.json              what a node's keygen wrote\n\n"
    "  gridtally-hub run                                in one terminal\n\n"
    "  gridtally-hub web                                the page, in another\n\n"
    "Is it all true? These need no database access but reading, and believe nothing:\n\n"
    "  gridtally-hub verify                             every signature, hash and checkpoint\n\n"
    "  gridtally-hub audit                              every bill, recomputed",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: I have compared.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log details, too.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where one stood that was ended before its time.")
]
HERE: Final = Path("hub.toml")


def _readings(value: str) -> str:
    if value not in ("open", "sealed"):
        raise typer.BadParameter("readings are open or sealed")
    return value


def _print_example(wanted: bool) -> None:
    if wanted:
        from hub.policyfile import EXAMPLE

        print(EXAMPLE, end="")
        raise typer.Exit


# --- beginning -----------------------------------------------------------------------------------


@app.command(short_help="Found a microgrid: keys, ledger, configuration.")
def init(
    *,
    microgrid: Annotated[str, typer.Option(help="Its name: a-z, 0-9 and -.", metavar="NAME")],
    directory: Annotated[
        Path, typer.Option("--dir", help="Where everything goes.", metavar="DIR")
    ] = Path(),
    slot_ms: Annotated[int, typer.Option(help="Length of a slot: fixed for good.")] = 900_000,
    close_after_ms: Annotated[
        int, typer.Option(help="How long a slot waits for missing registers after its end.")
    ] = 30_000,
    readings: Annotated[
        str,
        typer.Option(
            help="open: readings stand in the ledger as they are. sealed: commitments do, and who "
            "reads the ledger does not see who is at home.",
            callback=_readings,
        ),
    ] = "open",
    policy: Annotated[
        Path | None,
        typer.Option(
            help="The first policy; without it a balancing market on an island.", metavar="FILE"
        ),
    ] = None,
    witnesses: Annotated[
        Path | None,
        typer.Option(
            help="Who must cosign, in lines as `gridtally-hub quorum --example` prints them; "
            "without it the ledger begins unwitnessed.",
            metavar="FILE",
        ),
    ] = None,
    domain: Annotated[
        str, typer.Option(help="Before the microgrid in the ledger's name.")
    ] = "gridtally.local",
    log_key: Annotated[
        str, typer.Option(help="Where the log's key is made, or lies.", metavar="KEY")
    ] = "keys/log.pem",
    hub_key: Annotated[
        str, typer.Option(help="The same of the hub's key.", metavar="KEY")
    ] = "keys/hub.pem",
    administrator_key: Annotated[
        str, typer.Option(help="The same of the administrator's key.", metavar="KEY")
    ] = "keys/administrator.pem",
    simulation: Annotated[
        bool, typer.Option("--simulation", help="For the testbed: marked in the ledger's name.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the keys of log, hub and administrator, the ledger, hub.toml and trust.toml.

    The ledger begins with the genesis entry and the first policy, both signed by the administrator.
    Nothing is ever overwritten. Copy trust.toml to every node: it says whom to believe. Keys are
    files, or lie on a token or in a TPM: see docs/keys.md. The log's is Ed25519, so no TPM has it.

      gridtally-hub init --microgrid bench --dir . --slot-ms 60000

      gridtally-hub init --microgrid north --dir north --policy policy.toml --witnesses w.policy

      gridtally-hub init --microgrid west --dir west --hub-key tpm:0x81000101
    """
    log_to_stderr(verbose=False)
    with told():
        from hub import policyfile
        from hub.balancing.catalog import installed as policies
        from hub.commands import enrolling
        from hub.commands.founding import KeyPlaces, Plan
        from hub.market.catalog import installed as contracts

        text, name = policyfile.EXAMPLE, "the example"
        if policy is not None:
            text, name = _read(policy), str(policy)
        entry = policyfile.read_policy(text, name, 0, contracts(), policies())
        plan = Plan(
            microgrid=microgrid,
            slot_ms=slot_ms,
            close_after_ms=close_after_ms,
            readings=readings,
            simulation=simulation,
            policy=entry,
            domain=domain,
            keys=KeyPlaces(log_key, hub_key, administrator_key),
            quorum="" if witnesses is None else _read(witnesses),
        )
        founded = enrolling.found_installation(directory, plan, time.time_ns() // 1_000_000)
        found = {
            "network_id": founded.trust.network_id.hex(),
            "origin": founded.trust.origin,
            "log_vkey": founded.trust.log_vkey,
            "hub_key": founded.trust.hub_key.fingerprint,
            "administrator_key": founded.administrator.fingerprint,
            "config": str(directory / "hub.toml"),
        }
        print(json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items()))


@app.command(short_help="Enrol a node with its meters and relays.")
def enrol(
    file: Annotated[
        Path, typer.Argument(help="What `gridtally-edge keygen` wrote.", metavar="FILE")
    ],
    config: Config = HERE,
    yes: Yes = False,
) -> None:
    """Show a node's keys, ask, sign an entry for each, and put them on the ledger.

    Compare the fingerprints with those that keygen printed on the node: that is the moment in which
    nobody can slip in another key. Works while the hub runs, and when it does not.

      gridtally-hub enrol enrol-dep1.json

      gridtally-hub enrol enrol-dep1.json --yes --config /etc/gridtally/hub.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.enrolling import hand_over, sign_as_administrator
        from hub.commands.words import enrolment_lines
        from hub.joining.enrolment import read_enrolment

        settings = loaded(config)
        enrolment = read_enrolment(_read(file), settings.microgrid)
        for line in enrolment_lines(enrolment):
            print(line, file=sys.stderr)
        if not yes and not typer.confirm("Does the node show these fingerprints?", err=True):
            raise typer.Exit(1)
        entries = enrolment.entries
        reasons = hand_over(settings, sign_as_administrator(settings, entries))
        for entry, reason in zip(entries, reasons, strict=True):
            print(f"{entry.holder} {entry.name}: {reason or 'enrolled'}")
        if any(reasons):
            raise typer.Exit(os.EX_DATAERR)


@app.command(short_help="Sign a policy: contract, prices, dispatch.")
def policy(
    file: Annotated[Path, typer.Argument(help="A policy file.", metavar="FILE")],
    config: Config = HERE,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="First slot it binds, as 2026-11-21T12:00Z; default: the next one."
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="Print a file to begin with.", is_eager=True, callback=_print_example
        ),
    ] = False,
) -> None:
    """Put a policy into force: market contract and parameters, prices by time of day, dispatch.

    It binds from a slot on; what is settled stays settled. Contract and dispatch policy check their
    parameters before anything is signed.

      gridtally-hub policy --example > policy.toml

      gridtally-hub policy policy.toml --from 2026-11-21T12:00Z
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.balancing.catalog import installed as policies
        from hub.commands.enrolling import hand_over, sign_as_administrator
        from hub.core.pricing import policy_at, regulation_of
        from hub.market.catalog import installed as contracts
        from hub.policyfile import load_policy
        from hub.vault.desk import read_state

        settings = loaded(config)
        from_ms = _slot_of(start, settings.slots.slot_ms)
        before = regulation_of(policy_at(read_state(settings), from_ms))
        entry = load_policy(file, from_ms, contracts(), policies(), before)
        (reason,) = hand_over(settings, sign_as_administrator(settings, [entry]))
        if reason:
            fail(reason)
        when = datetime.fromtimestamp(from_ms / 1000, UTC).isoformat()
        print(f"in force from {when}: {entry.contract}, dispatch {entry.dispatch}")


# --- running -------------------------------------------------------------------------------------


@app.command(short_help="Be the hub: take readings in, settle, switch.")
def run(config: Config = HERE, verbose: Verbose = False) -> None:
    """Take signed readings in, append them, settle slots, send receipts and relay leases.

    One hub writes a ledger. It starts with the broker absent and goes on by itself when it is
    there. SIGTERM or Ctrl-C: it commits, signs a last checkpoint, and ends with 0.

      gridtally-hub run --config /etc/gridtally/hub.toml
    """
    log_to_stderr(verbose=verbose)
    with told():
        from hub.app import run as run_hub

        run_hub(loaded(config))


@app.command(short_help="Serve the page, REST and metrics.")
def web(config: Config = HERE, verbose: Verbose = False) -> None:
    """Serve the page, /api/v1, /metrics and /healthz from the ledger, which it only reads.

    A process of its own, beside `run`; for this machine only.

      gridtally-hub web --config hub.toml
    """
    log_to_stderr(verbose=verbose)
    with told():
        from hub.web.app import run_web

        run_web(loaded(config))


@app.command(short_help="Check configuration, keys, ledger and broker.")
def check_config(config: Config = HERE) -> None:
    """Read the configuration and everything that it names, and try the broker.

    All findings come at once. Ends with 0 if all is well, 78 if the configuration or a file that it
    names is wrong, 69 if the broker does not answer, 65 if the ledger is damaged.

      gridtally-hub check-config --config hub.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.checking import broker_fault, check_installation

        settings = loaded(config)
        for line in check_installation(settings):
            print(line)
        fault = broker_fault(settings.broker)
        print(f"broker {settings.broker.host}:{settings.broker.port}: {fault or 'answers'}")
        if fault:
            raise typer.Exit(os.EX_UNAVAILABLE)


@app.command(short_help="How the hub stands.")
def status(config: Config = HERE, as_json: Json = False) -> None:
    """Show ledger, alarms, broker, nodes and relays, from the hub's own file and the ledger's head.

    Works while the hub runs, and when it does not.

      gridtally-hub status --json
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands import inspecting, words

        found = inspecting.status(loaded(config))
        print(words.as_json(found) if as_json else "\n".join(words.status_lines(found)))


# --- believing nothing ---------------------------------------------------------------------------


@app.command(short_help="Check every hash, signature and checkpoint.")
def verify(config: Config = HERE, as_json: Json = False) -> None:
    """Check the whole ledger from its bytes and trust.toml; name the first wrong place.

    Ends with 0 if all is well, 65 if not. Works while the hub runs.

      gridtally-hub verify --config demo-state/hub.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.inspecting import verify_ledger
        from hub.commands.words import as_json as in_json
        from hub.commands.words import verify_lines

        with progress("verifying") as tell:
            report = verify_ledger(loaded(config), tell)
        print(in_json(asdict(report)) if as_json else "\n".join(verify_lines(report)))
        if report.findings:
            raise typer.Exit(os.EX_DATAERR)


@app.command(short_help="Recompute every bill from the signatures.")
def audit(config: Config = HERE, as_json: Json = False, resume: Resume = False) -> None:
    """Fold every entry again and compare: matches, bills, state roots, decisions, the books.

    Signatures are checked on all processors. Ends with 0 if every bill is right, 65 if not. Works
    while the hub runs. One that was killed goes on with --resume.

      gridtally-hub audit --config demo-state/hub.toml

      gridtally-hub audit --resume
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.inspecting import audit_ledger
        from hub.commands.words import as_json as in_json
        from hub.commands.words import audit_lines

        with progress("auditing") as tell:
            report = audit_ledger(loaded(config), tell, resume=resume)
        print(in_json(asdict(report)) if as_json else "\n".join(audit_lines(report)))
        if not report.is_right:
            raise typer.Exit(os.EX_DATAERR)


@app.command(short_help="Prove that an entry is on the ledger, or one sample.")
def prove(
    entry: Annotated[
        str | None,
        typer.Argument(
            help="Its index, or 16 or more first hex digits of its id.", metavar="ENTRY"
        ),
    ] = None,
    config: Config = HERE,
    sample: Annotated[
        tuple[str, str] | None,
        typer.Option(help="A meter and an instant: UTC time or ms.", metavar="METER AT"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the .tlog-proof of an entry under the newest checkpoint, for any C2SP verifier.

    With --sample: a file that proves what a meter measured at one instant, and shows no other pack.

      gridtally-hub prove 1042 > entry.tlog-proof

      gridtally-hub prove --sample dep1-pv 2026-11-21T12:00:07Z > noon.sample
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands import inspecting, words

        if (entry is None) == (sample is None):
            fail("say what to prove: an ENTRY, or --sample METER AT", os.EX_USAGE)
        settings = loaded(config)
        if sample is not None:
            proven, text = inspecting.prove_sample(settings, sample[0], instant(sample[1]))
            print(words.sample_line(proven), file=sys.stderr)
            print(text, end="")
            return
        found, proof = inspecting.prove(settings, str(entry))
        print(words.entry_line(found), file=sys.stderr)
        body = {"index": found.index, "entry_id": found.leaf_hash.hex(), "proof": proof}
        print(json.dumps(body) if as_json else proof, end="\n" if as_json else "")


# --- shared --------------------------------------------------------------------------------------


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}", os.EX_NOINPUT)


def _slot_of(start: str | None, slot_ms: int) -> int:
    """Return the start of the slot at a time, or of the next slot from now."""
    if start is None:
        return next_slot(time.time_ns() // 1_000_000, slot_ms)
    at_ms = instant(start)
    if not is_edge(at_ms, slot_ms):
        fail(f"--from {start}: slots of {slot_ms} ms do not begin then", os.EX_USAGE)
    return at_ms


joining.add_to(app)
add_key_commands(app)
add_backup_commands(app)
add_statement_commands(app)
add_cosigning_commands(app)
add_log_commands(app)
add_witness_commands(app)
add_replica_commands(app)
add_record_commands(app)
add_case_commands(app)
add_dispute_commands(app)
add_bank_commands(app)
add_feed_commands(app, joining.keys)
add_order_commands(app)
add_switching_commands(app)
add_watching_commands(app)

if __name__ == "__main__":
    app()
