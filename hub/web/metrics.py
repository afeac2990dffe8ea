"""Prometheus metrics of one picture. A silent meter loses its series; nothing freezes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.web.view import Picture


class PictureCollector(Collector):
    """Turns one picture into metric families; made anew for each scrape."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """Yield every family, in a fixed order."""
        yield from self._meters()
        yield from self._relays()
        yield from self._ledger()

    def _meters(self) -> Iterator[Metric]:
        labels = ["meter", "member", "purpose"]
        power = GaugeMetricFamily(
            "gridtally_meter_power_watts", "Newest signed power; positive is import.", labels=labels
        )
        age = GaugeMetricFamily(
            "gridtally_meter_age_seconds", "Age of the newest signed sample.", labels=labels
        )
        meters = [meter for member in self._picture.members for meter in member.meters]
        if self._picture.boundary is not None:
            meters.append(self._picture.boundary)
        for meter in meters:
            values = [meter.meter_id, meter.member, meter.purpose]
            if meter.power_mw is not None and meter.badge != "silent":
                power.add_metric(values, meter.power_mw / 1000)
            if meter.age_ms is not None:
                age.add_metric(values, meter.age_ms / 1000)
        yield power
        yield age
        totals = self._picture.totals
        if totals is not None:
            total = GaugeMetricFamily(
                "gridtally_total_power_watts",
                "Sums over all members, none where one of them is not known.",
                labels=["of"],
            )
            total.add_metric(["generation"], totals.generation_mw / 1000)
            total.add_metric(["load"], totals.load_mw / 1000)
            yield total

    def _relays(self) -> Iterator[Metric]:
        fed = GaugeMetricFamily(
            "gridtally_relay_fed", "1 where the load is fed, 0 where it is cut.", labels=["relay"]
        )
        usable = GaugeMetricFamily(
            "gridtally_relay_usable", "0 where no policy can count on it.", labels=["relay"]
        )
        for member in self._picture.members:
            for relay in member.relays:
                usable.add_metric([relay.relay], int(not relay.unusable))
                if relay.fed is not None:
                    fed.add_metric([relay.relay], int(relay.fed))
        yield fed
        yield usable

    def _ledger(self) -> Iterator[Metric]:
        ledger = self._picture.ledger
        yield GaugeMetricFamily("gridtally_ledger_entries", "Ledger entries.", value=ledger.size)
        yield GaugeMetricFamily(
            "gridtally_ledger_verified", "1 when the verifier agrees.", value=int(ledger.verified)
        )
        yield GaugeMetricFamily(
            "gridtally_ledger_verified_entries", "Entries verified.", value=ledger.verified_size
        )
        if ledger.witnessed:
            yield GaugeMetricFamily(
                "gridtally_ledger_final_entries",
                "Entries under a quorum of witnesses.",
                value=ledger.final_size,
            )
        age = GaugeMetricFamily(
            "gridtally_witness_age_seconds", "Age of the newest cosignature.", labels=["witness"]
        )
        for witness in ledger.witnesses:
            if witness.age_s is not None:
                age.add_metric([witness.name], witness.age_s)
        yield age
        if self._picture.unaccounted_mw is not None:
            yield GaugeMetricFamily(
                "gridtally_unaccounted_watts",
                "Boundary power minus the sum of the members.",
                value=self._picture.unaccounted_mw / 1000,
            )
        refused = CounterMetricFamily(
            "gridtally_refused_messages", "Messages refused, by reason.", labels=["reason"]
        )
        for reason, count in sorted(self._picture.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield self._suspects()
        yield GaugeMetricFamily("gridtally_alarms", "Alarms now.", value=len(self._picture.alarms))

    def _suspects(self) -> Metric:
        family = GaugeMetricFamily(
            "gridtally_suspect_watt_hours",
            "Energy by which a meter does not fit the others; above 0 it shows too little.",
            labels=["meter", "kind"],
        )
        for suspect in self._picture.suspects:
            family.add_metric([suspect.meter_id, suspect.kind], suspect.amount_wh)
        return family


def metrics_text(picture: Picture) -> bytes:
    """Return the exposition text of `picture`."""
    registry = CollectorRegistry()
    registry.register(PictureCollector(picture))
    return generate_latest(registry)
