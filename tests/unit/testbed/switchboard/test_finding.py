"""A running demo is found without a name; several are named, and dead ones forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.errors import NoDemo
from testbed.switchboard.finding import demo_of, noted, running, runtime_folder, switchboard_of


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def note(process: int, state: str) -> None:
    runtime_folder().mkdir(parents=True, exist_ok=True)
    (runtime_folder() / f"{process}.demo").write_text(f"{state}\n")


def test_the_only_demo_is_found_and_gone_with_its_end(tmp_path: Path) -> None:
    with noted(tmp_path / "state"):
        assert demo_of(None) == tmp_path / "state"
        assert runtime_folder().stat().st_mode & 0o777 == 0o700
    assert not runtime_folder().exists()
    with pytest.raises(NoDemo, match="no demo runs: start one with `gridtally-testbed demo`"):
        demo_of(None)


def test_several_are_named(tmp_path: Path) -> None:
    note(os.getppid(), "/one")
    with noted(tmp_path / "two"), pytest.raises(NoDemo, match=r"2 demos run; say which one"):
        demo_of(None)
    with noted(tmp_path / "two"):
        assert demo_of(tmp_path / "mine") == tmp_path / "mine"
        assert sorted(map(str, running())) == ["/one", str(tmp_path / "two")]


def test_notes_of_dead_demos_go_and_other_files_stay() -> None:
    dead = os.fork()
    if not dead:
        os._exit(0)
    os.waitpid(dead, 0)
    note(dead, "/gone")
    (runtime_folder() / "notes.demo").write_text("mine\n")
    assert running() == []
    assert [path.name for path in runtime_folder().iterdir()] == ["notes.demo"]


def test_a_folder_without_a_switchboard_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoDemo, match=r"is no demo: .*hub\.toml"):
        switchboard_of(tmp_path)
