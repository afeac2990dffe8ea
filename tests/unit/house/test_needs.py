"""A missing program is a skip with a reason on a laptop and a failure in CI."""

from __future__ import annotations

import pytest

from tests.support.needs import needs


def test_a_missing_program_skips_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install no-such-program"):
        needs("no-such-program")


def test_a_missing_program_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        needs("no-such-program")


def test_a_present_program_gives_its_path():
    assert needs("sh").endswith("/sh")
