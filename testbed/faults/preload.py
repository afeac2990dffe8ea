"""Small libraries that are compiled here and loaded into a process when it starts.

They stand between a process and its kernel, so that the machine fails for this process alone.
"""

import shutil
import subprocess
from pathlib import Path

from testbed.errors import Unplayable

COMPILER_S = 60


def build(source: Path, folder: Path) -> Path:
    """Compile a library into a folder and return it.

    Raises:
        Unplayable: there is no C compiler, or it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unplayable(f"{source.stem} needs a C compiler: apt install gcc libc6-dev")
    built = folder / f"{source.stem}.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(built), str(source), "-ldl"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMPILER_S, check=False)
    if ended.returncode:
        raise Unplayable(f"{source.stem} could not be compiled: {ended.stderr.strip()[-300:]}")
    return built


def replace(file: Path, text: str) -> None:
    """Write what such a library reads: it sees the old text or the new one, never half of it."""
    written = file.with_suffix(".new")
    written.write_text(text, "ascii")
    written.replace(file)
