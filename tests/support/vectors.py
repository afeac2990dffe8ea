"""Golden vectors: facts from public sources, each file naming its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "vectors"


def vectors(name: str) -> Any:
    """Return the vectors of a file below tests/vectors, without its ending."""
    return json.loads((FOLDER / f"{name}.json").read_text())
