"""What README and its pages show is true: their links lead somewhere, the test command is CI's.

The commands are held to what exists by `ci/test_workflows.py`, the policy by `test_extending.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import PAGES, ROOT

README = (ROOT / "README.md").read_text()


def links(page: Path) -> set[Path]:
    """The files of the project that a page shows or leads to."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)", text)
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_ci_finds_the_test_command() -> None:
    assert 'pip install -e ".[dev]" && pytest\n' in README
    assert "pip install -e . && kedro run --pipeline=speculative\n" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    assert [path for path in links(page) if not path.exists()] == []


def test_the_readme_leads_to_every_page_and_picture() -> None:
    pictures = (ROOT / ".github" / "images").iterdir()
    assert {*PAGES[1:], *pictures} <= set().union(*map(links, PAGES))
    assert set(PAGES[1:]) <= links(PAGES[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`(?:python )?((?:src|conf|tests|notebooks)/[\w./-]+)", page.read_text())
    added = {"src/ttc_bench/policies/shortest_of_n.py", "conf/base/parameters_shortest_of_n.yml"}
    # What belongs to one's own machine is in no checkout.
    own = {path for path in named if path.startswith("conf/local/")}
    assert [path for path in {*named} - added - own if not (ROOT / path).exists()] == []
