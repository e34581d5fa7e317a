"""The house rules that a machine can hold: who may import whom, what is public, how large things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import curate
from tests.conftest import REPO

PACKAGES = ("curate", "filters", "captioner", "trainer", "worlds")
FILES = sorted(path for package in PACKAGES for path in (REPO / package).rglob("*.py"))
MAY_IMPORT = {
    "curate": {"curate"},
    "filters": {"curate", "filters"},
    "captioner": {"curate", "captioner"},
    "worlds": {"curate", "worlds"},
    "trainer": {"curate", "trainer"},
}
TRAINER_MAY = tuple(
    f"curate.{name}" for name in ("schema", "durable", "errors", "extras", "dataset", "codecs", "media.writer")
)
LAZY = ("torch", "transformers", "ray", "open_clip", "diffusers")


def _imports(path: Path) -> list[str]:
    """Modules that a file imports when it is imported itself."""
    tree = ast.parse(path.read_text())
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPO)))
def test_import_law(path):
    package = path.relative_to(REPO).parts[0]
    for name in _imports(path):
        top = name.partition(".")[0]
        if top in PACKAGES:
            assert top in MAY_IMPORT[package], f"{path} imports {name}"
        if package == "trainer" and top == "curate":
            assert name.startswith(TRAINER_MAY), f"{path} imports {name}"
        if package != "trainer":
            assert top not in LAZY, f"{path} imports {name} at module level"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPO)))
def test_size_and_annotations(path):
    text = path.read_text()
    assert text.count("\n") <= 320, "a file that cannot be held in the head"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 80, f"{node.name} does not fit a screen"
            assert node.returns is not None or node.name == "__init__", f"{node.name} has no return annotation"


@pytest.mark.parametrize("path", sorted((REPO / "filters").glob("[a-z]*.py")), ids=lambda p: p.name)
def test_a_filter_is_under_sixty_lines(path):
    assert path.read_text().count("\n") < 60


def test_public_names():
    assert curate.__all__ == sorted(curate.__all__)
    for name in curate.__all__:
        assert getattr(curate, name).__name__ == name


def test_unsafe_calls_are_absent():
    banned = {"eval", "exec", "pickle", "marshal", "shelve", "dill", "system", "mktemp", "extractall"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                owner = getattr(getattr(node.func, "value", None), "id", "")
                model = name == "eval" and isinstance(node.func, ast.Attribute)  # torch's module.eval()
                assert model or (name not in banned and owner not in banned), f"{path}: {owner}.{name}"
                for keyword in node.keywords:
                    assert keyword.arg not in ("shell", "trust_remote_code", "allow_pickle"), f"{path}: {keyword.arg}"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom curate.cli import app\n"
        "heavy = {'torch', 'ray', 'pyarrow', 'numpy', 'av', 'cv2', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
