"""A founded hub with members who have keys of their own, for tests of records, cases and grants."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hub.casework.telling import tell_owners
from hub.closing import Closer, CloseRule
from hub.link.arrivals import Arrival
from hub.vault.desk import RecordDesk
from keys.file import FileSigner
from messages.entries import KeyEntry
from messages.reading import Reading, encode_reading, sign_sealed_reading
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519, p256

LATER_MS = START_MS + 100 * SLOT_MS


class Community:
    """A microgrid with two stores, three members and a closed slot; rita is the regulator."""

    def __init__(
        self,
        folder: Path,
        readings: str = "open",
        stores: tuple[str, ...] = ("file:one", "file:two"),
    ) -> None:
        self.bench = Bench(folder, readings=readings)
        toml = folder / "hub.toml"
        places = ", ".join(f'"{place}"' for place in stores)
        toml.write_text(toml.read_text() + f"\n[records]\nstores = [{places}]\n")
        self.config = self.bench.config
        self.one, self.two = folder / "one", folder / "two"
        self.people: dict[str, FileSigner] = {
            "ann": ed25519("ann"),
            "bob": p256("bob"),
            "rita": ed25519("rita"),
        }
        self.closed = 0
        self.totals_uwh = dict.fromkeys(METERS, 1)
        opened = self.bench.open()
        spine = self.bench.spine(opened)
        roles = {"rita": ("regulator",)}
        entries = [
            KeyEntry("enrol", "member", name, key.public.cose_key, roles=roles.get(name, ()))
            for name, key in self.people.items()
        ]
        assert not any(self.bench.enrol(spine, [*self.bench.key_entries(), *entries]))
        self.readings = readings
        spine.take_in([self.say(meter, START_MS, 1) for meter in METERS], 0, START_MS)
        opened.close()
        self.close()

    def close(self, slots: int = 1, **step_uwh: int) -> None:
        """Read all meters at the end of the next slots, and close them.

        `step_uwh`: by how much the total of a meter grows in each, if not by one. [uWh]
        """
        opened = self.bench.open()
        spine = self.bench.spine(opened)
        closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 0, 0))
        for _ in range(slots):
            start_ms = START_MS + self.closed * SLOT_MS
            self.closed += 1
            for meter in METERS:
                self.totals_uwh[meter] += step_uwh.get(meter, 1)
            batch = [
                self.say(meter, start_ms + SLOT_MS, uwh) for meter, uwh in self.totals_uwh.items()
            ]
            spine.take_in(batch, 0, start_ms + SLOT_MS)
            closer.close(start_ms, "complete", start_ms + SLOT_MS)
        tell_owners(spine, opened.pen)
        spine.sign_checkpoint()
        opened.close()

    def say(self, meter: str, at_ms: int, uwh: int) -> Arrival:
        """A register, sealed where the network asks for it."""
        if self.readings == "open":
            return self.bench.reading(meter, at_ms, uwh)
        signer = self.bench.meters[meter]
        totals = (0, uwh) if METERS[meter] == "generation" else (uwh, 0)
        said = Reading(MICROGRID, meter, self.bench.next(signer, "register"), at_ms, *totals)
        salt = hashlib.sha256(encode_reading(said)).digest()
        return Arrival(NODE, "register", sign_sealed_reading(signer, said, salt))

    def desk(self, name: str) -> RecordDesk:
        """Somebody at the hub's machine."""
        return RecordDesk(self.config, self.people[name])
