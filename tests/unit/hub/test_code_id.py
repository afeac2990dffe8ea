"""The name of the rules changes with every byte of them, and with every contract brought in."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub import code_id as module
from hub.balancing.catalog import POLICIES
from hub.code_id import code_id
from hub.market.catalog import CONTRACTS
from tests.support.village import Village

OTHERS = ("matching.py", "balancing/dep.py")


def _copy(folder: Path) -> Path:
    source = Path(module.__file__).parent
    for path in [*source.glob("*/**/*.py"), source / "matching.py"]:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def test_it_covers_the_source_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = code_id()
    hub = _copy(tmp_path)
    monkeypatch.setattr(module, "files", lambda _package: hub)
    assert code_id() == shipped
    seen = {shipped}
    for name in ("core/money.py", "market/rest.py", "market/contracts/listing.py", *OTHERS):
        path = hub / name
        path.write_bytes(path.read_bytes() + b"\n")
        assert code_id() not in seen
        seen.add(code_id())
    (hub / "ledger" / "books.py").write_text("")
    assert code_id() in seen


def test_it_covers_what_other_packages_bring_in() -> None:
    shipped = code_id()
    assert code_id(dict(CONTRACTS), dict(POLICIES)) == shipped
    lab = {**CONTRACTS, "lab": Village}
    other = {**CONTRACTS, "other": Village}
    assert len({shipped, code_id(lab), code_id(other), code_id(CONTRACTS, {"lab": Village})}) == 4  # type: ignore[dict-item]
