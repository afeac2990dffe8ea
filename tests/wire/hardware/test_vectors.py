"""Captured and derived frames of every model, through the real serial bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware import errors
from hardware.modelfile import shipped_names
from tests.support.played import played

VECTORS = Path(__file__).parents[2] / "vectors"


def rows(kind: str, key: str) -> Iterator[Any]:
    for model in shipped_names():
        path = VECTORS / f"{model}.json"
        for row in json.loads(path.read_text()).get(kind, ()) if path.exists() else ():
            if key in row and int(row["request"].split()[1], 16) in (3, 4):
                yield pytest.param(row, id=f"{model}: {row['name']}")


@pytest.mark.parametrize("row", list(rows("exchanges", "expect")))
def test_a_good_reply_is_read_as_it_came(row):
    words = played(row)
    body = b"".join(word.to_bytes(2, "big") for word in words)
    assert body == bytes.fromhex(row["reply"])[3:-2]


@pytest.mark.parametrize("row", list(rows("negative", "error")))
def test_what_must_not_be_believed_is_refused_by_name(row):
    with pytest.raises(getattr(errors, row["error"])):
        played(row)
