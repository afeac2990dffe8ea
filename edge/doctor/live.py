"""What only the running machine can answer: free space, devices, broker, hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge import report
from edge.boots import is_held, short_lives
from edge.config import EdgeConfig
from edge.doctor.checks import Finding
from edge.errors import EdgeError

FREE_BYTES_LEAST: Final = 200_000_000


def examine_live(config: EdgeConfig) -> Iterator[Finding]:
    """Yield what is found out by asking."""
    yield _space(Path(config.state))
    yield from _starts(config)
    yield from _devices(config)
    yield _broker(config)
    yield _hub(config)


def _space(state: Path) -> Finding:
    folder = next(each for each in (state, *state.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free // 1_000_000} MB free for {state}"
    if free < FREE_BYTES_LEAST:
        why = "what is signed waits on disk until the hub has it"
        return Finding(
            "space", "wrong", text, why, "sudo apt clean; sudo journalctl --vacuum-size=50M"
        )
    return Finding("space", "ok", text)


def _starts(config: EdgeConfig) -> Iterator[Finding]:
    """Say whether guard and agent live long enough to be trusted with relays."""
    most = config.guard.short_boots_max
    for program, short in short_lives(Path(config.state)).items():
        if is_held(short, most):
            text = f"{short} in a row that ended within a minute"
            mend = "gridtally-edge relay allow    # once you know what ended them"
            yield Finding(f"{program} starts", "wrong", text, "it keeps relays safe", mend)


def _devices(config: EdgeConfig) -> Iterator[Finding]:
    for answer in report.read_all(config):
        name = f"meter {answer.table.meter_id}"
        if answer.sample is None:
            mend = "gridtally-edge scan    # shows what answers on each bus"
            yield Finding(name, "wrong", answer.fault, "it measures nothing", mend)
        elif answer.sample.quality:
            yield Finding(name, "note", f"answers, with doubt: {answer.sample.quality}")
        else:
            yield Finding(name, "ok", "answers")


def _broker(config: EdgeConfig) -> Finding:
    fault = report.broker_fault(config)
    if fault:
        why = "readings wait here until it is there"
        mend = "systemctl status mosquitto    # on the broker's machine; then host and port here"
        return Finding("broker", "wrong", fault, why, mend)
    return Finding("broker", "ok", f"{config.broker.host}:{config.broker.port} answers")


def _hub(config: EdgeConfig) -> Finding:
    """Say whether the hub's receipts come in: what it has of what was signed."""
    try:
        found = report.status(config)
    except EdgeError as error:
        return Finding("hub", "unknown", str(error), "", "gridtally-edge run    # then ask again")
    signed = sum(each["signed"] for each in found["streams"])
    stored = sum(each["stored"] for each in found["streams"])
    if found["alarm"]:
        mend = "compare with the hub's administrator; see gridtally-edge accept-hub --help"
        return Finding("hub", "wrong", found["alarm"], "its ledger is not what it was", mend)
    if not found["checkpoint"]:
        mend = "gridtally-hub enrol enrol-*.json    # on the hub"
        why = "nothing signed here has been receipted"
        return Finding("hub", "wrong", "no receipt yet", why, mend)
    waiting = f", {signed - stored} wait" if signed > stored else ""
    return Finding("hub", "ok", f"has {stored} of {signed} messages{waiting}")
