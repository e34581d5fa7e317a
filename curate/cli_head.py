"""`rushes head ...`: train, calibrate, audit and promote a classifier of your own on the clips of a run."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.errors import SpecError

app = typer.Typer(help="Train a head for a category of the safety policy.", no_args_is_help=True)
CategoryName = Annotated[str, typer.Argument(help="a category of the policy", metavar="CATEGORY")]
Dir = Annotated[Path, typer.Option("--dir", help="the head's folder")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object for machines")]


def _recipe(folder: Path, category: str) -> Any:
    recipe = import_module("filters.heads.recipe").Recipe(folder)
    if recipe.facts["category"] != category:
        raise SpecError(f"{folder} is a head for {recipe.facts['category']}, not for {category}")
    return recipe


def _say(value: dict[str, Any], as_json: bool) -> None:
    lines = [f"{name:<22} {said}" for name, said in value.items()]
    typer.echo(json.dumps(value) if as_json else "\n".join(lines))


@app.command()
def new(
    category: CategoryName,
    folder: Dir,
    run: Annotated[Path, typer.Option("--run", help="output folder of the run whose clips it learns from")],
    encoder: Annotated[str, typer.Option("--encoder", help="gist, cnn or open_clip")] = "cnn",
    model: Annotated[str | None, typer.Option("--model", help="folder or name of an open_clip model")] = None,
    policy: Annotated[str, typer.Option("--policy", help="the policy that defines the category")] = "default",
    seed: Annotated[int, typer.Option("--seed", help="of every draw")] = 0,
) -> None:
    """Begin a head in a folder of its own."""
    params = {} if model is None else {"model": model}
    import_module("filters.heads.recipe").new(folder, category, run, policy, encoder, params, seed)
    typer.echo(f"{folder}: label some clips with `rushes head label {category} --dir {folder}`")


@app.command()
def label(
    category: CategoryName,
    folder: Dir,
    who: Annotated[str, typer.Option("--who", help="who gives the labels")] = "",
    given: Annotated[Path | None, typer.Option("--from", help="CSV, JSONL or Parquet with `item` and `label`")] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="a contact sheet to write, or to answer")] = None,
    strategy: Annotated[str, typer.Option("--strategy", help="random, loop_a, loop_b, boundary, audit")] = "random",
    count: Annotated[int, typer.Option("--count", min=1, help="tiles of a sheet")] = 48,
    positives: Annotated[str | None, typer.Option("--positives", help="tiles that belong to it, such as 3,5-8")] = None,
) -> None:
    """Label clips: from a file, or from a contact sheet, which is written first and answered by a second call."""
    recipe = _recipe(folder, category)
    labelling = import_module("filters.heads.labelling")
    if given is not None:
        origin = "audit" if strategy == "audit" else "seed"
        typer.echo(f"{recipe.add(labelling.read_labels(given), who, origin)} labels")
    elif sheet is not None and positives is not None:
        answers, origin = import_module("filters.heads.sheet").read_answers(sheet, positives)
        typer.echo(f"{recipe.add(dict(answers), who, origin)} labels")
    elif sheet is not None:
        shown = labelling.write_next(recipe, sheet, strategy, count)
        typer.echo(
            f"{shown} clips on {sheet.with_suffix('.png')}; answer with --sheet {sheet} --positives 1,4 --who NAME"
        )
    else:
        raise SpecError("head label: give --from FILE, or --sheet PATH")


@app.command()
def train(
    category: CategoryName,
    folder: Dir,
    kind: Annotated[str, typer.Option("--kind", help="rbf or linear")] = "rbf",
    as_json: Json = False,
) -> None:
    """Fit a head on the labels; a third of them is held out."""
    if kind not in ("rbf", "linear"):
        raise SpecError(f"head train: --kind is rbf or linear, not {kind!r}")
    _say(_recipe(folder, category).train(kind), as_json)


@app.command()
def calibrate(
    category: CategoryName,
    folder: Dir,
    missed: Annotated[float, typer.Option("--missed", min=0.0, max=0.5, help="share that may be missed")] = 0.01,
    as_json: Json = False,
) -> None:
    """Set the threshold for a share of misses, on the labels that were held out."""
    _say(_recipe(folder, category).calibrate(missed), as_json)


@app.command()
def audit(category: CategoryName, folder: Dir, as_json: Json = False) -> None:
    """Measure the head on a fresh sample: what was labelled with `--strategy audit`."""
    _say(_recipe(folder, category).audit(), as_json)


@app.command()
def promote(
    category: CategoryName,
    folder: Dir,
    out: Annotated[Path, typer.Option("--out", help="the head for `screen: {CATEGORY: [{head: {file: ...}}]}`")],
    as_json: Json = False,
) -> None:
    """Write the head for use; refused without an audit of this very head under this very policy."""
    _say(_recipe(folder, category).promote(out), as_json)
