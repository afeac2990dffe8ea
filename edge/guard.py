"""The guard: a small process that owns the relays, so that nothing else needs to be trusted.

Contacts return to safe (de-energised) when a lease is over, when the agent is gone (at once) or
silent (2 s), and when the guard starts or ends. It has no network: the agent carries leases to it
as bytes over a Unix socket. A second connection is told how the relays stand and hung up on.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sdnotify import SystemdNotifier

from edge.boots import Boots
from edge.clock import boottime_ms
from edge.config import EdgeConfig, OverrideTable
from edge.door import Agent, listening
from edge.frames import encode_frame
from edge.override import LOOK_EVERY_MS, Switch, held_by
from edge.relays import AGENT_SILENT_MS, Relays
from hardware.catalog import make_relay
from hardware.ports import Relay
from messages.errors import MessageError
from messages.trust import Trust

RECEIVE_BYTES: Final = 65_536

log = logging.getLogger("edge.guard")


@dataclass(slots=True)
class Guard:
    """The loop between the socket and the relays. `bell` is readable when it is to end.

    `hold` tells why no relay may move, "" if one may.
    """

    relays: Relays
    door: socket.socket
    clock_ms: Callable[[], int] = boottime_ms
    bell: socket.socket | None = None
    hold: Callable[[], str] = str
    switches: tuple[Switch, ...] = ()
    _agent: Agent | None = None
    _nonce_ms: int = 0
    _is_ending: bool = False
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def __post_init__(self) -> None:
        """Listen at the door, and for the bell."""
        self.door.setblocking(False)
        self._selector.register(self.door, selectors.EVENT_READ)
        if self.bell is not None:
            self._selector.register(self.bell, selectors.EVENT_READ)

    def close(self) -> None:
        """Hang up on the agent and stop listening; the door is the caller's."""
        if self._agent is not None:
            self._agent.link.close()
        self._selector.close()

    def serve(self, notify: Callable[[str], object]) -> None:
        """Serve until the bell rings; the relays are the caller's to leave safe."""
        notify("READY=1")
        while not self._is_ending:
            self.turn()
            notify("WATCHDOG=1")

    def turn(self) -> None:
        """Wait until somebody says something or something is due, and do it."""
        for key, _ in self._selector.select(self._wait_ms() / 1000):
            if key.fileobj is self.door:
                self._welcome()
            elif key.fileobj is self.bell:
                self._is_ending = True
            else:
                self._listen()
        self._keep_time()
        self._tell()

    def _wait_ms(self) -> int:
        """Return how long nothing is due if nobody says anything."""
        now_ms = self.clock_ms()
        dues_ms = [self._nonce_ms + self.relays.nonce_every_ms - now_ms, self.relays.left_ms()]
        if self._agent is not None:
            dues_ms.append(self._agent.heard_ms + AGENT_SILENT_MS - now_ms)
        if self.switches:
            dues_ms.append(LOOK_EVERY_MS)
        return max(0, min(dues_ms))

    def _keep_time(self) -> None:
        now_ms = self.clock_ms()
        self.relays.hold("guard", self.hold())
        self.relays.override(held_by(self.switches, now_ms))
        self.relays.end_leases()
        if self._agent is not None and now_ms - self._agent.heard_ms >= AGENT_SILENT_MS:
            self._hang_up("the agent is silent")
        if now_ms - self._nonce_ms >= self.relays.nonce_every_ms:
            self._nonce_ms = now_ms
            self.relays.make_nonce()

    def _welcome(self) -> None:
        try:
            link, _ = self.door.accept()
        except OSError:
            return  # it left again
        if self._agent is not None:
            with link, suppress(OSError):
                link.sendall(encode_frame(self.relays.state()))
            return
        link.setblocking(False)
        self._agent = Agent(link, self.clock_ms())
        self._selector.register(link, selectors.EVENT_READ)
        self.relays.make_nonce()
        log.info("the agent is here")

    def _listen(self) -> None:
        agent = self._agent
        if agent is None:
            return
        try:
            received = agent.link.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionError("it closed")
            for frame in agent.reader.take(received):
                agent.heard_ms = self.clock_ms()
                self.relays.take(frame)
                self.relays.end_leases()  # a flood of frames holds up no end
        except BlockingIOError:
            return
        except (OSError, MessageError) as error:
            self._hang_up(f"the agent is gone: {error}")

    def _hang_up(self, reason: str) -> None:
        """Return everything to safe first, then let go of the agent."""
        self.relays.all_safe(reason)
        log.warning("%s; every relay is safe", reason)
        if self._agent is not None:
            self._selector.unregister(self._agent.link)
            self._agent.link.close()
            self._agent = None

    def _tell(self) -> None:
        """Send what waits; without an agent only acknowledgements are kept."""
        unsent = self.relays.unsent
        if self._agent is None:
            kept = [frame for frame in unsent if "ack" in frame]
            unsent.clear()
            unsent += kept
            return
        try:
            while unsent:
                self._agent.send(unsent[0])
                unsent.popleft()
        except OSError as error:
            self._hang_up(f"the agent is gone: {error}")


def run(config: EdgeConfig, trust: Trust) -> None:
    """Own the relays of this configuration until the process is told to end.

    Raises:
        HardwareError: a pin cannot be claimed.
        OSError: the socket cannot be made.
    """
    with ExitStack() as closing:
        life = Boots(Path(config.state), "guard", config.guard.short_boots_max)
        boots = closing.enter_context(life)
        closing.callback(log.info, "ended; every relay is safe")
        bell = closing.enter_context(_bell())
        pins = closing.enter_context(open_pins(config))
        coils: dict[str, Relay] = {}
        held = [each for each in config.relay if not each.bus]
        for each in held:
            coils[each.relay] = make_relay(each.model, pins, each.options)
            closing.callback(coils[each.relay].close)
        rules = {each.relay: each.rules for each in held}
        door = closing.enter_context(listening(Path(config.guard.socket)))
        relays = Relays(config.node, trust, coils, rules)
        switches = tuple(
            closing.enter_context(_switch(each, config, pins)) for each in config.override
        )
        guard = Guard(relays, door, bell=bell, hold=boots.look, switches=switches)
        closing.callback(guard.close)
        guard.serve(SystemdNotifier().notify)


@contextmanager
def _switch(table: OverrideTable, config: EdgeConfig, pins: Any) -> Iterator[Switch]:
    """Yield an override switch on its pin."""
    from hardware.buses.gpio import InputPin  # gpiozero is loaded by who looks at a pin

    pin = InputPin(pins, table.pin)
    try:
        yield Switch(pin, table.thrown == "open", table.holds(config.relay))
    finally:
        pin.close()


@contextmanager
def _bell() -> Iterator[socket.socket]:
    """Yield a socket that is readable after SIGTERM or SIGINT.

    No exception comes out of a signal: it could tear a switching coil's transfer in two.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)


@contextmanager
def open_pins(config: EdgeConfig) -> Iterator[Any]:
    """Yield the pins of this Pi, or those of the simulated world, loudly."""
    if config.simulation is not None and config.simulation.wire is not None:
        from hardware.mock.wires.remote import WireLink, remote_pins

        log.warning("SIMULATION: pins are simulated at %s", config.simulation.wire)
        wire = WireLink(config.simulation.wire)
        try:
            yield remote_pins(wire, config.node)
        finally:
            wire.close()
    elif all(each.bus for each in config.relay):
        yield None
    else:
        from hardware.buses.gpio import lgpio_factory

        yield lgpio_factory()
