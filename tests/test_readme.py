"""What the README shows is true: its test command is CI's (its policy: test_extending)."""

from __future__ import annotations

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_ci_finds_the_test_command() -> None:
    assert 'pip install -e ".[dev]" && pytest\n' in README
    assert "pip install -e . && kedro run --pipeline=speculative\n" in README
