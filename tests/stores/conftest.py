"""What every test of a store needs: a token, a TPM, and proof that neither is asked in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.soft_token import SoftToken
from tests.support.soft_tpm import SoftTpm, running_tpm


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    made = SoftToken(tmp_path, monkeypatch)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[SoftTpm]:
    with running_tpm(tmp_path) as running:
        yield running
