"""The demo from an empty folder to a summary that can be believed: prepare, play, drain, verify."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hub.commands.inspecting import audit_ledger
from hub.config import load_config
from hub.ledger.store import Store
from hub.policyfile import ParameterTable
from testbed.accounts import Accounts, compare
from testbed.clock import Pace
from testbed.errors import LedgerDisagrees, NotDrained, TestbedError
from testbed.figures import hours_by_member, write_csv
from testbed.founding import found_microgrid
from testbed.homes import read_homes
from testbed.installation import Installation, socket_folder
from testbed.layout import HOMES_AN_EDGE, Layout, plan
from testbed.play import Play
from testbed.report import hour_text, show, show_verdict
from testbed.results import Results, Verdict, fold, json_line
from testbed.scenario import load_scenario, require_playable
from testbed.stage import Stage, edge_journals, staged
from testbed.supervisor import child_environment, free_port, python, require_port
from testbed.switchboard.wiring import Switchboard, lines_laid
from testbed.tables import Scenario
from testbed.trading import Traders, has_book

DRAIN_S = 120.0
DRAIN_STEP_S = 1.2
WEB_PORT = 8088
FOREVER_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for. `speed` 0: as fast as it goes; None: as the scenario says.

    `contract` takes the place of the scenario's, with parameters of its own. `switchboard`: let
    faults be played while it runs.
    """

    scenario: str
    homes: Path | None = None
    speed: float | None = None
    seed: int | None = None
    state: Path | None = None
    port: int | None = None
    broker: str = "embedded"
    homes_an_edge: int = HOMES_AN_EDGE
    contract: str = ""
    switchboard: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a finished run can say."""

    layout: Layout
    results: Results
    accounts: Accounts
    verdict: Verdict

    @property
    def json(self) -> str:
        """The one line of `--json`."""
        return json_line(self.results, self.accounts, self.verdict)


def prepare(options: Options, folder: Path) -> tuple[Installation, float | None]:
    """Plan and found an installation; return it and the speed to play at (None: max).

    Raises:
        TestbedError: a file is wrong, a port is taken, the folder is in use.
    """
    scenario = load_scenario(options.scenario)
    require_playable(scenario, options.scenario)
    if options.seed is not None:
        scenario = replace(scenario, seed=options.seed)
    if options.contract:
        policy = replace(scenario.policy, contract=options.contract, parameters=ParameterTable())
        scenario = replace(scenario, policy=policy)
    homes = read_homes(options.homes) if options.homes else None
    speed = _speed(options, scenario)
    layout = plan(scenario, homes, speed, options.homes_an_edge)
    layout = layout.with_ports(iter(free_port, 0))
    _require_new(folder)
    port = require_port(options.port, "--port") if options.port else _web_port()
    installation = Installation(folder, layout, free_port(), port, socket_folder(folder, layout))
    found_microgrid(installation)
    return installation, speed


def _speed(options: Options, scenario: Scenario) -> float | None:
    if options.speed is not None:
        return options.speed or None
    if not scenario.run_s:
        return None
    return scenario.slots * scenario.slot_ms / 1000 / scenario.run_s


def _web_port() -> int:
    """Return the usual port, or a free one if another demo has it."""
    try:
        return require_port(WEB_PORT, "--port")
    except TestbedError:
        return free_port()


def _require_new(folder: Path) -> None:
    there = folder / "hub.toml"
    if there.exists():
        raise TestbedError(
            f"{folder} holds a finished run: look at it with `gridtally-hub verify --config "
            f"{there}`, or choose another --state for a new one"
        )
    folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def state_folder(options: Options) -> Iterator[Path]:
    """Yield the folder of the run: the one asked for, or one that is gone afterwards."""
    if options.state is not None:
        yield options.state.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="gridtally-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_demo(
    options: Options, console: Console, finished: Callable[[Stage, Play, Outcome], None]
) -> Outcome:
    """Run a demo to its end; `finished` is called while everything still runs."""
    started_s = time.monotonic()
    with state_folder(options) as folder:
        installation, speed = prepare(options, folder)
        with staged(installation, options.broker) as stage, contextlib.ExitStack() as closing:
            _announce(console, installation)
            lines = closing.enter_context(lines_laid(stage)) if options.switchboard else None
            with console.status("starting broker, hub, page, guards, edges"):
                stage.start()
            page = f"http://127.0.0.1:{installation.web_port}"
            console.print(f"Page: [bold]{page}[/]", highlight=False)
            board = None
            if lines is not None:
                board = closing.enter_context(Switchboard(stage, lines))
                console.print(f"Faults to play: {page}/faults", highlight=False)
            play = _play(stage, board, speed, console)
            with console.status("waiting for the last receipts"):
                accounts = drain(stage, play)
            with console.status("verifying every signature, recomputing every bill"):
                outcome = _outcome(stage, accounts, started_s)
            finished(stage, play, outcome)
    return outcome


def _announce(console: Console, installation: Installation) -> None:
    layout = installation.layout
    meters = sum(len(node.meters) for node in layout.nodes)
    console.print("[bold reverse] SIMULATION [/] no real meter, relay or money is behind this.")
    console.print(
        f"{layout.scenario.title}: {len(layout.members)} members, {meters} meters, "
        f"{len(layout.nodes)} nodes, {layout.slots} slots; everything is in {installation.folder}",
        highlight=False,
        soft_wrap=True,
    )


def _play(stage: Stage, board: Switchboard | None, speed: float | None, console: Console) -> Play:
    layout = stage.installation.layout
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[slot]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("SIMULATION", total=layout.end_ms - layout.start_ms, slot="")

        traders = Traders(stage.installation) if has_book(layout) else None

        def watch(at_ms: int) -> None:
            if traders is not None:
                traders.look(at_ms)
            number = min((at_ms - layout.start_ms) // layout.slot_ms, layout.slots - 1)
            text = f"slot {number} of {layout.slots}, {hour_text(at_ms)} UTC"
            bar.update(task, completed=at_ms - layout.start_ms, slot=text)

        play = stage.play(Pace(speed), watch)
        if board is not None:
            board.follow(play)
        play.run()
    return play


def drain(stage: Stage, play: Play, timeout_s: float = DRAIN_S) -> Accounts:
    """Let the installation live on until everything signed is on the ledger or in a seal.

    Raises:
        NotDrained: something is missing after the timeout.
    """
    config = load_config(stage.installation.hub_toml)
    deadline = time.monotonic() + timeout_s
    while True:
        with Store.open(config.database, read_only=True) as store:
            accounts = compare(edge_journals(stage.installation), store)
        if not accounts.lost:
            return accounts
        if play.is_hindered():
            deadline = time.monotonic() + timeout_s
        if time.monotonic() > deadline:
            lost = len(accounts.lost)
            raise NotDrained(
                f"{lost} signed messages did not reach the ledger in {timeout_s:.0f} s"
            )
        play.idle(DRAIN_STEP_S)


def _outcome(stage: Stage, accounts: Accounts, started_s: float) -> Outcome:
    def go_on(_done: int, _total: int) -> None:
        """Show no second progress bar, and do not keep anybody waiting meanwhile."""
        stage.clock.idle()

    installation = stage.installation
    config = load_config(installation.hub_toml)
    with verifying(installation.hub_toml) as verified:
        audited = audit_ledger(config, go_on)
        with Store.open(config.database, read_only=True) as store:
            results = fold(store)
            refused = sum(store.strangers.counts().values())
        checked = verified()
    hours = hours_by_member(installation.layout, results.settled)
    write_csv(installation.folder / "figures", hours)
    verdict = Verdict(
        tree_size=checked["size"],
        root=bytes.fromhex(checked["root"]),
        verified=not checked["findings"] and audited.is_right,
        refused=refused,
        wall_s=time.monotonic() - started_s,
    )
    return Outcome(installation.layout, results, accounts, verdict)


@contextlib.contextmanager
def verifying(hub_toml: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run `gridtally-hub verify` beside the block, on the other core; yield what fetches its word.

    Leaving the block by an error ends it. What it yields raises LedgerDisagrees if it fell silent.
    """
    command = python("hub.cli", "verify", "--json", "--config", str(hub_toml))
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=child_environment())

    def word() -> dict[str, Any]:
        told, complaint = child.communicate()
        try:
            found: dict[str, Any] = json.loads(told)
        except ValueError:
            raise LedgerDisagrees(f"gridtally-hub verify: {complaint.strip()}") from None
        return found

    try:
        yield word
    finally:
        if child.poll() is None:  # nobody fetched its word
            child.kill()
            child.communicate()


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the summary for a person."""
    hours = hours_by_member(outcome.layout, outcome.results.settled)
    show(console, outcome.layout, outcome.results, hours)
    show_verdict(console, outcome.accounts, outcome.verdict)


def serve_on(play: Play) -> None:
    """Keep the last instant alive, so that the page goes on, until somebody stops us."""
    while True:
        play.idle(FOREVER_S)
