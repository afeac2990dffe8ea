"""One small fault for each promise of the house, and the tests that must notice it.

A fault is an exact piece of text that stands once in its file, and what is put in its place. When
the code moves on, the text is no longer there, and the test says that the mutant is stale: look at
the promise again, and write its fault anew.
"""

from __future__ import annotations

from dataclasses import dataclass

POWER_LOSS = ("tests/faults/test_power_loss.py", "-k", "spine and not cuts")
GUARD = ("tests/unit/edge/test_guard.py",)
GUARD_PROCESS = ("tests/faults/test_edge_guard.py",)


@dataclass(frozen=True, slots=True)
class Mutant:
    """`breaks` is the promise; `edits` are (file, text that stands there once, text instead)."""

    breaks: str
    edits: tuple[tuple[str, str, str], ...]
    caught_by: tuple[str, ...]


MUTANTS = (
    # --- what is acknowledged is on the disk
    Mutant(
        "what the hub sent a receipt for survives a power cut",
        (("hub/ledger/engine.py", '"synchronous=FULL"', '"synchronous=NORMAL"'),),
        POWER_LOSS,
    ),
    Mutant(
        "what the edge sent survives a power cut",
        (
            (
                "edge/outbox_schema.py",
                'DURABLE: Final = "PRAGMA synchronous = FULL"',
                'DURABLE: Final = "PRAGMA synchronous = NORMAL"',
            ),
        ),
        POWER_LOSS,
    ),
    Mutant(
        "a checkpoint is noted outside the database before it is handed out",
        (
            (
                "hub/ledger/store.py",
                "            self._handed.write(HandedOut(signed.size, "
                "opening.head_of(signed).root))\n",
                "            pass\n",
            ),
        ),
        ("tests/unit/hub/ledger/test_store.py", "-k", "handed_out or backup"),
    ),
    Mutant(
        "a hub that was shown a newer ledger than its own signs no more",
        (
            (
                "hub/ledger/store.py",
                "            self._behind = str(error)\n",
                "",
            ),
        ),
        ("tests/unit/hub/ledger/test_store.py", "-k", "shows"),
    ),
    # --- the edge deletes what is proven, and nothing else
    Mutant(
        "a broker's acknowledgement deletes nothing",
        (
            (
                "edge/posting.py",
                "                self.send_again()\n                return\n",
                "                self.send_again()\n                return\n"
                "            self._outbox.bury(row.kid, row.stream, row.sequence, '', None)\n"
                "            with self._outbox._transaction('') as connection:\n"
                "                connection.execute('DELETE FROM dead_letter')\n",
            ),
        ),
        POWER_LOSS,
    ),
    Mutant(
        "what is stored and not final is kept",
        (
            (
                "edge/outbox.py",
                "                final = proven.final.get(key, 0)\n",
                "                final = proven.stored.get(key, 0)\n",
            ),
            (
                "edge/outbox.py",
                "            if (*key, sequence) not in proven.places:\n",
                "            if (*key, sequence) == proven.places:\n",
            ),
        ),
        ("tests/unit/edge/test_outbox.py",),
    ),
    Mutant(
        "what the hub calls final without a proof is kept",
        (
            (
                "edge/receipts.py",
                "        check_many(wanted, checkpoint.size, receipt.hashes, checkpoint.root)\n",
                "        pass\n",
            ),
        ),
        ("tests/unit/edge/test_receipts.py",),
    ),
    Mutant(
        "packs are final with a proof under their seal only",
        (
            (
                "edge/receipts.py",
                "    check_many(wanted, seal.count, receipt.hashes, seal.root)\n",
                "",
            ),
        ),
        ("tests/unit/edge/test_receipts.py",),
    ),
    Mutant(
        "a hub that shows a shorter ledger raises the alarm",
        (
            (
                "edge/receipts.py",
                "    if checkpoint.size < newest.size:\n",
                "    if checkpoint.size < 0:\n",
            ),
        ),
        ("tests/unit/edge/test_receipts.py",),
    ),
    # --- contacts are safe
    Mutant(
        "contacts are safe when the agent is gone",
        (
            (
                "edge/guard.py",
                "        except (OSError, MessageError) as error:\n"
                '            self._hang_up(f"the agent is gone: {error}")\n',
                "        except (OSError, MessageError):\n"
                "            self._selector.unregister(agent.link)\n"
                "            agent.link.close()\n"
                "            self._agent = None\n",
            ),
        ),
        GUARD,
    ),
    Mutant(
        "contacts are safe when the agent is silent",
        (
            (
                "edge/guard.py",
                "now_ms - self._agent.heard_ms >= AGENT_SILENT_MS:",
                "now_ms - self._agent.heard_ms >= AGENT_SILENT_MS << 20:",
            ),
        ),
        GUARD,
    ),
    Mutant(
        "a flood of frames holds up the end of no lease",
        (
            (
                "edge/guard.py",
                "                self.relays.end_leases()  # a flood of frames holds up no end\n",
                "",
            ),
        ),
        GUARD,
    ),
    Mutant(
        "no contact moves at start",
        (
            (
                "hardware/relays/gpio_relay.py",
                "initial_high=not given.active_high)",
                "initial_high=given.active_high)",
            ),
        ),
        ("tests/conformance/hardware/test_relays.py",),
    ),
    Mutant(
        "a guard that starts again moves no contact, as processes have it",
        (
            (
                "hardware/relays/gpio_relay.py",
                "initial_high=not given.active_high)",
                "initial_high=given.active_high)",
            ),
        ),
        (*GUARD_PROCESS, "-k", "at_start or new_one_starts"),
    ),
    Mutant(
        "a lease ends",
        (
            (
                "edge/lease.py",
                "    return 0 < contact.ends_ms <= now_ms\n",
                "    return False\n",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "a lease runs from when its nonce was made, not from when it came",
        (
            (
                "edge/lease.py",
                "ends_ms=nonces[lease.nonce] + lease.ttl_ms,",
                "ends_ms=now_ms + lease.ttl_ms,",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "a lease that is over before it comes moves nothing",
        (
            (
                "edge/lease.py",
                "    if now_ms >= made_ms + lease.ttl_ms:\n",
                "    if now_ms < made_ms:\n",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "a lease counts once",
        (
            (
                "edge/lease.py",
                "    if lease.sequence <= before.sequence:\n",
                "    if lease.sequence < 0:\n",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "a guard obeys the hub's signature alone",
        (
            (
                "edge/relays.py",
                "            cose.verify(envelope, self.trust.hub_key, "
                "network_aad(self.trust.network_id))\n",
                "",
            ),
        ),
        ("tests/unit/edge/test_relays.py",),
    ),
    Mutant(
        "after five short lives no relay moves",
        (
            (
                "edge/boots.py",
                "    return 0 < most <= short\n",
                "    return False\n",
            ),
        ),
        ("tests/unit/edge/test_boots.py",),
    ),
    Mutant(
        "a guard that is held refuses every lease",
        (
            (
                "edge/guard.py",
                '        self.relays.hold("guard", self.hold())\n',
                "",
            ),
        ),
        GUARD,
    ),
    Mutant(
        "a switch at the node beats the hub",
        (
            (
                "edge/relays.py",
                '            thrown.reason if thrown is not None else ""\n',
                '            ""\n',
            ),
        ),
        ("tests/unit/edge/test_override.py",),
    ),
    Mutant(
        "a contact switches six times a minute at most",
        (
            (
                "edge/lease.py",
                "max(rule.switches_per_minute_max - 1, 1):\n",
                "max(rule.switches_per_minute_max * 2, 1):\n",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "of an interlock group one is energised",
        (
            (
                "edge/lease.py",
                "        if name != relay and group and contact.energised",
                "        if name == relay and group and contact.energised",
            ),
        ),
        ("tests/unit/edge/test_lease.py",),
    ),
    Mutant(
        "no policy counts on a relay that does not do what it is told",
        (
            (
                "hub/balancing/demand.py",
                "power_mw, is_cut, is_firm=True, is_waiting=False)\n",
                "power_mw, is_cut, is_firm=False, is_waiting=False)\n",
            ),
        ),
        ("tests/unit/hub/switching/test_unusable.py",),
    ),
    Mutant(
        "a value that its own node does not believe counts as unknown",
        (
            (
                "hub/balancing/policy.py",
                'NOT_BELIEVED: Final = ("implausible", "frozen")\n',
                'NOT_BELIEVED: Final = ("implausible",)\n',
            ),
        ),
        ("tests/unit/hub/balancing/test_doubt.py",),
    ),
    Mutant(
        "a load that is cut behind a silent meter hides nothing else",
        (
            (
                "hub/balancing/demand.py",
                "        return 0 if _is_cut(relay) and not relay.unusable else meter.rated_mw\n",
                "        return meter.rated_mw\n",
            ),
        ),
        ("tests/unit/hub/balancing/test_doubt.py",),
    ),
    Mutant(
        "a load that draws on although it was cut is a fault",
        (
            (
                "hub/switching/effects.py",
                "    if power_mw <= _rest_mw(_base_mw(now.state, name)):\n",
                "    if power_mw >= 0:\n",
            ),
        ),
        ("tests/unit/hub/switching/test_effects.py",),
    ),
    Mutant(
        "what was measured before a contact moved proves nothing",
        (
            (
                "hub/switching/effects.py",
                "min(sample.beacon_ms, sample.heard_ms) > after_ms",
                "sample.heard_ms > after_ms",
            ),
        ),
        ("tests/unit/hub/switching/test_effects.py",),
    ),
    Mutant(
        "a broken relay is not switched again",
        (
            (
                "hub/switching/dispatch.py",
                "            if name in stuck:\n",
                "            if name == stuck:\n",
            ),
        ),
        ("tests/unit/hub/switching/test_unusable.py",),
    ),
    Mutant(
        "what was welded twice is a person's to clear",
        (
            (
                "hub/core/faulting.py",
                "fault.welds >= WELDS_MAX\n",
                "fault.welds > WELDS_MAX\n",
            ),
        ),
        ("tests/unit/hub/core/test_faulting.py",),
    ),
    # --- what gets onto the ledger
    Mutant(
        "only the next of a stream is admitted",
        (
            (
                "hub/sequencer.py",
                "        if message.sequence > expected:\n",
                "        if message.sequence < 0:\n",
            ),
        ),
        ("tests/unit/hub/test_sequencer.py",),
    ),
    Mutant(
        "a replayed live sample is not heard",
        (
            (
                "hub/sequencer.py",
                "        if live.sequence <= self._live.get(live.kid, 0):\n",
                "        if live.sequence < 0:\n",
            ),
        ),
        ("tests/unit/hub/test_sequencer.py",),
    ),
    Mutant(
        "a reading says the meter of its key",
        (
            (
                "hub/intake.py",
                "        if body.meter_id != message.name:\n",
                '        if body.meter_id == "":\n',
            ),
        ),
        ("tests/unit/hub/test_intake.py",),
    ),
    Mutant(
        "a signature has one spelling",
        (
            (
                "messages/publickey.py",
                "    if s > P256_ORDER // 2:\n",
                "    if s > P256_ORDER * 2:\n",
            ),
        ),
        ("tests/unit/messages/test_cose.py",),
    ),
    Mutant(
        "a key under which anybody could sign is refused",
        (
            (
                "messages/publickey.py",
                "    if y in SMALL_ORDER_Y:\n",
                "    if y < 0:\n",
            ),
        ),
        ("tests/unit/messages/test_cose.py",),
    ),
    # --- the market
    Mutant(
        "a member's call waits in the inbox until it is on the ledger",
        (
            (
                "hub/desk.py",
                "                new.spooled.append(spooled)\n",
                "                new.spooled.append(spooled)\n"
                "                self._inbox.done(spooled)\n",
            ),
        ),
        ("tests/unit/hub/ordering/test_order_kills.py", "-k", "any_step"),
    ),
    Mutant(
        "the regulator's floor and cap bind every market",
        (
            (
                "hub/core/clearing.py",
                "        clearing = regulated(book, clearing)\n",
                "",
            ),
        ),
        ("tests/property/hub/market/test_regulated.py", "-k", "floor_and_cap or network_fee"),
    ),
    # --- money
    Mutant(
        "the bank burns what it pays out",
        (
            (
                "hub/core/banking.py",
                "                lines += transfer(member, BANK, amount, PAYOUT)\n",
                "                lines += transfer(member, BANK, amount, PAYOUT)[1:]\n",
            ),
        ),
        ("tests/unit/hub/core/test_banking.py",),
    ),
    Mutant(
        "settlement sums to zero, to the last micro-token",
        (
            (
                "hub/core/money.py",
                'Line(buyer, "purchase", seller, energy_uwh, price_utok_per_kwh, -amount, quality)',
                'Line(buyer, "purchase", seller, energy_uwh, price_utok_per_kwh, '
                "-(energy_uwh * price_utok_per_kwh // 1_000_000_000), quality)",
            ),
        ),
        ("tests/unit/hub/core/test_money.py",),
    ),
)
