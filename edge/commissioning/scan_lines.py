"""Who is on serial lines and Modbus hosts: VE.Direct by listening, Modbus by asking ids.

A line is first listened to, since a VE.Direct device talks by itself. Then a few ids are asked at
every usual setting; where somebody answers, all ids are asked at that setting. Only if nobody
answered and there is time, every id is asked at every setting.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.commissioning.findings import Belief, Finding, Place, Sure, Trouble, place, printable
from edge.commissioning.recognising import recognise
from hardware import catalog, modelfile
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    BusUnavailable,
    DeviceAbsent,
    HardwareError,
)
from hardware.ports import BytePort, Manners, ModbusPort
from hardware.vedirect.labels import describe_block
from hardware.vedirect.stream import Block, Stream

Progress = Callable[[str, int, int], object]
"""Is told where the scan is, how many questions are asked, and of how many."""

Setting = tuple[int, str, int]
"""Baud, parity and stop bits."""

Question = tuple[int, int, int]
"""Function, address and count of a read."""

IDS: Final = range(1, 248)
BOARD_IDS: Final = (255,)
"""Relay boards of the LC kind come with this id, which the standard does not have."""

TCP_IDS: Final = (1, 2, 3, 126, 247, 255)
"""Ids that gateways and inverters come with; 126 and 247 are inverters'."""

Round = tuple[Setting, Sequence[int], Sequence[Question]]
"""What is asked at one setting: which ids, which questions."""

LISTEN_S: Final = 2.2
"""VE.Direct tells each second, some devices in two parts."""

HASTY: Final = Manners(pause_ms=5, latency_ms=150)
QUESTIONS: Final = ((3, 0, 2), (4, 0, 2), (1, 0, 8))
"""A device that knows none of these says so, and that is an answer."""

_MORE_SETTINGS: Final = tuple(
    (baud, parity, 1)
    for parity in ("N", "E", "O")
    for baud in (9_600, 19_200, 38_400, 115_200, 57_600, 4_800, 2_400, 1_200)
)
_TURN_S: Final = 0.05
_FAILURES_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How far a scan goes.

    Attributes:
        quick: stop at the usual ids and settings of the models that we know.
        ids: exactly these ids; None: as `quick` has it.
        listen_s: how long a line is listened to.
    """

    quick: bool = False
    ids: tuple[int, ...] | None = None
    listen_s: float = LISTEN_S


Found = Finding | Trouble


def usual_settings() -> list[Setting]:
    """Return what the models' factory settings are, the commonest first."""
    links = [modelfile.shipped_model(name).table.link for name in modelfile.shipped_names()]
    found = [(each.baud, each.parity, each.stopbits) for each in links if each is not None]
    return sorted(dict.fromkeys(found), key=lambda each: -found.count(each))


def usual_ids() -> tuple[int, ...]:
    """Return the ids that devices come with, and the next few."""
    links = [modelfile.shipped_model(name).table.link for name in modelfile.shipped_names()]
    known = {each.address for each in links if each is not None}
    return (*sorted(known | {1, 2, 3}), *BOARD_IDS)


# --- VE.Direct -----------------------------------------------------------------------------------


def listen(
    line: BytePort,
    device: str,
    listen_s: float,
    *,
    clock_s: Callable[[], float] = time.monotonic,
    sleep_s: Callable[[float], object] = time.sleep,
) -> Finding | None:
    """Return the VE.Direct device that talks on a line, if one does.

    Raises:
        BusUnavailable: the port cannot be opened.
    """
    stream = Stream()
    facts: dict[str, object] = {}
    talks = False
    ends_s = clock_s() + listen_s
    while clock_s() < ends_s:
        for found in stream.feed(line.read()):
            if isinstance(found, Block):
                talks = True
                facts |= _told(found)
        if "product_id" in facts:
            break
        sleep_s(_TURN_S)
    if not talks:
        return None
    text = Belief("vedirect", Sure.CERTAIN, "it tells text blocks with right checksums")
    frames = Belief("vedirect_hex", Sure.POSSIBLE, "chargers of this line take HEX commands, too")
    return Finding(place("vedirect", device=device), None, (text, frames), facts)


def _told(block: Block) -> dict[str, object]:
    kept = ("product_id", "model", "serial", "firmware", "battery_voltage_v")
    shown = describe_block(block)
    return {name: printable(shown[name]) for name in kept if shown.get(name) is not None}


# --- Modbus --------------------------------------------------------------------------------------


def answering(
    bus: ModbusPort, ids: Sequence[int], questions: Sequence[Question], tell: Callable[[], object]
) -> tuple[list[int], list[int]]:
    """Return the ids that answer anything, and those that answer garbled.

    Raises:
        BusUnavailable: the line cannot be opened, again and again.
    """
    heard: list[int] = []
    garbled: list[int] = []
    failures = 0
    for question in questions:
        for device in ids:
            tell()
            if device in heard:
                continue
            try:
                answer = _asked(bus, device, question)
            except BusUnavailable:
                failures += 1
                if failures >= _FAILURES_MAX:
                    raise
                continue
            failures = 0
            if answer is not None:
                (heard if answer else garbled).append(device)
    return sorted(heard), sorted(set(garbled) - set(heard))


def _asked(bus: ModbusPort, device: int, question: Question) -> bool | None:
    """Return whether what came was a valid reply, be it a refusal; None if nothing came."""
    function, address, count = question
    read: Callable[..., Any] = bus.read_bits if function <= 2 else bus.read_words
    bus.heed(device, HASTY)
    try:
        read(device, function, address, count)
    except (BusTimeout, DeviceAbsent):
        return None
    except BadChecksum:
        return False
    except BusUnavailable:
        raise
    except HardwareError:
        return True
    return True


