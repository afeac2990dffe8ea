"""What cwt says of what we made: a list of COSE_Sign1 messages in, a list of verdicts out, as JSON.

Runs in an environment of its own, which `.ci/verifiers` makes.
"""

import json
import sys

from cwt import COSE, COSEKey  # type: ignore[import-not-found]


def judge(asked: dict[str, str]) -> bool | str:
    """Say whether a message verifies under a key in PEM, with what is bound beside it."""
    key = COSEKey.from_pem(asked["pem"], kid=bytes.fromhex(asked["kid"]))
    bound = bytes.fromhex(asked["aad"])
    try:
        COSE.new().decode(bytes.fromhex(asked["message"]), key, external_aad=bound)
    except Exception as error:
        return f"refused: {error}"
    return True


json.dump([judge(asked) for asked in json.load(sys.stdin)], sys.stdout)
