"""What runs: opens what the configuration names, connects it, and turns the loop.

The one place besides the guard that may pick a simulated wire, loudly.
"""

from __future__ import annotations

import logging
import queue
import secrets
import signal
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Protocol, cast

from sdnotify import SystemdNotifier

from edge import clock
from edge.agent import Packing
from edge.boots import Boots
from edge.busrelays import BusRelays, coils_of
from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Calibrated
from edge.config import EdgeConfig, MeterTable, RelayTable
from edge.errors import ConfigError, KeysUnavailable
from edge.guardlink import GuardLink
from edge.inbound import Event
from edge.instants import ClockLink
from edge.journal import Journal
from edge.loop import Loop, Parts
from edge.measuring import Measuring, SigningMeter
from edge.outbox import Outbox
from edge.outbox_records import Draft
from edge.posting import Posting
from edge.receipts import log_trust
from edge.register import Meter, Reset
from edge.relaydoor import SOCKET as RELAY_SOCKET
from edge.relaydoor import relay_door
from edge.relaying import NodeKey, Relaying
from edge.relays import Relays
from edge.rotating import SOCKET as KEYS_SOCKET
from edge.rotating import Rotating, rotation_door
from edge.sampler import BACKOFF_MAX_S, SIMULATED_BACKOFF_MAX_S, BusThread, Device, Rhythm
from edge.shifting import Shifting
from edge.sweep import Devices
from edge.trace import SOCKET as TRACE_SOCKET
from edge.trace import trace_door
from edge.uplink import BACKOFF_MAX_S as UPLINK_BACKOFF_MAX_S
from edge.uplink import SIMULATED_BACKOFF_MAX_S as SIMULATED_UPLINK_BACKOFF_MAX_S
from edge.uplink import Uplink
from hardware import catalog
from hardware.ports import BoardedRelay, EnergyMeter
from keys import stores
from keys.errors import KeyFault, KeyMissing, StoreUnavailable
from messages.correction import gain_text
from messages.cose import SALT_BYTES
from messages.entries import Epoch
from messages.errors import MessageError
from messages.publickey import Signer
from messages.trust import Trust, parse_trust

EVENTS_MAX: Final = 10_000

log = logging.getLogger("edge.app")


def software() -> str:
    """Return the name and version that a hello tells."""
    try:
        return f"gridtally {version('gridtally')}"
    except PackageNotFoundError:
        return "gridtally"


