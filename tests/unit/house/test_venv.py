"""`make demo` on a machine that lacks something: one sentence that says what, never a traceback."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("sh", "cat", "cksum", "dirname", "mkdir", "chmod", "cp", "date", "tail", "grep", "rm")

# Plays an interpreter of one version. `-m venv` copies it into the new environment.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *ensurepip*) exit {ensurepip} ;;
  *"import pip"*) test ! -e .venv/half-made ;;
  *version_info*) echo {version} ;;
  "-m venv"*) rm -f .venv/half-made && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip"*) echo "$*" >>pip.calls; echo "ERROR: no route to host"; exit {pip} ;;
esac
"""


class Machine:
    """A copy of the project's bootstrap beside a PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.path = folder / "bin"
        (self.project / ".ci").mkdir(parents=True)
        self.path.mkdir()
        shutil.copy(ROOT / ".ci" / "venv", self.project / ".ci" / "venv")
        locks = (f"requirements{part}.lock" for part in ("", "-dev", "-tpm"))
        for name in ("setup.cfg", "pyproject.toml", *locks):
            (self.project / name).write_text("# empty\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, tool
            (self.path / tool).symlink_to(found)

    def python(self, version: str, name: str = "python3", *, ensurepip: int = 0, pip: int = 0):
        program = self.path / name
        program.write_text(FAKE_PYTHON.format(version=version, ensurepip=ensurepip, pip=pip))
        program.chmod(0o755)

    def run(self, what: str = "run", python: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [".ci/venv", what],
            cwd=self.project,
            env={"PATH": str(self.path), "PYTHON": python},
            text=True,
            capture_output=True,
            check=False,
        )

    def pip_calls(self) -> list[str]:
        calls = self.project / "pip.calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 69
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_an_old_python_is_named_with_what_is_wanted(machine):
    machine.python("3.9")
    said = one_sentence(machine.run())
    assert "Python 3.11 or newer is wanted, and python3 here is 3.9" in said
    assert "apt install" in said


def test_python_2_is_old_too(machine):
    machine.python("2.7")
    assert "python3 here is 2.7" in one_sentence(machine.run())


def test_no_python_at_all(machine):
    assert "python3 here is missing" in one_sentence(machine.run())


def test_a_newer_python_beside_an_old_one_is_found(machine):
    machine.python("3.9")
    machine.python("3.12", "python3.12")
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert "with Python 3.12" in result.stderr


def test_python_3_14_is_new_enough(machine):
    machine.python("3.14")
    assert machine.run().returncode == 0


def test_a_missing_venv_module_names_the_package(machine):
    machine.python("3.11", ensurepip=1)
    said = one_sentence(machine.run())
    assert "sudo apt install python3.11-venv" in said


def test_a_chosen_python_that_is_too_old_is_refused_and_no_other_is_tried(machine):
    machine.python("3.12")
    machine.python("3.8", "mine")
    said = one_sentence(machine.run(python="mine"))
    assert "PYTHON=mine is 3.8" in said


def test_a_chosen_python_that_does_not_run_is_refused(machine):
    machine.python("3.12")
    assert "PYTHON=nowhere is not a Python that runs" in one_sentence(machine.run(python="nowhere"))


def test_installs_once_and_says_so_on_one_line(machine):
    machine.python("3.11")
    first = machine.run()
    assert first.returncode == 0
    assert len(first.stderr.splitlines()) == 1
    assert "done in" in first.stderr
    assert len(machine.pip_calls()) == 2
    second = machine.run()
    assert (second.returncode, second.stderr) == (0, "")
    assert len(machine.pip_calls()) == 2


def test_installs_again_when_the_lock_changed(machine):
    machine.python("3.11")
    machine.run()
    (machine.project / "requirements.lock").write_text("cbor2==6.2.1\n")
    assert machine.run().returncode == 0
    assert len(machine.pip_calls()) == 4


def test_what_dev_installed_serves_run(machine):
    machine.python("3.11")
    machine.run("dev")
    assert machine.run("run").stderr == ""


def test_what_tpm_installed_serves_dev_and_run(machine):
    machine.python("3.11")
    machine.run("tpm")
    assert machine.run("dev").stderr == ""
    assert machine.run("run").stderr == ""


def test_what_run_installed_does_not_serve_dev(machine):
    machine.python("3.11")
    machine.run("run")
    machine.run("dev")
    assert any("requirements-dev.lock" in call for call in machine.pip_calls())


def test_a_failed_install_says_where_the_story_is_and_is_tried_again(machine):
    machine.python("3.11", pip=1)
    result = machine.run()
    assert result.returncode == 69
    assert "is the internet reachable? The whole story is in .venv/install.log" in result.stderr
    assert "no route to host" in result.stderr
    machine.run()
    assert len(machine.pip_calls()) == 2


def test_a_half_made_environment_is_made_anew(machine):
    machine.python("3.11")
    machine.run()
    (machine.project / ".venv" / "half-made").touch()
    assert machine.run().returncode == 0
    assert not (machine.project / ".venv" / "half-made").exists()
