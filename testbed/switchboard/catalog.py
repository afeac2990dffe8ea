"""Every fault that can be played on a demo, in plain words, and why the others cannot. Tables only.

Rows F1 to F38 are the fault catalogue of the project: what a testbed in a laboratory meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hardware.mock.faults import FAULTS as DEVICE_FAULTS


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its name, the rows it plays, what happens, and what somebody who looks will see.

    `kind` says what it can be played on: a program, node, device, or the ledger. `see_on`: what
    somebody sees where a target's name begins so.
    """

    name: str
    rows: tuple[str, ...]
    kind: str
    plays: str
    see: str
    see_on: tuple[tuple[str, str], ...] = ()

    def seen_on(self, target: str) -> str:
        """Return what somebody will see who plays it on this target."""
        found = (words for beginning, words in self.see_on if target.startswith(beginning))
        return next(found, self.see)


ROWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "F1": "a process is killed",
        "F2": "a process hangs",
        "F3": "the broker restarts",
        "F4": "broker or hub away for long",
        "F5": "the hub dies while loads are shed",
        "F6": "a node that restarts again and again",
        "F7": "power loss",
        "F8": "an upgrade cut half-way",
        "F9": "disk full",
        "F10": "read-only file system",
        "F11": "the disk cannot sync",
        "F12": "short writes",
        "F13": "torn or truncated write-ahead log",
        "F14": "ledger put back from an old copy",
        "F15": "ledger tampered with",
        "F16": "a hub that tells two stories",
        "F17": "no clock at boot",
        "F18": "the wall clock jumps",
        "F19": "drift, daylight saving, leap second",
        "F20": "suspend and resume",
        "F21": "messages doubled, out of order, lost, late",
        "F22": "an old reading again",
        "F23": "malformed messages",
        "F24": "forged signatures",
        "F25": "a revoked key",
        "F26": "one key on two devices",
        "F27": "the hub's key changes",
        "F28": "old relay commands again",
        "F29": "a stranger who wants to join",
        "F30": "a sensor that is wrong",
        "F31": "a counter that begins anew",
        "F32": "a bus that fails",
        "F33": "a relay that does not follow",
        "F34": "ten times the load",
        "F35": "a node that floods",
        "F36": "half-open connections",
        "F37": "slow and hostile web requests",
        "F38": "somebody connects under another's name",
    }
)
"""Row -> what it is about."""

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "program": "Programs",
        "node": "Between a node and the broker",
        "device": "Meters, buses and relays",
        "broker": "Strangers at the door",
        "web": "Strangers at the door",
        "disk": "Disks",
        "clock": "Clocks",
        "ledger": "The ledger's file",
    }
)
"""Kind of a fault -> under which heading it is shown."""

NOT_PLAYED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "F7": "only a machine without current loses what its kernel held; tests cut writes instead",
        "F8": "there is one version only; tests cut the change of a schema",
        "F13": "what is torn is seen at the next power-on; tests tear every frame of the log",
        "F16": "it takes a hub that was rewritten to lie; tests have one",
        "F17": "a demo's time comes from the demo, not from a clock at boot",
        "F19": "a demo's time has none of them; tests set clocks there and back",
        "F20": "the whole machine would have to sleep; leases are counted by a clock that goes on",
        "F25": "there is no way back: `gridtally-hub key revoke meter NAME` plays it for good",
        "F27": "no fault but a ceremony, and there is no way back; tests rotate keys under load",
        "F29": "a demo lets nobody join; tests come with wrong, old and guessed codes",
    }
)
"""Row that no switch plays -> why, and who plays it instead."""

