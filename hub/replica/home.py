"""The folder of a replica: made once, opened whole or not at all.

replica.toml    where to get the log from, where to listen
trust.toml      which network: a copy of the hub's
cosigner.pem    the key that cosigns, mode 0600; one key, one meaning: `meaning` says which
witness.db      what it cosigned last: without it the key is retired
header.pem      the key that signs block headers, where a member proposes
vrf.pem         the key of the draw
mirror/         the log as static tiles
standing        how far it was executed again
evidence/       what convinces a stranger; objections/ what this replica will not overlook
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hub.ledger.newest import sync_folder
from hub.replica.errors import ReplicaRefused
from hub.witness.memory import RETIRE, Memory
from keys import file as key_files
from keys import vrf as vrf_files
from keys.vrf import VrfKey
from messages.errors import MalformedMessage
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_vkey
from messages.possession import Claim
from messages.publickey import EDDSA, Signer

EXECUTES: Final = "re-executes"
MIRRORS: Final = "mirrors"
MEANINGS: Final = (EXECUTES, MIRRORS)
HOLDER: Final = "replica"
ENROLMENT: Final = "gridtally-replica-1"
KEY_FILES: Final = ("cosigner.pem", "witness.db", "header.pem", "vrf.pem")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the hub needs to know of a replica, as `enrol-replica.json` says it.

    `vkey` is the cosigning key; `header` and `vrf` are COSE_Keys in hex, `proof` the agreement of
    the header's key (`messages.possession`). They are empty where it only mirrors.
    """

    member: str
    vkey: str
    url: str
    meaning: str
    header: str = ""
    vrf: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """An open replica: its keys and its memory."""

    folder: Path
    key: NoteKey
    signer: Signer
    memory: Memory
    meaning: str
    header: Signer | None
    vrf: VrfKey | None

    @property
    def executes(self) -> bool:
        """Whether its cosignature says that it did every sum again."""
        return self.meaning == EXECUTES


def found(folder: Path, member: str, name: str, meaning: str) -> None:
    """Make the keys and the memory of a new replica.

    Raises:
        ReplicaRefused: one is here already.
        MalformedMessage: a name with a space or a plus.
        KeyFault: a key cannot be written.
    """
    if any((folder / file).exists() for file in KEY_FILES):
        raise ReplicaRefused(f"{folder}: a replica is here already; start it, or choose another")
    folder.mkdir(parents=True, exist_ok=True)
    signer = key_files.generate(folder / "cosigner.pem")
    if meaning == EXECUTES and member:
        key_files.generate(folder / "header.pem")
        vrf_files.generate(folder / "vrf.pem")
    (folder / "meaning").write_text(f"{meaning}\n", encoding="utf-8")
    vkey = format_vkey(NoteKey(name, COSIGNATURE, signer.public))
    Memory.create(folder / "witness.db", vkey).close()
    sync_folder(folder)


def enrolment_of(home: Home, member: str, url: str, network_id: bytes) -> Enrolment:
    """Return what the hub needs to know of an open replica."""
    if home.header is None or home.vrf is None:
        return Enrolment(member, format_vkey(home.key), url, home.meaning)
    proof = Claim(network_id, HOLDER, member).prove(home.header)
    return Enrolment(
        member,
        format_vkey(home.key),
        url,
        home.meaning,
        home.header.public.cose_key.hex(),
        home.vrf.public.cose_key.hex(),
        proof.hex(),
    )


def format_enrolment(enrolment: Enrolment) -> str:
    """Return the text of `enrol-replica.json`."""
    return json.dumps({"format": ENROLMENT, **asdict(enrolment)}, indent=1) + "\n"


def parse_enrolment(text: str) -> Enrolment:
    """Return what an enrolment file holds.

    Raises:
        MalformedMessage: another format, or a field missing, unknown or of another type.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise MalformedMessage(f"no JSON: {error}") from None
    if not isinstance(fields, dict) or fields.pop("format", None) != ENROLMENT:
        raise MalformedMessage(f"no enrolment of a replica: its format is not {ENROLMENT}")
    names = set(Enrolment.__dataclass_fields__)
    if set(fields) != names or not all(isinstance(value, str) for value in fields.values()):
        listed = ", ".join(sorted(names))
        raise MalformedMessage(f"an enrolment of a replica has the texts {listed}")
    return Enrolment(**fields)


def open_home(folder: Path) -> Home:
    """Open a replica.

    Raises:
        ReplicaRefused: a key is missing, or key and memory do not belong together.
        WitnessRefused: its memory is lost.
        KeyFault: a key cannot be read, or others can read it.
    """
    if not (folder / "cosigner.pem").exists():
        raise ReplicaRefused(f"{folder}: no replica is here: see `gridtally-hub replica-init`")
    signer = key_files.load(folder / "cosigner.pem")
    if signer.public.alg != EDDSA:
        raise ReplicaRefused(f"{folder / 'cosigner.pem'}: a replica cosigns with Ed25519")
    memory = Memory(folder / "witness.db")
    with ExitStack() as closing:
        closing.callback(memory.close)
        key = parse_vkey(memory.vkey)
        if key.public != signer.public:
            raise ReplicaRefused(
                f"{folder}: witness.db was made for the key {memory.vkey}, cosigner.pem is another "
                f"one. What this key cosigned is not known here. {RETIRE}"
            )
        header, vrf = _proposing(folder)
        home = Home(folder, key, signer, memory, _meaning(folder), header, vrf)
        closing.pop_all()
    return home


def _proposing(folder: Path) -> tuple[Signer | None, VrfKey | None]:
    if not (folder / "header.pem").exists():
        return None, None
    return key_files.load(folder / "header.pem"), vrf_files.load(folder / "vrf.pem")


def _meaning(folder: Path) -> str:
    path = folder / "meaning"
    try:
        found = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ReplicaRefused(
            f"{path}: cannot be read: {error.strerror}. It says what this key's cosignature means"
        ) from None
    if found not in MEANINGS:
        raise ReplicaRefused(f"{path}: says neither {' nor '.join(MEANINGS)}")
    return found


def write_durably(path: Path, text: str) -> None:
    """Replace a file whole."""
    partial = path.with_name(f"{path.name}.new")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.absolute().parent)
