"""The check of kept files finds each thing it looks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / ".ci" / "files"

PEM_HEAD = b"-----BEGIN " + b"PRIVATE KEY-----\n"
NOTE_KEY = b"PRIVATE+" + b"KEY+example.org/log+0a1b2c3d+AAAA\n"


def check(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *names],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (PEM_HEAD, "holds a private key"),
        (b"log " + NOTE_KEY, "holds a private key"),
        (b"one\r\ntwo\r\n", "has CRLF line ends"),
        (b"no end", "does not end with a newline"),
        (b"end\n\n", "ends with an empty line"),
        (b"<" * 7 + b" ours\n", "holds a merge conflict"),
        (b"x" * 700_001 + b"\n", "700002 bytes; the most is 700000"),
    ],
)
def test_each_finding_is_named(tmp_path, content, finding):
    (tmp_path / "some.txt").write_bytes(content)
    result = check(tmp_path, "some.txt")
    assert (result.returncode, result.stdout) == (1, f"some.txt: {finding}\n")


def test_a_plain_file_passes(tmp_path):
    (tmp_path / "some.txt").write_bytes(b"plain\n")
    result = check(tmp_path, "some.txt")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_published_test_keys_may_lie_with_the_vectors(tmp_path):
    (tmp_path / "tests" / "vectors").mkdir(parents=True)
    (tmp_path / "tests" / "vectors" / "key.pem").write_bytes(PEM_HEAD)
    assert check(tmp_path, "tests/vectors/key.pem").returncode == 0
