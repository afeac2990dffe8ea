"""`gridtally-edge ocmf`: a meter's totals as an OCMF record, signed by the meter's own P-256 key.

Records are numbered without a gap and for good: each is on disk, one a line, before anybody sees
it, and its line is its number. It works while the agent runs, whose outbox is only read.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Final

from edge.config import EdgeConfig, MeterTable
from edge.errors import Unavailable
from edge.outbox_schema import open_for_reading
from keys import stores
from messages.ocmf import EXPORT, IMPORT, Fiscal, Total, format_fiscal, format_xml, sign_record
from messages.publickey import ES256, Signer

GATEWAY: Final = "gridtally-edge"


def make_record(config: EdgeConfig, meter_id: str, clock: str, *, as_xml: bool = False) -> str:
    """Return a new record of a meter's totals as they stand on disk, and keep it.

    Args:
        config: the node's.
        meter_id: whose totals.
        clock: `messages.ocmf.SYNCHRONISED` or UNKNOWN: what is known of the time of the totals.
        as_xml: in the file format of the S.A.F.E. transparency software, with the public key.

    Raises:
        Unavailable: no such meter, it was never read, or its key is no P-256 key.
        KeyFault, OutboxError: key or outbox cannot be read.
        OSError: the record cannot be kept; then there is none.
    """
    table = next((each for each in config.meter if each.meter_id == meter_id), None)
    if table is None:
        known = ", ".join(each.meter_id for each in config.meter)
        raise Unavailable(f"no meter is named {meter_id}; there are: {known}")
    signer = stores.open_signer(table.key)
    if signer.public.alg != ES256:
        raise Unavailable(
            f"meter {meter_id} signs with Ed25519, which OCMF does not know. A P-256 key is made "
            "by `gridtally-edge keygen --p256 METER` before the meter is enrolled"
        )
    with _records(Path(config.state) / "ocmf" / meter_id) as (kept, file):
        record = _signed(config, table, signer, len(kept) + 1, clock)
        file.write(f"{record}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    return format_xml([record], signer.public) if as_xml else f"{record}\n"


def _signed(config: EdgeConfig, table: MeterTable, signer: Signer, page: int, clock: str) -> str:
    at_ms, imported, exported, doubts = _totals(config, table.meter_id)
    totals = [(IMPORT, imported), (EXPORT, exported)]
    fiscal = Fiscal(
        gateway=GATEWAY,
        gateway_serial=config.node,
        gateway_version=_version(),
        page=page,
        model=Path(table.model).stem,
        meter_serial=str(table.options.get("serial") or table.meter_id),
        at_ms=at_ms,
        clock=clock,
        totals=tuple(Total(obis, value) for obis, value in totals if value is not None),
        is_doubtful=bool(doubts),
    )
    return sign_record(signer, format_fiscal(fiscal))


def _totals(config: EdgeConfig, meter_id: str) -> tuple[int, int | None, int | None, str]:
    """Return (instant, import, export, doubts) of a meter's stored register."""
    query = "SELECT at_ms, import_uwh, export_uwh, doubts FROM register WHERE meter_id = ?"
    connection = open_for_reading(Path(config.state) / "outbox.db")
    try:
        found = connection.execute(query, (meter_id,)).fetchone()
    finally:
        connection.close()
    if found is None or found[0] is None or found[1:3] == (None, None):
        raise Unavailable(f"meter {meter_id} has no totals yet: let the agent run for a while")
    return int(found[0]), found[1], found[2], str(found[3])


@contextmanager
def _records(path: Path) -> Iterator[tuple[list[bytes], IO[bytes]]]:
    """Yield a meter's records so far and the file to append to; nobody else writes meanwhile.

    A last line without its end was cut off by a power cut before anybody saw it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            file.truncate(len(whole))
        yield whole.splitlines(), file
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the first record's file needs its name, too
        finally:
            os.close(folder)


def _version() -> str:
    try:
        return version("gridtally")
    except PackageNotFoundError:
        return "0"
