"""The pages: links lead somewhere, and blocks of Python are Python."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from seiko.methods import METHODS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_python_parse(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        ast.parse(block)


def factories():
    from seiko.benchmark.tasks import TASKS

    return METHODS | {name: made for task in TASKS.values() for name, made in task.rivals.items()}


def test_every_method_has_a_page_that_the_index_links():
    folder = ROOT / "docs" / "methods"
    assert {page.stem for page in folder.glob("*.md")} - {"index"} >= set(factories())
    linked = set(re.findall(r"\]\((\w+)\.md", (folder / "index.md").read_text()))
    assert linked >= {page.stem for page in folder.glob("*.md")} - {"index"}


@pytest.mark.parametrize("name", sorted(factories()))
def test_a_method_page_has_every_part(name):
    text = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    for part in ("**Idea.**", "## Formula", "## Arguments", "## Logged numbers", "## Details", "results.md"):
        assert part in text
    assert re.search(rf"seiko bench run --task \S+ --method {name} ", text)
    known = {"chain", "domain", "settings", "surrogate", "updater", "kl_target"}
    own = set(inspect.signature(factories()[name]).parameters) - known
    assert [argument for argument in sorted(own) if f"`{argument}`" not in text] == []