def scan_port(device: str, effort: Effort, progress: Progress) -> Iterator[Found]:
    """Yield who talks or answers on one serial port."""
    try:
        with contextlib.closing(catalog.open_bus("vedirect", {"device": device})) as line:
            progress(f"listening on {_short(device)}", 0, 1)
            talker = listen(line, device, effort.listen_s)
        if talker is not None:
            yield talker
            return
        yield from _scan_settings(device, effort, progress)
    except BusUnavailable as error:
        yield Trouble(device, str(error))


def _short(device: str) -> str:
    return device.rpartition("/")[2]


def _scan_settings(device: str, effort: Effort, progress: Progress) -> Iterator[Found]:
    """Ask a few ids at each setting, then all where somebody is; then, perhaps, everything."""
    settings, few = usual_settings(), effort.ids or usual_ids()
    for asked in rounds(settings, few, effort):
        for setting, ids, questions in asked:
            found = list(_scan_setting(device, setting, ids, questions, effort, progress))
            yield from found
            if any(isinstance(each, Finding) for each in found):
                return


def rounds(
    settings: Sequence[Setting], few: Sequence[int], effort: Effort
) -> Iterator[list[Round]]:
    """Yield what is asked next, if nobody answered yet."""
    yield [(setting, few, QUESTIONS) for setting in settings]
    if effort.quick or effort.ids is not None:
        return
    yield [(setting, few, QUESTIONS) for setting in _MORE_SETTINGS if setting not in settings]
    rest = [each for each in IDS if each not in few]
    yield [(setting, rest, QUESTIONS[:1]) for setting in settings]


def _scan_setting(
    device: str,
    setting: Setting,
    ids: Sequence[int],
    questions: Sequence[Question],
    effort: Effort,
    progress: Progress,
) -> Iterator[Found]:
    baud, parity, stopbits = setting
    where = place("modbus_rtu", device=device, baud=baud, parity=parity, stopbits=stopbits)
    with contextlib.closing(catalog.open_bus(where.kind, dict(where.options))) as bus:
        rest = () if effort.quick or effort.ids is not None else IDS
        yield from scan_modbus(bus, where, ids, questions, rest, progress)


def scan_modbus(
    bus: ModbusPort,
    where: Place,
    ids: Sequence[int],
    questions: Sequence[Question],
    rest: Iterable[int],
    progress: Progress,
) -> Iterator[Found]:
    """Yield who answers on one Modbus line: of `ids`, and if anybody does, of `rest`, too."""
    heard, garbled = _counted(bus, where, ids, questions, progress)
    others = [each for each in rest if each not in ids]
    if heard and others:
        more, noise = _counted(bus, where, others, questions[:1], progress)
        heard, garbled = [*heard, *more], [*garbled, *noise]
    for place_, device in enumerate(heard):
        progress(f"{where.short}: recognising id {device}", place_, len(heard))
        known = recognise(bus, device, where.kind)
        if not known.beliefs:
            yield Finding(where, device, (), known.facts)
        yield from _by_device(where, device, known.beliefs, known.facts)
    if garbled and (heard or where.kind != "modbus_rtu"):
        listed = ", ".join(str(device) for device in garbled)
        why = "bytes come, but no valid reply: two devices with one id, or bad wiring"
        yield Trouble(f"{where.short}, id {listed}", why)


def _by_device(
    where: Place, device: int, beliefs: Sequence[Belief], facts: Any
) -> Iterator[Finding]:
    """Yield one finding; but several where a list has several devices behind one id."""
    listed = [each for each in beliefs if "device_index" in each.options]
    if listed:
        for belief in listed:
            yield Finding(where, device, (belief,), facts)
    elif beliefs:
        yield Finding(where, device, tuple(beliefs), facts)


def _counted(
    bus: ModbusPort,
    where: Place,
    ids: Sequence[int],
    questions: Sequence[Question],
    progress: Progress,
) -> tuple[list[int], list[int]]:
    total = len(ids) * len(questions)
    asked = iter(range(total + 1))
    return answering(bus, ids, questions, lambda: progress(where.short, next(asked), total))


def scan_host(
    host: str, port: int, effort: Effort, progress: Progress, kind: str = "modbus_tcp"
) -> Iterator[Found]:
    """Yield who answers behind a Modbus TCP server, or a serial server that carries RTU."""
    where = place(kind, host=host, port=port)
    ids = effort.ids or TCP_IDS
    rest = () if effort.quick or effort.ids is not None else IDS[:32]
    try:
        with contextlib.closing(catalog.open_bus(kind, dict(where.options))) as bus:
            yield from _without_echoes(scan_modbus(bus, where, ids, QUESTIONS, rest, progress))
    except BusUnavailable as error:
        yield Trouble(where.short, str(error))


def _without_echoes(found: Iterable[Found]) -> Iterator[Found]:
    """Yield each device once: many servers answer under any id as the same."""
    seen: dict[tuple[object, ...], Finding] = {}
    for each in found:
        if isinstance(each, Finding) and (each.facts or each.best.model):
            key = (
                each.best.model,
                each.best.why,
                *each.best.options.values(),
                *map(str, each.facts.values()),
            )
            if each.facts and key in seen:
                continue
            seen[key] = each
        yield each
