"""A log made of numbered leaves, that can grow, fork, and be shown to a witness."""

from __future__ import annotations

from dataclasses import dataclass, field

from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.submission import Submission, format_submission
from messages.log.tree import leaf_hash, prove_consistency, root, subtree_of
from messages.publickey import Signer
from tests.support.signers import ed25519

ORIGIN = "log.example/one"


@dataclass
class GrowingLog:
    """Entry n is `b"<branch of n> n"`: from `forked_at` on another log under the same key."""

    origin: str = ORIGIN
    forked_at: int | None = None
    signer: Signer = field(default_factory=lambda: ed25519("growing log"))

    @property
    def key(self) -> NoteKey:
        return NoteKey(self.origin, ED25519, self.signer.public)

    @property
    def vkey(self) -> str:
        return format_vkey(self.key)

    def fork(self, at: int) -> GrowingLog:
        """Return a log that is this one up to `at`, and another from there."""
        return GrowingLog(self.origin, at, self.signer)

    def leaves(self, size: int) -> list[bytes]:
        forked = size if self.forked_at is None else self.forked_at
        branch = [b"main" if n < forked else b"fork" for n in range(size)]
        return [leaf_hash(b"%s %d" % (name, n)) for n, name in enumerate(branch)]

    def root(self, size: int) -> bytes:
        return root(self.leaves(size))

    def note(self, size: int, root_hash: bytes | None = None) -> str:
        head = Checkpoint(self.origin, size, self.root(size) if root_hash is None else root_hash)
        return sign_checkpoint(head, self.signer)

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        return tuple(prove_consistency(old, new, subtree_of(self.leaves(new))))

    def submission(self, old: int, new: int, proof: tuple[bytes, ...] | None = None) -> bytes:
        hashes = self.proof(old, new) if proof is None else proof
        return format_submission(Submission(old, hashes, self.note(new))).encode()
