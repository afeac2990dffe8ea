"""An embedded broker, and a founded hub that knows where it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import RunningBroker, running_broker
from tests.support.hub_bench import MICROGRID, NODE, Bench


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker("embedded", tmp_path / "broker", MICROGRID, (NODE,)) as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, broker: RunningBroker) -> Bench:
    made = Bench(tmp_path / "hub")
    toml = made.folder / "hub.toml"
    toml.write_text(toml.read_text().replace("port = 1883", f"port = {broker.port}"))
    shutil.copy(broker.password_file("hub"), made.folder / "hub.password")
    opened = made.open()
    assert set(made.enrol(made.spine(opened))) == {""}
    opened.close()
    return made
