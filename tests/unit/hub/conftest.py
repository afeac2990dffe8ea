"""A hub of four enrolled keys on a disk of its own, which has answered nobody yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.spine import Spine
from hub.starting import Opened
from tests.support.hub_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def opened(bench: Bench) -> Iterator[Opened]:
    made = bench.open()
    yield made
    made.close()


@pytest.fixture
def spine(bench: Bench, opened: Opened) -> Spine:
    made = bench.spine(opened)
    assert bench.enrol(made) == ["", "", "", ""]
    made.publish()
    bench.link.sent.clear()
    return made
