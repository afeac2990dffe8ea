"""ES256 signatures as every message carries them: r || s, with s in the lower half.

(r, s) and (r, n - s) verify alike, so without the rule anybody could give a message a second
signature; who checks refuses the upper half. Tokens, TPMs and OpenSSL return either.
"""

from __future__ import annotations

from messages.publickey import P256_ORDER


def low_s(r: int, s: int) -> bytes:
    """Return the 64 bytes r || min(s, n - s)."""
    return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