_PROGRAMS: Final = (
    Fault(
        "kill",
        ("F1", "F3", "F4", "F5"),
        "program",
        "The program is killed at once (SIGKILL) and stays away until this is switched off.",
        "What depends on it says so or falls back to safe; after off nothing is lost and nothing "
        "is counted twice.",
        (
            (
                "hub",
                "The page says that the hub does not run; within 5 s, when leases end, every "
                "relay is back at safe. Simulated time waits for it.",
            ),
            ("edge-", "Its meters grow late, then silent; its guard releases its relays at once."),
            ("guard-", "Its relays are safe at once. Its meters go on."),
            (
                "broker",
                "All samples grow late, then silent, and relays are safe when their leases end; "
                "edges keep everything. Off: it all arrives.",
            ),
            ("web", "This page is gone; `gridtally-testbed fault kill off web` brings it back."),
        ),
    ),
    Fault(
        "hang",
        ("F2",),
        "program",
        "The program is frozen (SIGSTOP): its connections stand, and it says nothing.",
        "As with kill, but nobody is told that it is gone.",
        (
            ("hub", "Its health grows old, and the page says so; leases end, relays are safe."),
            ("edge-", "Its guard hears nothing for 2 s, then releases its relays."),
            ("guard-", "Its relays stay where they are until it goes on; their leases are over."),
            ("broker", "Nobody is hung up on; samples grow late, then silent."),
        ),
    ),
)
_BOOT_LOOP: Final = Fault(
    "boot_loop",
    ("F6",),
    "program",
    "The program is killed soon after its start, five times in a row.",
    "After the fifth time relays of the node stay safe and it meters only: whatever kills it would "
    "move them again and again. Off: what counted is forgotten, as with `gridtally-edge relay "
    "allow`.",
)
_MACHINES: Final = (
    Fault(
        "disk_full",
        ("F9",),
        "disk",
        "Every write of the program says that no space is left (ENOSPC).",
        "It gives back its reserve, goes on as long as that lasts, and loses nothing.",
        (
            (
                "hub",
                "It takes nothing in. Not even its health can be written, so the page says that it "
                "does not run. Edges keep their readings. Off: it goes on within seconds, without "
                "a restart.",
            ),
        ),
    ),
    Fault(
        "disk_read_only",
        ("F10",),
        "disk",
        "Every write of the program says that the file system is read-only (EROFS).",
        "It ends itself and says why, and is started again until it can write; its relays are "
        "safe meanwhile, the page still reads, and nothing that was acknowledged is lost.",
    ),
    Fault(
        "disk_no_sync",
        ("F11",),
        "disk",
        "The disk takes what is written and cannot promise to keep it (fsync: EIO).",
        "At the next entry it ends itself rather than promise what is not safe, and is started "
        "again until the disk can; nothing that was acknowledged is lost.",
    ),
    Fault(
        "disk_short",
        ("F12",),
        "disk",
        "Each write takes half of what was given.",
        "Nothing: what is left is written after it.",
    ),
    Fault(
        "wrong_clock",
        ("F18",),
        "clock",
        "The program's wall clock jumps one hour ahead.",
        "Relays, leases and readings do not move: leases are counted by a clock that never jumps. "
        "The hub's health looks an hour old or an hour young to others.",
    ),
)
_MESSAGES: Final = (
    Fault(
        "cable_cut",
        ("F4",),
        "node",
        "The cable between node and broker is cut: both go on sending into it.",
        "Its meters grow late, then silent; its relays are safe when their leases end. Off: what "
        "the node kept arrives, and its slots are settled with what was measured.",
    ),
    Fault(
        "delayed",
        ("F21",),
        "node",
        "Every message takes 3 s more, both ways.",
        "The node's samples are older, some are called late. Nothing is lost.",
    ),
    Fault(
        "duplicate",
        ("F21",),
        "node",
        "Every message of the node comes twice.",
        "Nothing: the ledger takes the next sequence and nothing else.",
    ),
    Fault(
        "reorder",
        ("F21",),
        "node",
        "Every two messages of the node change places.",
        "Nothing: the hub holds what is early for a moment, or is sent it again.",
    ),
    Fault(
        "lossy",
        ("F21",),
        "node",
        "Every second message is acknowledged and lost, as a broker may do.",
        "Receipts come later. Nothing is lost: the node believes the hub's receipt alone.",
    ),
    Fault(
        "replay",
        ("F22",),
        "node",
        "Once a second somebody sends one of the node's older messages again.",
        "The ledger does not grow by it. Its signature is true, its place is taken.",
    ),
    Fault(
        "malformed",
        ("F23",),
        "node",
        "Once a second somebody sends rubbish in the node's name: empty, cut, nested, too large.",
        "Refused messages are counted as malformed and too-large. Everything else goes on.",
    ),
    Fault(
        "forged",
        ("F24",),
        "node",
        "Once a second somebody sends a reading with one bit of its signature changed.",
        "Refused messages are counted as bad-signature. Nothing of it reaches the ledger.",
    ),
    Fault(
        "clone",
        ("F26",),
        "node",
        "A second agent has copies of the node's keys and begins to sign: one key on two devices.",
        "An alarm that names the meter: two contents under one number, both kept as evidence. The "
        "alarm stays until the hub starts anew; the evidence stays for good.",
    ),
    Fault(
        "old_leases",
        ("F28",),
        "node",
        "Once a second somebody sends the node all relay commands of before again.",
        "No contact moves: each command is for a moment that is over, and the guard says so.",
    ),
    Fault(
        "flood",
        ("F34", "F35"),
        "node",
        "The node sends everything fifty times more.",
        "The hub works harder and takes nothing twice; other nodes stay fresh.",
    ),
)
_STRANGERS: Final = (
    Fault(
        "idle_sockets",
        ("F36",),
        "broker",
        "A hundred connections to the broker are opened, and nothing is said on them.",
        "Nothing: readings and leases go on as before.",
    ),
    Fault(
        "slow_requests",
        ("F37",),
        "web",
        "Fifty requests to the page come one byte a second, and never end.",
        "The page stays quick; each of them is hung up on within seconds.",
    ),
    Fault(
        "impostor",
        ("F38",),
        "broker",
        "Once a second somebody connects as the hub, with a guessed password.",
        "He is refused, and the hub stays connected: its relays keep their leases.",
    ),
)
_LEDGER: Final = (
    Fault(
        "ledger_edited",
        ("F15",),
        "ledger",
        "One byte of an old reading is changed in the hub's database, by whoever has its disk.",
        "The page's verifier starts anew and says NOT VERIFIED with the entry's number; "
        "`gridtally-hub verify` says the same.",
    ),
    Fault(
        "ledger_rolled_back",
        ("F14",),
        "ledger",
        "The hub is stopped, and starts on a copy of its ledger that lacks the newest entries.",
        "The hub refuses to start and says why, below what was played: it handed out a checkpoint "
        "over more than this ledger has. Off: the true ledger is back, and nothing is lost.",
    ),
)

