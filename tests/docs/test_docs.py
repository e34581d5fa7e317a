"""The documents say what the code does: every key, verb, option, column and link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
import yaml
from pydantic import BaseModel

from curate import schema, spec
from curate.cli import app
from curate.ledger import CLIP_FIELDS, OUTCOMES
from curate.registry import names, resolve
from curate.spec_file import parse
from curate.spec_screen import Sealed
from curate.stage import Screen
from filters.dedup.perceptual import PerceptualParams
from tests.conftest import REPO
from trainer.config import MODELS, ModelConfig, SampleConfig, SampleRequest, SamplesConfig, StageConfig, TrainConfig
from worlds.shapes import ShapesOptions

DOCS = REPO / "docs"
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PAGE = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}


def codes(text: str) -> set[str]:
    """What stands in backticks, word by word."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[\w.:-]+", code)}


MODELS_OF_SPEC: list[type[BaseModel]] = [
    spec.Spec, spec.Source, spec.Media, spec.Split, spec.Rule, spec.Screen, Sealed, spec.CaptionSpec, spec.Match,
    spec.Latents, spec.Text, spec.Encode, spec.Export, spec.About, spec.Stages, spec.Resource, spec.Limits, spec.Engine,
    spec.Quarantine, ModelConfig, TrainConfig, StageConfig, SampleConfig, SampleRequest, SamplesConfig,
    PerceptualParams, ShapesOptions,
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS_OF_SPEC, ids=lambda m: m.__name__)
def test_every_key_is_in_the_reference(model: type[BaseModel]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    headings = set(re.findall(r"^#+ (\w+)", PAGE["spec"], re.M))
    assert keys - {key.rstrip(":") for key in codes(PAGE["spec"])} - headings == set()


@pytest.mark.parametrize("model", [TrainConfig, SampleConfig, spec.Latents, spec.Limits, spec.Export, PerceptualParams])
def test_defaults_are_those_of_the_code(model: type[BaseModel]) -> None:
    """A table row `| `key` | `default` | ...` states the default; plain words there are not compared."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", _section(model), re.M))
    assert rows or model is PerceptualParams
    for key, text in rows.items():
        if key in model.model_fields:
            default = model.model_fields[key].default
            assert yaml.safe_load(text) == (list(default) if isinstance(default, tuple) else default), key


def _section(model: type[BaseModel]) -> str:
    heads = {"TrainConfig": "## train", "SampleConfig": "## sample", "Latents": "### encode", "Export": "### export"}
    head = heads.get(model.__name__, "## engine" if model is spec.Limits else "### dedup")
    return re.split(r"^#{2,3} ", PAGE["spec"].partition(f"\n{head}\n")[2], maxsplit=1, flags=re.M)[0]


def test_names_that_ship_are_named() -> None:
    known = codes(PAGE["spec"])
    for kind in ("score", "detector", "captioner"):
        for name in names(kind):
            module_has_one = _resolves(kind, name)
            assert not module_has_one or name in known, f"{kind} {name}"
    assert set(MODELS) <= known
    assert set(spec.SOURCE_CLASSES) <= known


def _resolves(kind: str, name: str) -> bool:
    from curate.errors import SpecError

    try:
        resolve(kind, name)
    except SpecError:
        return False
    return True


def test_every_verb_and_option_is_in_the_reference() -> None:
    for verb, command in _verbs():
        row = re.search(rf"^\| `rushes {verb} ([^`]*)`", PAGE["cli"], re.M)
        assert row, f"rushes {verb} is not described"
        flags = {option for p in command.params for option in p.opts if option.startswith("--")} - {"--help"}
        assert flags == set(re.findall(r"--[\w-]+", row.group(1))), verb


def _verbs() -> Iterator[tuple[str, Any]]:
    """Every command with its name; those of a group as `group verb`."""
    for verb, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{verb} {name}", inner) for name, inner in command.commands.items())
        else:
            yield verb, command


def test_commands_in_the_documents_exist() -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for page in PAGES:
        for verb in re.findall(r"(?:`|bin/|^)rushes ([a-z][\w-]*)", page.read_text(encoding="utf-8"), re.M):
            assert verb in verbs, f"{page.name}: rushes {verb}"


def test_every_column_and_outcome_is_in_the_reference() -> None:
    known = codes(PAGE["ledger"])
    assert {field.name for field in CLIP_FIELDS} <= known
    assert set(OUTCOMES) <= known
    for stage, table in (("caption", schema.CAPTION), ("check", schema.CHECK), ("dedup", schema.DEDUP)):
        assert {f"{stage}.{field.name}" for field in list(table)[1:] if field not in schema.OUTCOME} <= known
    for name in names("score"):
        if _resolves("score", name):
            kind = resolve("score", name)
            columns = kind.evidence if issubclass(kind, Screen) else kind.fields
            fields = [f for f in columns if f.name not in ("vector", "shares") and not _heavy(f)]
            assert {f"{name}.{field.name}" for field in fields} <= known


def _heavy(field: pa.Field) -> bool:
    """Whether a column stays in its parts, out of the ledger."""
    from curate.ledger import _is_heavy

    return _is_heavy(field.type)


def test_reasons_of_the_code_are_in_the_reference() -> None:
    code = "".join(path.read_text() for path in (REPO / "curate" / "media").rglob("*.py"))
    raised = set(re.findall(r'InputRejected\(\s*"(source|decode):(\w+)"', code))
    assert raised
    known = codes(PAGE["ledger"])
    missing = {f"{kind}:{name}" for kind, name in raised if f"{kind}:{name}" not in known and name not in known}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_pages_are_plain_and_portable(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.isascii()
    assert not re.search(r"/(work|tmp|home|root)/", text)


def test_yaml_in_the_documents_is_valid() -> None:
    base = {"name": "x", "sources": [{"path": "x"}], "output": "x"}
    seen = 0
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            raw = yaml.safe_load(block)
            if isinstance(raw, list):
                raw = {"stages": [{"score": ["motion"]}, *raw] if "score" not in raw[0] else []}
            if "train" in raw:
                raw = {**raw, "stages": [{"encode": {}}, {"export": {}}]}
            parse({**base, **raw}, page.name)
            seen += 1
    assert seen >= 4


def test_the_first_filter_is_short() -> None:
    text = (DOCS / "tutorial-first-filter.md").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(# filters/(\w+)\.py\n.*?)^```", text, re.M | re.S)
    assert code
    assert code.group(1).count("\n") < 60
    assert code.group(2) in yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S).group(1))[0]["score"]  # type: ignore[union-attr]
