"""Metrics drop what is not known and name units as Prometheus wants them."""

from __future__ import annotations

from hub.web.metrics import metrics_text
from tests.support.pictures import member, meter, picture, relay


def lines(**changes: object) -> set[str]:
    both = (meter("pv", -20_000, purpose="generation"), meter("dead", None))
    shown = member("dep2", 1, meters=both, relays=(relay("heater", fed=False),))
    return set(metrics_text(picture(shown, **changes)).decode().splitlines())


def test_a_silent_meter_has_no_power_series() -> None:
    text = lines()
    power = {line for line in text if line.startswith("gridtally_meter_power_watts{")}

    assert power == {
        'gridtally_meter_power_watts{member="dep2",meter="pv",purpose="generation"} -20.0'
    }


def test_relay_ledger_and_refusals_are_there() -> None:
    text = lines(refused={"bad_signature": 3}, alarms=("x",))

    assert 'gridtally_relay_fed{relay="heater"} 0.0' in text
    assert "gridtally_ledger_entries 12.0" in text
    assert "gridtally_ledger_verified 1.0" in text
    assert 'gridtally_refused_messages_total{reason="bad_signature"} 3.0' in text
    assert "gridtally_alarms 1.0" in text
    assert not any(line.startswith("gridtally_unaccounted_watts ") for line in text)