_WRONG_VALUES: Final = (
    "A reading with a word of doubt on its badge, or one that does not fit its neighbours: compare "
    "it with what the member's other meters say."
)
_NO_VALUE: Final = (
    "The meter falls silent on the page and is asked again with growing pauses. Its bus, its "
    "neighbours and the node go on."
)
_DAMAGED: Final = "The damaged reply is noticed and asked for again; a meter may fall silent."
_SEEN: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "counter_reset": (
            "F31",
            "The drop is no negative energy: a new epoch of the register begins, and the ledger "
            "says so. Only meters that count by themselves have it.",
        ),
        "frozen": ("F30", "Its power stays the same however the load changes."),
        "lie": (
            "F30",
            "It says half. Nobody can see that from one meter: its member's sums no longer fit.",
        ),
        "noise": ("F30", "Its power wanders by two percent. Nothing is alarmed."),
        "turned": ("F30", "Consumption looks like generation; the sums do not fit any more."),
        "overflow": ("F30", "The meter says that its values mean nothing: no power is shown."),
        "not_available": ("F30", _WRONG_VALUES),
        "torn": ("F30", _WRONG_VALUES),
        "rescaled": ("F30", _WRONG_VALUES),
        "tenths": ("F30", "Nothing: the driver knows such clones."),
        "brown_out": ("F32", "For a moment no value; the driver sets the chip up again by itself."),
        "clock_jump": ("F18", "Nothing: the device's own clock is believed for nothing."),
        "welded": (
            "F33",
            "Once the relay is to cut: within 10 s an alarm that the load draws power although it "
            "is cut, a welded contact or a wrong wire.",
        ),
        "coil_dead": (
            "F33",
            "The load stays fed whatever the hub decides; an alarm, too.",
        ),
        "pin_stuck": ("F33", "An alarm that the relay does not follow."),
        "disobedient": ("F33", "An alarm that the relay does not follow."),
        "load_sticks": ("F33", "The command is given again until it is taken."),
        "wrong_model": ("F32", "The meter is refused: it is not the model of the configuration."),
        "late": ("F32", _DAMAGED),
        "flaky": ("F32", _DAMAGED),
        "split": ("F32", "Nothing: the parts are put together."),
        "hurried": ("F32", "Nothing: the driver leaves the pause that the device needs."),
        "reboots": ("F32", "Nothing: the driver leaves the pause that the device needs."),
    }
)
_DAMAGING: Final = ("bad_crc", "bit_flip", "stray_zero", "garbage", "cut", "half", "echo")


def _device_fault(name: str, plays: str) -> Fault:
    row, see = _SEEN.get(name, ("F32", _DAMAGED if name in _DAMAGING else _NO_VALUE))
    return Fault(name, (row,), "device", f"{plays[0].upper()}{plays[1:]}.", see)


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            *_PROGRAMS,
            _BOOT_LOOP,
            *_MESSAGES,
            *(_device_fault(*item) for item in DEVICE_FAULTS.items()),
            *_STRANGERS,
            *_LEDGER,
            *_MACHINES,
        )
    }
)
"""Every fault by its name, in the order in which they are listed."""
