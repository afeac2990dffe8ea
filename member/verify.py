"""`gridtally-verify`: is it true? Files and the log's key are all it needs, and all it believes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from member import bill, convict, fiscal, heads, mirror, samples
from member.errors import MEANINGS, Code, Refused
from member.heads import Anchor, Verdict
from messages.errors import BadProof, BadSignature, MessageError, UnknownKey
from messages.jsontext import format_json

BYTES_MAX: Final = 1 << 30

ABOUT: Final = """\
Checks what a microgrid's ledger hands out: proofs, checkpoints, mirrors, bills, evidence. It asks
nobody and opens no connection. What it believes is one thing that you got by another way: the
log's key, or trust.toml, which holds that key and says who has to agree before something is final.

    gridtally-verify checkpoint checkpoint --trust trust.toml
    gridtally-verify proof entry.tlog-proof --entry entry.cose --trust trust.toml
    gridtally-verify bill ann-2026-11.json --trust trust.toml
    gridtally-verify entries mirror/ --key "example/hub+6805d823+AUU9zP..."
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one check; print its verdict in one line, return its exit code."""
    options = parser().parse_args(arguments)
    try:
        verdict: Verdict = options.check(options)
        code = Code.VALID
    except (Refused, MessageError, OSError, UnicodeDecodeError) as error:
        verdict, code = Verdict(str(error), {}), _code(error)
    failed = None if code is Code.VALID else code.name.lower()
    if options.json:
        told = {"valid": failed is None, "code": int(code), "failed": failed}
        print(format_json({**verdict.facts, **told, "verdict": verdict.sentence}), end="")
    else:
        print(f"{f'NOT VALID ({failed})' if failed else 'valid'}: {_plain(verdict.sentence)}")
    return int(code)


def run() -> None:
    """Be the program."""
    sys.exit(main())


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    table = "\n".join(f"  {int(code):2}  {code.name.lower():11} {MEANINGS[code]}" for code in Code)
    top = argparse.ArgumentParser(
        prog="gridtally-verify",
        description=ABOUT,
        epilog=f"exit codes:\n{table}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(title="what to check", metavar="COMMAND", required=True)
    _heads(verbs)
    _files(verbs)
    return top


def _heads(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "checkpoint",
        _checkpoint,
        "Check a log's head: its signature, and whether enough witnesses agree.",
        "gridtally-verify checkpoint checkpoint --trust trust.toml --max-age-s 600",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A checkpoint, a signed note.")
    _believe(verb)
    verb = _verb(
        verbs,
        "proof",
        _proof,
        "Check a .tlog-proof: that an entry stands in the log, under a head that the log signed.",
        "gridtally-verify proof 1042.tlog-proof --entry 1042.cose --trust trust.toml",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A .tlog-proof file.")
    verb.add_argument("--entry", metavar="FILE", type=Path, help="The entry's bytes.")
    verb.add_argument("--id", metavar="HEX", help="The entry's id, where its bytes are not here.")
    _believe(verb)
    verb = _verb(
        verbs,
        "consistency",
        _consistency,
        "Check that a newer head of the log continues an older one: nothing was changed or cut.",
        "gridtally-verify consistency mine.checkpoint checkpoint --proof proof.txt",
    )
    verb.add_argument("old", metavar="OLD", type=Path, help="The older checkpoint.")
    verb.add_argument("new", metavar="NEW", type=Path, help="The newer checkpoint.")
    verb.add_argument(
        "--proof", metavar="FILE", type=Path, help="Hashes in base64, a line each; none: equal."
    )
    _believe(verb)
    verb = _verb(
        verbs,
        "policy",
        _policy,
        "Check a head against a policy file: is its quorum met, by whom, how old is that?",
        "gridtally-verify policy policy checkpoint --max-age-s 600",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A C2SP tlog-policy file.")
    verb.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="A checkpoint.")
    _max_age(verb)


def _files(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "bill",
        _bill,
        "Check a member's statement: every line, from the meters' signatures to the balance.",
        "gridtally-verify bill ann-2026-11.json --trust trust.toml",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A statement in JSON.")
    _believe(verb)
    verb = _verb(
        verbs,
        "entries",
        _entries,
        "Check a whole copy of the log: its tree, and the signature of every entry.",
        "gridtally-verify entries mirror/ --trust trust.toml",
    )
    verb.add_argument(
        "folder", metavar="DIR", type=Path, help="Static tiles, as `export --tiles` writes them."
    )
    _believe(verb)
    verb = _verb(
        verbs,
        "sample",
        _sample,
        "Check one telemetry sample: what a meter said at an instant, under a seal of the ledger.",
        "gridtally-verify sample dep1-pv.json --trust trust.toml",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A file of `prove --sample`.")
    _believe(verb)
    verb = _verb(
        verbs,
        "evidence",
        _evidence,
        "Check evidence: did somebody sign two things that cannot both be true? Valid: yes.",
        "gridtally-verify evidence heads-3fa9c1.json --trust trust.toml",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="An evidence file.")
    _believe(verb)
    verb = _verb(
        verbs,
        "ocmf",
        _ocmf,
        "Check OCMF records, alone or in the XML of the S.A.F.E. transparency software.",
        "gridtally-verify ocmf record.xml --key 3059301306072a8648ce3d02...",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="A record, or an XML file of them.")
    verb.add_argument(
        "--key", metavar="HEX", help="The meter's public key in DER; default: the file's own."
    )


def _verb(
    verbs: Any, name: str, check: Callable[[Any], Verdict], says: str, example: str
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=says,
        description=f"{says}\n\n    {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--json", action="store_true", help="Print one JSON object.")
    verb.set_defaults(check=check)
    return verb


def _believe(verb: argparse.ArgumentParser) -> None:
    choice = verb.add_mutually_exclusive_group()
    choice.add_argument(
        "--trust",
        metavar="FILE",
        type=Path,
        default=Path("trust.toml"),
        help="Whom to believe; default: trust.toml.",
    )
    choice.add_argument(
        "--key", metavar="VKEY", help="The log's key, or a file with it: believe nothing besides."
    )
    _max_age(verb)


def _max_age(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--max-age-s", metavar="SECONDS", type=int, help="Refuse a head cosigned longer ago."
    )


# --- commands -----------------------------------------------------------------------------------


def _checkpoint(options: Any) -> Verdict:
    return heads.check_checkpoint(_text(options.file), _anchor(options))


def _proof(options: Any) -> Verdict:
    entry = _bytes(options.entry) if options.entry else None
    entry_id = _hash(options.id) if options.id else None
    return heads.check_proof(_text(options.file), entry, entry_id, _anchor(options))


def _consistency(options: Any) -> Verdict:
    proof = _text(options.proof) if options.proof else None
    return heads.check_heads(_text(options.old), _text(options.new), proof, _anchor(options))


def _policy(options: Any) -> Verdict:
    policy, note = _text(options.file), _text(options.checkpoint)
    return heads.check_policy(policy, note, _now_s(), options.max_age_s)


def _bill(options: Any) -> Verdict:
    return bill.check_bill(_text(options.file), _anchor(options))


def _entries(options: Any) -> Verdict:
    return mirror.check_mirror(options.folder, _anchor(options))


def _sample(options: Any) -> Verdict:
    return samples.check_sample_file(_text(options.file), _anchor(options))


def _evidence(options: Any) -> Verdict:
    return convict.check_evidence(_text(options.file), _anchor(options))


def _ocmf(options: Any) -> Verdict:
    return fiscal.check_ocmf(_text(options.file), options.key)


# --- files --------------------------------------------------------------------------------------


def _anchor(options: Any) -> Anchor:
    if options.key is None:
        return heads.anchor_of(_text(options.trust), None, _now_s(), options.max_age_s)
    is_file = "+" not in options.key
    vkey = _text(Path(options.key)) if is_file else options.key
    return heads.anchor_of(None, vkey, _now_s(), options.max_age_s)


def _now_s() -> int:
    return time.time_ns() // 1_000_000_000


def _text(path: Path) -> str:
    return _bytes(path).decode()


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(BYTES_MAX + 1)
    if len(raw) > BYTES_MAX:
        raise Refused(Code.MALFORMED, f"{path}: more than {BYTES_MAX} bytes")
    return raw


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused(Code.MALFORMED, f"{text!r} is no entry id: want 64 hex digits") from None


def _plain(text: str) -> str:
    """Return a text in one line without what would steer a terminal: files hold foreign names."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _code(error: Exception) -> Code:
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, OSError):
        return Code.UNREADABLE
    if isinstance(error, BadSignature | UnknownKey):
        return Code.SIGNATURE
    return Code.PROOF if isinstance(error, BadProof) else Code.MALFORMED


if __name__ == "__main__":
    run()
