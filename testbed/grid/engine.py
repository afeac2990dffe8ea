"""A generator or fuel cell at work: off, starting, or following the load within its ramp."""

from dataclasses import dataclass

from testbed.grid.parts import Engine


@dataclass(slots=True)
class Running:
    """One engine now; `ready_ms` None: it is off."""

    engine: Engine
    power_uw: int = 0
    ready_ms: int | None = None
    seen_ms: int = 0

    def follow(self, wanted_uw: int, now_ms: int, *, may_run: bool, is_unwanted: bool) -> None:
        """Move towards what is wanted, as far as the time since the last look allows.

        Args:
            wanted_uw: what the other sources leave open.
            now_ms: this instant.
            may_run: there is no grid, and a bus to feed.
            is_unwanted: somebody else had to be throttled for it.
        """
        passed_ms, self.seen_ms = now_ms - self.seen_ms, now_ms
        engine = self.engine
        if not may_run or now_ms < engine.from_ms:
            self.power_uw, self.ready_ms = 0, None
        elif self.ready_ms is None:
            if wanted_uw > 0 and wanted_uw >= engine.minimum_uw:
                self.ready_ms = now_ms + engine.start_ms
        elif now_ms >= self.ready_ms:
            if is_unwanted and self.power_uw <= engine.minimum_uw:
                self.power_uw, self.ready_ms = 0, None
                return
            self._ramp(wanted_uw, passed_ms)

    def _ramp(self, wanted_uw: int, passed_ms: int) -> None:
        engine = self.engine
        target_uw = max(engine.minimum_uw, min(engine.maximum_uw, wanted_uw))
        most_uw = engine.ramp_uw_per_s * passed_ms // 1000
        before_uw = max(self.power_uw, engine.minimum_uw)
        self.power_uw = max(before_uw - most_uw, min(before_uw + most_uw, target_uw))
