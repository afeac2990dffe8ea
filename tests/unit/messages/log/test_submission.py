"""What a log says to a witness: the published body comes back, and every other form is refused."""

from __future__ import annotations

import pytest

from messages.errors import MalformedMessage
from messages.log.submission import (
    Submission,
    format_size,
    format_submission,
    origin_hash,
    parse_size,
    parse_submission,
)
from tests.support.vectors import vectors

DEMO = vectors("trust/checkpoint_cosignature_demo")
BODY = DEMO["add_checkpoint_body"]
HASH = "A" * 43 + "="


def test_the_published_body_is_read_and_written_to_the_letter() -> None:
    submission = parse_submission(BODY)
    assert submission.old == 3
    assert [value.hex() for value in submission.proof] == DEMO["consistency_3_7"]
    assert DEMO["checkpoint"].startswith(submission.checkpoint)
    assert format_submission(submission) == BODY


def test_a_first_submission_has_no_proof() -> None:
    assert format_submission(Submission(0, (), "note\n")) == "old 0\n\nnote\n"
    assert parse_submission("old 0\n\nnote\n") == Submission(0, (), "note\n")


def test_63_hashes_are_read_and_64_are_not() -> None:
    assert len(parse_submission(f"old 5\n{(HASH + chr(10)) * 63}\nnote\n").proof) == 63
    with pytest.raises(MalformedMessage, match="at most 63"):
        parse_submission(f"old 5\n{(HASH + chr(10)) * 64}\nnote\n")


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("", "a submission is"),
        ("old 3\n", "a submission is"),
        ("new 3\n\nnote\n", "a submission is"),
        ("old 03\n\nnote\n", "the old size"),
        ("old -1\n\nnote\n", "the old size"),
        ("old  3\n\nnote\n", "the old size"),
        ("old 3 \n\nnote\n", "the old size"),
        ("old 9223372036854775808\n\nnote\n", "the old size"),
        ("old 3\r\n\nnote\n", "the old size"),
        ("old 3\nAAAA\n\nnote\n", "32 bytes"),
        ("old 3\nA A\n\nnote\n", "base64"),
        (f"old 3\n{HASH[:-2]}B=\n\nnote\n", "canonical"),
    ],
)
def test_another_form_is_refused(body: str, finding: str) -> None:
    with pytest.raises(MalformedMessage, match=finding):
        parse_submission(body)


def test_a_size_is_one_decimal_and_a_newline() -> None:
    assert parse_size(format_size(0)) == 0
    assert parse_size(format_size(12_345)) == 12_345
    for bad in ("", "7", "7\n\n", "07\n", "-7\n", "7\r\n", "seven\n"):
        with pytest.raises(MalformedMessage):
            parse_size(bad)


def test_a_log_s_name_as_a_path_is_the_sha_256_of_its_origin() -> None:
    assert origin_hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert len(origin_hash(DEMO["origin"])) == 64
