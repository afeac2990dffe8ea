"""From the samples of an instant to what is to be stored and what is to be shown.

The agent's state of each meter lives here: its register, and the samples that wait for their pack.
Everything is computed by `edge.agent`; this file knows which instant makes a reading due, and which
key signs it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from edge import agent
from edge.agent import Packing, Point
from edge.observing import observe
from edge.outbox_records import Batch, Draft
from edge.register import Meter, Observed, Register, Reset, is_new, merged, shifted
from hardware.ports import Sample
from messages import slots
from messages.live import live_sequence, sign_live
from messages.publickey import Signer
from messages.reading import Reading, sign_reading, sign_sealed_reading
from messages.telemetry import Pack, sign_pack

Salts = Callable[[], bytes]
"""Makes 32 random bytes, others each time."""


@dataclass(frozen=True, slots=True)
class SigningMeter:
    """A meter and the key that signs for it."""

    meter: Meter
    signer: Signer


@dataclass(frozen=True, slots=True)
class Shown:
    """What one meter showed at one instant, not signed yet: a live sample is made when it goes."""

    meter_id: str
    at_ms: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Taken:
    """What the samples of one instant led to."""

    batch: Batch
    shown: tuple[Shown, ...]
    resets: tuple[tuple[str, Reset], ...]


@dataclass(slots=True)
class _State:
    """What one meter holds between two instants."""

    register: Register = field(default_factory=Register)
    points: list[Point] = field(default_factory=list)


class Measuring:
    """The meters of a node. `sign_reset` makes the draft of a reset, which the node's key signs.

    With `new_salt` readings are sealed: the ledger holds a commitment, their content goes beside.
    """

    def __init__(
        self,
        meters: Iterable[SigningMeter],
        packing: Packing,
        boot: int,
        sign_reset: Callable[[str, Reset, int], Draft],
        new_salt: Salts | None = None,
    ) -> None:
        self._meters = {each.meter.meter_id: each for each in meters}
        self._states = {meter_id: _State() for meter_id in self._meters}
        self._packing = packing
        self._boot = boot
        self._sign_reset = sign_reset
        self._new_salt = new_salt
        self._live_counts = dict.fromkeys(self._meters, 0)

    def recall(
        self, registers: Mapping[str, Register], points: Mapping[str, Iterable[Point]]
    ) -> None:
        """Go on from what was stored before a restart."""
        for meter_id, state in self._states.items():
            state.register = registers.get(meter_id, state.register)
            state.points = list(points.get(meter_id, state.points))

    @property
    def newest_ms(self) -> int:
        """The instant of the newest sample of any meter, 0 if there is none. [ms UTC]"""
        return max((each.register.at_ms or 0 for each in self._states.values()), default=0)

    def take(self, at_ms: int, samples: Mapping[str, Sample], *, dated: bool) -> Taken:
        """Take in samples of one instant; `dated` says whether the clock may be signed."""
        drafts: list[Draft] = []
        kept: list[tuple[str, Point]] = []
        shown: list[Shown] = []
        resets: list[tuple[str, Reset]] = []
        for meter_id, sample in samples.items():
            meter, state = self._meters[meter_id].meter, self._states[meter_id]
            observed = observe(meter, state.register, sample, at_ms)
            state.register = observed.register
            shown.append(Shown(meter_id, at_ms, observed.sample))
            if observed.reset is not None:
                resets.append((meter_id, observed.reset))
                drafts.append(self._sign_reset(meter_id, observed.reset, at_ms))
            if dated and is_new(state.register, at_ms, self._packing.slot_ms):
                drafts += self._readings(meter_id, observed, at_ms)
                point = agent.make_point(observed.sample, at_ms)
                state.points.append(point)
                kept.append((meter_id, point))
                state.register = replace(state.register, kept_ms=at_ms)
        packs, packed = self._packs(at_ms, samples)
        registers = {meter_id: self._states[meter_id].register for meter_id in samples}
        batch = Batch((*drafts, *packs), registers, tuple(kept), packed)
        return Taken(batch, tuple(shown), tuple(resets))

    def shift(self, by_ms: int) -> None:
        """Move every register's newest sample along with a clock that was set."""
        for state in self._states.values():
            state.register = shifted(state.register, by_ms)

    def begin_epoch(self, kid: bytes, at_ms: int) -> Batch:
        """Begin the integrated register of a key anew: an old copy of the outbox was restored."""
        for meter_id, each in self._meters.items():
            register = self._states[meter_id].register
            if each.signer.public.kid != kid or each.meter.has_counters:
                continue
            totals = (register.import_uwh, register.export_uwh)
            reset = Reset(register.epoch + 1, totals, totals, "an old copy was restored")
            doubts = merged(register.doubts, ("restored",))
            self._states[meter_id].register = replace(register, epoch=reset.epoch, doubts=doubts)
            draft = self._sign_reset(meter_id, reset, at_ms)
            return Batch((draft,), {meter_id: self._states[meter_id].register})
        return Batch()

    def sign_live(self, shown: Shown, beacon: bytes, *, stored: bool) -> tuple[bytes, bytes]:
        """Return (kid, bytes) of a live sample; totals that are not stored yet are left out."""
        each, sample = self._meters[shown.meter_id], shown.sample
        if not stored:
            sample = replace(sample, energy_import_uwh=None, energy_export_uwh=None)
        self._live_counts[shown.meter_id] += 1
        live = agent.make_live(each.meter, sample, shown.at_ms, beacon)
        live = replace(live, sequence=self.live_head(shown.meter_id))
        return each.signer.public.kid, sign_live(each.signer, live)

    def live_head(self, meter_id: str) -> int:
        """Return the sequence of the newest live sample of a meter; 0 for none since this start."""
        count = self._live_counts[meter_id]
        return live_sequence(self._boot, count) if count else 0

    def change_key(self, meter_id: str, signer: Signer) -> None:
        """Let another key sign for a meter from now on; its register goes on as it is."""
        self._meters[meter_id] = replace(self._meters[meter_id], signer=signer)

    def kids(self) -> dict[str, bytes]:
        """Return the key id of each meter."""
        return {meter_id: each.signer.public.kid for meter_id, each in self._meters.items()}

    def _readings(self, meter_id: str, observed: Observed, at_ms: int) -> list[Draft]:
        """Return the reading of a slot edge; what was doubtful about it is told with it."""
        each, state = self._meters[meter_id], self._states[meter_id]
        if not slots.is_edge(at_ms, self._packing.slot_ms):
            return []
        reading = agent.make_reading(each.meter, observed, at_ms)
        if reading is None:
            return []
        state.register = replace(state.register, doubts=())
        return [_reading_draft(each.signer, reading, self._new_salt)]

    def _packs(
        self, at_ms: int, sampled: Container[str]
    ) -> tuple[list[Draft], tuple[tuple[str, int], ...]]:
        """Return the packs that no later sample can join, and up to where points are in them."""
        drafts: list[Draft] = []
        packed: list[tuple[str, int]] = []
        for meter_id, state in self._states.items():
            each = self._meters[meter_id]
            # A device that has not answered yet may still answer for this instant.
            last_ms = at_ms if meter_id in sampled else at_ms - self._packing.step_ms
            for run in list(agent.cut(state.points, self._packing)):
                is_last = run[-1] is state.points[-1]
                if is_last and not agent.is_closed(run, last_ms, self._packing):
                    continue
                state.points = state.points[len(run) :]
                packed.append((meter_id, run[-1].at_ms))
                pack = agent.make_pack(each.meter, run, self._packing.step_ms)
                if pack is not None:
                    drafts.append(_pack_draft(each.signer, pack))
        return drafts, tuple(packed)


def _reading_draft(signer: Signer, reading: Reading, new_salt: Salts | None) -> Draft:
    def sign(sequence: int) -> bytes:
        numbered = replace(reading, sequence=sequence)
        if new_salt is None:
            return sign_reading(signer, numbered)
        return sign_sealed_reading(signer, numbered, new_salt())

    return Draft(signer.public.kid, "register", sign)


def _pack_draft(signer: Signer, pack: Pack) -> Draft:
    return Draft(
        signer.public.kid,
        "telemetry",
        lambda sequence: sign_pack(signer, replace(pack, sequence=sequence)),
        pack.meter_id,
    )
