"""The guard of a measured node: the production guard, but its pins are the measurement's.

A real (not simulated) configuration would want a Raspberry Pi's pins. Nothing else is replaced.

    python -m bench.guard EDGE_TOML WIRE_SOCKET
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edge import app, guard
from edge.config import EdgeConfig, load_config
from hardware.mock.wires.remote import WireLink, remote_pins


def main(edge_toml: str, wire: str) -> None:
    """Own the relays of a configuration until told to end."""
    config = load_config(Path(edge_toml))

    def pins(config: EdgeConfig) -> Any:
        return remote_pins(WireLink(wire), config.node)

    guard._pins = pins
    guard.run(config, app.load_trust(config))


if __name__ == "__main__":
    main(*sys.argv[1:])