def load_trust(config: EdgeConfig) -> Trust:
    """Return the trust file of a configuration.

    Raises:
        ConfigError: it is not there, has another form, or is of another kind of installation.
    """
    path = Path(config.trust)
    try:
        trust = parse_trust(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            (f"{path}: {error.strerror}; gridtally-hub init writes it on the hub: copy it here",)
        ) from None
    except (MessageError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: {error}",)) from None
    if trust.simulation != (config.simulation is not None):
        theirs, ours = ("simulated", "real") if trust.simulation else ("real", "simulated")
        text = f"is the trust of a {theirs} ledger, and this is a {ours} node's configuration"
        raise ConfigError((f"{path}: {text}",))
    return trust


def load_keys(config: EdgeConfig) -> tuple[Signer, dict[str, Signer]]:
    """Return the node's signer, and that of each meter.

    Raises:
        ConfigError: with every key that cannot be opened, or is used twice.
        KeysUnavailable: the same, and another try may be all it takes.
    """
    findings: list[str] = []
    found: dict[str, Signer] = {}
    kind: type[ConfigError] = KeysUnavailable
    for name, place in config.key_places.items():
        try:
            found[name] = stores.open_signer(place)
        except KeyFault as error:
            hint = " (gridtally-edge keygen makes keys)" if isinstance(error, KeyMissing) else ""
            owner = f"meter {name}" if name else "the node"
            findings.append(f"key of {owner}: {error}{hint}")
            if not isinstance(error, StoreUnavailable):
                kind = ConfigError
    owners: dict[bytes, str] = {}
    for name, signer in found.items():
        other = owners.setdefault(signer.public.thumbprint, name)
        if other != name:
            findings.append(f"meter {name} has the same key as {other or 'the node'}")
            kind = ConfigError
    if findings:
        raise kind(tuple(findings))
    return found.pop(""), found


class Running(Protocol):
    """What has threads."""

    def start(self) -> None:
        """Start them."""

    def stop(self) -> None:
        """End them."""


class Bench:
    """The buses and what sits on them; no wire is touched until a device is used."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config
        self._wire: Any = None
        self.buses = {each.name: self._bus(each.kind, each.name) for each in config.bus}

    def meter(self, table: MeterTable) -> EnergyMeter:
        """Return one meter."""
        return catalog.make_meter(table.model, self.buses[table.bus], table.options)

    def relay(self, table: RelayTable) -> BoardedRelay:
        """Return one relay that is on a bus."""
        relay = catalog.make_relay(table.model, self.buses[table.bus], table.options)
        return cast("BoardedRelay", relay)  # as every model with kinds of bus is

    def close(self) -> None:
        """Close the buses."""
        for bus in self.buses.values():
            bus.close()
        if self._wire is not None:
            self._wire.close()

    def _bus(self, kind: str, name: str) -> Any:
        table = next(each for each in self._config.bus if each.name == name)
        simulation = self._config.simulation
        if kind != "i2c" or simulation is None or simulation.wire is None:
            return catalog.open_bus(kind, table.options)
        from hardware.buses.i2c import I2cBus
        from hardware.mock.wires.remote import RemoteI2c, WireLink

        self._wire = self._wire or WireLink(simulation.wire)
        wire, place = self._wire, f"{self._config.node}/{name}"
        log.warning("SIMULATION: bus %s is simulated at %s", name, simulation.wire)
        return I2cBus(lambda: RemoteI2c(wire, place), name)


def run(config: EdgeConfig, trust: Trust) -> None:
    """Be the agent of a node until the process is told to end.

    Raises:
        EdgeError: the configuration, the keys or the outbox make it impossible.
    """
    node_signer, signers = load_keys(config)
    key = NodeKey(config.node, node_signer, trust.network_id)
    with ExitStack() as closing:
        outbox = Outbox(Path(config.state), config.outbox.rows_max, config.outbox.ballast_kb * 1024)
        closing.callback(outbox.close)
        loop = _connect(config, trust, key, signers, outbox, closing)
        signal.signal(signal.SIGTERM, lambda number, frame: loop.stop())
        signal.signal(signal.SIGINT, lambda number, frame: loop.stop())
        log.info("node %s with %d meters is up", config.node, len(config.meter))
        loop.run(SystemdNotifier().notify)
    log.info("node %s ended", config.node)


def _connect(
    config: EdgeConfig,
    trust: Trust,
    key: NodeKey,
    signers: dict[str, Signer],
    outbox: Outbox,
    closing: ExitStack,
) -> Loop:
    """Make every part, start the threads, and have them end with `closing`."""
    events: queue.Queue[Event] = queue.Queue(EVENTS_MAX)
    simulation = config.simulation
    uplink = Uplink(
        config.broker,
        config.microgrid,
        config.node,
        events.put,
        backoff_max_s=SIMULATED_UPLINK_BACKOFF_MAX_S if simulation else UPLINK_BACKOFF_MAX_S,
    )
    journal = None
    if simulation is not None and simulation.journal is not None:
        journal = Journal(Path(simulation.journal))
        closing.callback(journal.close)
    barrier = None
    if simulation is not None and simulation.clock is not None:
        log.warning("SIMULATION: instants come from %s", simulation.clock)
        barrier = ClockLink(Path(simulation.clock), config.node, events.put)
    guard = GuardLink(Path(config.guard.socket), events.put)
    boot_id = clock.boot_id()
    bench = Bench(config)
    buses = _buses(config, trust, events, bench)
    quiet = {
        each.meter_id for each in config.meter if catalog.METERS[each.model].is_silent_at_night
    }
    devices = Devices(buses, frozenset(quiet))
    traces = trace_door(
        Path(config.state) / TRACE_SOCKET,
        bench.buses,
        {each.name: each.kind for each in config.bus},
    )
    parts = Parts(
        sampling=config.sampling,
        trust=trust,
        key=key,
        boot_id=boot_id,
        software=software(),
        outbox=outbox,
        posting=Posting(outbox, log_trust(trust), config.node, uplink.publish, journal),
        measuring=_measuring(config, key, signers, outbox),
        relaying=_relaying(config, key, guard, buses, closing),
        shifting=Shifting(
            {each.relay: each.shift for each in config.relay if each.shift is not None},
            config.sampling.slot_ms,
        ),
        devices=devices,
        uplink=uplink,
        barrier=barrier,
    )
    rotating = Rotating(outbox, parts.posting, parts.measuring, key, signers)
    doors = rotation_door(Path(config.state) / KEYS_SOCKET, events.put, rotating)
    threads: list[Running] = [devices, uplink, traces, doors]
    threads += [guard] if parts.relaying.send is not None else []
    if parts.relaying.buses:
        threads.append(relay_door(Path(config.state) / RELAY_SOCKET, parts.relaying.on_buses))
    threads += [barrier] if barrier is not None else []
    for thread in threads:
        closing.callback(thread.stop)
        thread.start()
    return Loop(parts, events)


def _relaying(
    config: EdgeConfig, key: NodeKey, guard: GuardLink, buses: list[BusThread], closing: ExitStack
) -> Relaying:
    """Return the agent's part in moving relays; it lets none move after too many short lives."""
    life = Boots(Path(config.state), "agent", config.guard.short_boots_max)
    return Relaying(
        key,
        clock.boot_id(),
        guard.send if any(not each.bus for each in config.relay) else None,
        {bus.name: bus.tell for bus in buses if bus.has_relays},
        hold=closing.enter_context(life).look,
    )


def _buses(
    config: EdgeConfig, trust: Trust, events: queue.Queue[Event], bench: Bench
) -> list[BusThread]:
    """Return a thread for each bus that has a meter or a relay."""
    backoff_max_s = SIMULATED_BACKOFF_MAX_S if config.simulation else BACKOFF_MAX_S
    is_paced = config.simulation is None or config.simulation.clock is None
    rhythm = Rhythm(config.sampling.sample_ms / 1000 if is_paced else None, backoff_max_s)
    threads = []
    for bus in config.bus:
        meters = [
            Device(each.meter_id, bench.meter(each))
            for each in config.meter
            if each.bus == bus.name
        ]
        thread = BusThread(bus.name, bench.buses[bus.name], meters, events.put, rhythm=rhythm)
        held = [each for each in config.relay if each.bus == bus.name]
        if held:
            coils = coils_of({each.relay: bench.relay(each) for each in held})
            rules = {each.relay: each.rules for each in held}
            relays = Relays(config.node, trust, coils, rules)
            thread.hold(BusRelays(bus.name, relays, coils.values(), events.put))
        threads.append(thread)
    return [thread for thread in threads if thread.meter_ids or thread.has_relays]


def _measuring(
    config: EdgeConfig, key: NodeKey, signers: dict[str, Signer], outbox: Outbox
) -> Measuring:
    """Return the agent's state of every meter, as it was stored last."""

    def sign_reset(meter_id: str, reset: Reset, at_ms: int) -> Draft:
        epoch = Epoch(
            event=0,
            node=key.node,
            meter_id=meter_id,
            epoch=reset.epoch,
            last_import_uwh=reset.last[0],
            last_export_uwh=reset.last[1],
            first_import_uwh=reset.first[0],
            first_export_uwh=reset.first[1],
            reason=reset.reason,
            at_ms=at_ms,
        )
        return key.event(epoch)

    sampling, kept = config.sampling, outbox.calibrations()
    measuring = Measuring(
        [
            SigningMeter(_meter(config, each, kept.get(each.meter_id)), signers[each.meter_id])
            for each in config.meter
        ],
        Packing(sampling.sample_ms, sampling.slot_ms, sampling.pack_samples),
        outbox.begin_boot(),
        sign_reset,
        partial(secrets.token_bytes, SALT_BYTES) if sampling.readings == "sealed" else None,
    )
    measuring.recall(outbox.registers(), outbox.points())
    return measuring


def _meter(config: EdgeConfig, table: MeterTable, calibrated: Calibrated | None) -> Meter:
    coefficients = AS_THE_DEVICE_SAYS if calibrated is None else calibrated.coefficients
    if coefficients != AS_THE_DEVICE_SAYS:
        gain = gain_text(coefficients.power.gain_ppm)
        log.info("meter %s is calibrated: power %s", table.meter_id, gain)
    return Meter(
        microgrid=config.microgrid,
        meter_id=table.meter_id,
        has_counters=catalog.METERS[table.model].has_counters,
        reversed=table.reversed,
        rated_mw=table.rated_w * 1000,
        gap_ms=config.sampling.gap_ms,
        frozen_ms=config.sampling.frozen_ms,
        coefficients=coefficients,
    )
