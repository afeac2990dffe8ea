"""`trace`: the lines of one bus, from the running agent or, without one, from a bus of our own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.app import Bench
from edge.commissioning.errors import BadUsage
from edge.config import EdgeConfig
from edge.errors import Unavailable
from edge.trace import SOCKET, head, is_offered, lines_of_agent, lines_while, parse_frame
from hardware.errors import HardwareError

_TURN_S: Final = 0.2


def lines_of_bus(
    config: EdgeConfig, name: str, seconds: float, tell: Callable[[str], object]
) -> Iterator[str]:
    """Yield the lines of a bus for so many seconds; `tell` is told whose bus it is.

    Raises:
        BadUsage: the configuration has no such bus, or no meter on it.
        Unavailable: an agent is there, but does not answer.
    """
    table = next((each for each in config.bus if each.name == name), None)
    if table is None:
        known = ", ".join(each.name for each in config.bus)
        raise BadUsage(f"no bus is named {name}; there are: {known}")
    path = Path(config.state) / SOCKET
    if is_offered(path):
        tell("listening to the running agent")
        yield from lines_of_agent(path, name, seconds)
        return
    tell("no agent runs: reading the meters of this bus ourselves")
    yield from head(name, table.kind)
    yield from _own_lines(config, name, seconds, tell)


def _own_lines(
    config: EdgeConfig, name: str, seconds: float, tell: Callable[[str], object]
) -> Iterator[str]:
    tables = [each for each in config.meter if each.bus == name]
    if not tables:
        raise BadUsage(f"bus {name}: no meter is on it, so nothing would be sent")
    bench = Bench(config)
    ends_s = time.monotonic() + seconds
    try:
        meters = {each.meter_id: bench.meter(each) for each in tables}
        told: set[str] = set()

        def read() -> None:
            for meter_id, meter in meters.items():
                try:
                    meter.sample()
                except HardwareError as error:
                    if meter_id not in told:
                        tell(f"{meter_id}: {error}")
                        told.add(meter_id)
            time.sleep(min(_TURN_S, max(0.0, ends_s - time.monotonic())))

        yield from lines_while(bench.buses[name], read, lambda: time.monotonic() >= ends_s)
    finally:
        bench.close()


def json_lines(lines: Iterator[str]) -> Iterator[str]:
    """Yield a JSON object for each frame; what is for people only is left out."""
    for line in lines:
        if not line.startswith("#"):
            frame = parse_frame(line)
            yield json.dumps(
                {"at_us": frame.at_us, "direction": frame.direction, "bytes": frame.raw.hex()}
            )


def write_lines(path: Path, lines: Iterator[str]) -> int:
    """Write lines to a file as they come, and return how many frames they were.

    Raises:
        Unavailable: the file cannot be written.
    """
    count = 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                file.flush()
                count += not line.startswith("#")
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None
    return count
