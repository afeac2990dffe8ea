"""Opens what a test needs: the relay and the meters of a node that nobody else holds."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from edge.app import Bench
from edge.config import EdgeConfig, MeterTable, RelayTable
from edge.errors import OutboxLocked, Unavailable
from edge.guard import open_pins
from edge.outbox_schema import lock
from edge.register import oriented
from edge.relaytest.trial import Outcome, Pace, Person, Read, Trial
from edge.relaytest.verdict import Wiring
from hardware.catalog import make_relay
from hardware.ports import Relay, Sample

KNOCK_S: Final = 2.0
NOBODY: Final = (errno.ENOENT, errno.ECONNREFUSED)


def run_test(
    config: EdgeConfig,
    name: str,
    settle_s: float,
    person: Person,
    pause: Callable[[float], None],
) -> Outcome:
    """Test one relay of a configuration; afterwards it is released.

    Raises:
        Unavailable: no such relay, or agent, guard or an interlock stand in the way.
        RelayTestEnded: a person or a signal ended it, or the load's meter does not answer.
        NotReleased: it could not be released.
        HardwareError: the relay cannot be reached.
    """
    table = relay_table(config, name)
    with stopped(config), ExitStack() as closing:
        bench = Bench(config)
        closing.callback(bench.close)
        _check_interlock(config, table, bench)
        meters = {each.meter_id: _reader(bench, each) for each in config.meter}
        trial = Trial(wiring(table), meters, pace(table, settle_s), person, pause)
        return trial.run(lambda: _relay(config, table, bench, closing))


def relay_table(config: EdgeConfig, name: str) -> RelayTable:
    """Return a relay of the configuration.

    Raises:
        Unavailable: it has no such relay.
    """
    for table in config.relay:
        if table.relay == name:
            return table
    known = ", ".join(each.relay for each in config.relay)
    raise Unavailable(f"no relay is named {name}; there are: {known or 'none'}")


def wiring(table: RelayTable) -> Wiring:
    """Return what the relay is to do to its load."""
    return Wiring(table.relay, table.deenergised, table.load, table.rated_w * 1000)


def pace(table: RelayTable, settle_s: float) -> Pace:
    """Return how long to wait in each position: at least what protects the load."""
    return Pace(
        max(settle_s, table.min_off_ms / 1000),
        max(settle_s, table.min_on_ms / 1000),
    )


@contextmanager
def stopped(config: EdgeConfig) -> Iterator[None]:
    """Make sure that neither guard nor agent runs, and that no agent starts meanwhile.

    Raises:
        Unavailable: one of them runs.
    """
    _check_guard(Path(config.guard.socket))
    held = Path(config.state) / "outbox.lock"
    with ExitStack() as closing:
        if held.exists():  # an agent has run here; else nothing of ours may be left in its place
            try:
                closing.enter_context(lock(held))
            except OutboxLocked as error:
                raise Unavailable(f"the agent runs and may move relays: {error}") from None
        yield


def _check_guard(door: Path) -> None:
    """Raises Unavailable unless it is sure that nobody listens at the guard's door."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(KNOCK_S)
        answer = knock.connect_ex(str(door))
    if answer == 0:
        raise Unavailable(f"the guard runs (at {door}) and holds the relays: stop it first")
    if answer not in NOBODY:
        reason = os.strerror(answer)
        raise Unavailable(f"whether the guard runs cannot be told: {door}: {reason}")


def _check_interlock(config: EdgeConfig, table: RelayTable, bench: Bench) -> None:
    """Raises Unavailable if another relay of the group is energised: boards keep their relays."""
    for other in config.relay:
        is_rival = table.interlock and other.interlock == table.interlock and other != table
        if is_rival and other.bus and bench.relay(other).is_energised:
            raise Unavailable(
                f'{other.relay} of the same interlock group "{table.interlock}" is energised: '
                f"release it first (gridtally-edge relay test {other.relay})"
            )


def _relay(config: EdgeConfig, table: RelayTable, bench: Bench, closing: ExitStack) -> Relay:
    if table.bus:
        return bench.relay(table)
    return make_relay(table.model, closing.enter_context(open_pins(config)), table.options)


def _reader(bench: Bench, table: MeterTable) -> Read:
    meter = bench.meter(table)

    def read() -> Sample:
        sample = meter.sample()
        return oriented(sample) if table.reversed else sample

    return read
