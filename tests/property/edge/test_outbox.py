"""The outbox against a model: any order of commits, receipts, refusals, and restarts."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.receipts import Proven
from edge.register import Register
from messages.log.checkpoint import Checkpoint
from messages.log.tree import leaf_hash

KEYS = [(b"a" * 8, "register"), (b"a" * 8, "telemetry"), (b"b" * 8, "telemetry")]
ROWS_MAX = 20


def raw_of(key, sequence):
    return f"{key} {sequence}".encode()


class OutboxMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.outbox = Outbox(Path(self.folder.name), ROWS_MAX)
        self.rows = []  # (key, sequence), oldest first
        self.given = dict.fromkeys(KEYS, 0)
        self.stored = dict.fromkeys(KEYS, 0)
        self.total = 0
        self.dead = 0

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=8))
    def commit(self, keys):
        drafts = tuple(Draft(*key, lambda sequence, key=key: raw_of(key, sequence)) for key in keys)
        self.total += 1
        rows = self.outbox.commit(Batch(drafts, {"pv": Register(self.total, 0)}))
        for key, row in zip(keys, rows, strict=True):
            self.given[key] += 1
            assert (row.sequence, row.raw) == (self.given[key], raw_of(key, self.given[key]))
            self.rows.append((key, self.given[key]))
        while len(self.rows) > ROWS_MAX:
            packs = [place for place in self.rows if place[0][1] == "telemetry"]
            if not packs:
                break
            self.rows.remove(packs[0])

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def receipt(self, key, data):
        stored = data.draw(st.integers(0, self.given[key]))
        final = data.draw(st.integers(0, stored))
        proven = data.draw(st.sets(st.integers(1, max(1, final))))
        places = frozenset((*key, sequence) for sequence in proven)
        claim = Proven(Checkpoint("o", 1, b"r" * 32), "n", {key: stored}, {key: final}, places)
        held = sorted(sequence for each, sequence in self.rows if each == key)
        going = []
        for sequence in held:
            if sequence > final or sequence not in proven:
                break
            going.append(sequence)
        assert self.outbox.settle(claim).deleted == len(going)
        self.stored[key] = max(self.stored[key], stored)
        self.rows = [row for row in self.rows if row[0] != key or row[1] not in going]

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def refusal(self, key, data):
        sequence = data.draw(st.integers(1, self.given[key] + 1))
        was_held = (key, sequence) in self.rows
        assert self.outbox.bury(*key, sequence, "no", None) == was_held
        self.rows = [row for row in self.rows if row != (key, sequence)]
        self.dead += was_held

    @rule()
    def restart(self):
        self.outbox.close()
        self.outbox = Outbox(Path(self.folder.name), ROWS_MAX)

    @invariant()
    def it_is_what_the_model_says(self):
        rows = list(self.outbox.all_rows())
        assert [((row.kid, row.stream), row.sequence) for row in rows] == self.rows
        assert self.outbox.rows == len(self.rows)
        assert self.outbox.dead_letters == self.dead
        assert self.outbox.registers() == ({"pv": Register(self.total, 0)} if self.total else {})
        unsent = [place for place in self.rows if place[1] > self.stored[place[0]]]
        due = self.outbox.rows_after(0, 1000)
        assert [((row.kid, row.stream), row.sequence) for row in due] == unsent
        for key in KEYS:
            head = self.outbox.head(*key)
            assert head.next_sequence == self.given[key] + 1
            assert head.stored_up_to == self.stored[key]
            held = [sequence for each, sequence in self.rows if each == key]
            assert all(sequence > head.final_up_to for sequence in held)
            beyond = [sequence for sequence in held if sequence > self.stored[key]]
            assert self.outbox.first_held(*key) == min(beyond, default=self.given[key] + 1)
            for sequence in held:
                assert self.outbox.leaf_of(*key, sequence) == leaf_hash(raw_of(key, sequence))

    def teardown(self):
        if hasattr(self, "outbox"):
            self.outbox.close()
            self.folder.cleanup()


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
