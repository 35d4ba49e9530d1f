"""One direction of imports: a module imports from a lower layer or from its own package, nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seiko

ROOT = Path(seiko.__file__).parent

LAYERS = [
    {"errors", "typing"},
    {"tree", "records", "results", "data", "memory", "shares", "draws"},
    {
        "averaging",
        "distributions",
        "schedules",
        "checkpoints",
        "graphs",
        "tables",
        "config",
        "theory",
        "comparison",
    },
    {"chain"},
    {"chains", "networks", "surrogates", "domains", "metrics", "pretraining"},
    {"acquisitions", "updaters"},
    {"proposers"},
    {"campaign"},
    {"methods", "zoo", "oracles", "parallel"},
    {"ablations"},
    {"benchmark"},
    {"web", "testing", "tracking"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def name_of(file: Path) -> str:
    """``a.b`` of ``src/seiko/a/b.py``; a package's own file is ``a.__init__``."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def part_of(module: str) -> str:
    """The entry of the table that a module of ours belongs to."""
    return module.partition(".")[0]


FILES = {name_of(file): file for file in sorted(ROOT.rglob("*.py"))}


def is_module(name: str) -> bool:
    return name in FILES or f"{name}.__init__" in FILES or (ROOT / name.replace(".", "/")).is_dir()


def imports_in(source: str, module: str) -> list[tuple[int, str]]:
    """Line and name, below ``seiko``, of all of ours that is imported, at any depth and under any `if`."""
    found = []
    package = ["seiko", *module.split(".")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                below = f"{origin}.{alias.name}"
                found.append((node.lineno, below if is_module(below.removeprefix("seiko.")) else origin))
    ours = [(line, name) for line, name in found if name == "seiko" or name.startswith("seiko.")]
    return [(line, name.partition(".")[2] or "__init__") for line, name in ours]


def is_allowed(module: str, imported: str) -> bool:
    importer, target = part_of(module), part_of(imported)
    return importer == target or LEVEL[target] < LEVEL[importer]


def test_the_table_names_every_module():
    assert {part_of(module) for module in FILES} <= set(LEVEL)
    assert sum(map(len, LAYERS)) == len(LEVEL)


@pytest.mark.parametrize("module", FILES)
def test_no_step_upward(module):
    source = FILES[module].read_text()
    wrong = [
        f"{FILES[module].name}:{line} imports seiko.{imported}"
        for line, imported in imports_in(source, module)
        if part_of(imported) not in LEVEL or not is_allowed(module, imported)
    ]
    assert not wrong


def test_the_check_sees_what_it_should():
    source = """
from __future__ import annotations
import torch, seiko.campaign.store
from seiko import records, Campaign
from typing import TYPE_CHECKING
from . import base
from ..errors import SeikoError
if TYPE_CHECKING:
    from seiko.proposers.base import Proposer
def f():
    import seiko.cli.main as cli
    from seiko.chains import gaussian
"""
    found = [name for _, name in imports_in(source, "domains.toy")]
    assert found == [
        "campaign.store",
        "records",
        "__init__",
        "domains.base",
        "errors",
        "proposers.base",
        "cli.main",
        "chains.gaussian" if "chains.gaussian" in FILES else "chains",
    ]
    wrong = [name for name in found if not is_allowed("domains.toy", name)]
    assert wrong == [name for name in found if part_of(name) not in ("records", "domains", "errors")]


LIGHT = [
    "seiko",
    "seiko.errors",
    "seiko.records",
    "seiko.campaign",
    "seiko.campaign.campaign",
    "seiko.campaign.feedback",
    "seiko.campaign.status",
    "seiko.campaign.store",
    "seiko.cli.main",
    "seiko.cli.status",
    "seiko.tables",
    "seiko.tracking",
    "seiko.tracking.mlflow",
    "seiko.config",
]


def test_the_light_ones_never_import_torch():
    checks = "".join(f"import {name}\nassert not heavy & set(sys.modules), {name!r}\n" for name in LIGHT)
    code = "import sys\nheavy = {'torch', 'numpy', 'rich'}\n" + checks
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_resolve():
    assert set(seiko.__all__) == set(seiko._MODULES)
    for name in seiko.__all__:
        assert getattr(seiko, name).__name__ == name
        assert name in dir(seiko)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seiko.nothing


def test_type_checkers_see_the_same_names():
    tree = ast.parse(FILES["__init__"].read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == seiko._MODULES


def test_the_version_is_the_projects():
    import tomllib

    project = ROOT.parents[1] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == seiko.__version__
