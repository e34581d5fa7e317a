"""`rushes captioner ...`: fine-tune a captioner on labelled clips of a run, and measure captions by a CLIP model."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.errors import SpecError

app = typer.Typer(help="Fine-tune a captioner, and measure captions.", no_args_is_help=True)
KINDS = ("short", "dense", "original")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="the recipe's YAML file", metavar="RECIPE")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object for machines")] = False,
) -> None:
    """Fine-tune a model on labelled clips; what it writes is an `adapter` or a `model` of the captioner `vlm`."""
    read = import_module("captioner.recipe").load_recipe(recipe)
    record = import_module("captioner.training").train(read, lambda line: typer.echo(line, err=True))
    said = {name: record[name] for name in ("clips", "loss", "held_out_clips", "held_out_loss")}
    said = {"output": read.output, **said}
    typer.echo(json.dumps(said) if as_json else "\n".join(f"{name:<16} {value}" for name, value in said.items()))


@app.command(name="eval")
def eval_(
    out: Annotated[Path, typer.Argument(help="the output folder of a run", metavar="RUN")],
    model: Annotated[str, typer.Option("--model", help="folder of an open_clip model, or its name if downloaded")],
    kind: Annotated[list[str] | None, typer.Option("--kind", help="short, dense or original; all by default")] = None,
    count: Annotated[int, typer.Option("--count", min=2, help="clips that are looked at, chosen by a hash")] = 256,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the choice")] = 0,
    samples: Annotated[bool, typer.Option("--samples", help="the samples against their prompts too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object for machines")] = False,
) -> None:
    """Match rate and CLIP score of a run's captions, and of its samples, each with a 95 % interval."""
    for name in kind or ():
        if name not in KINDS:
            raise SpecError(f"captioner eval: unknown kind {name!r}; one of {', '.join(KINDS)}")
    evaluation = import_module("captioner.evaluation")
    kinds = tuple(name for name in KINDS if name in (kind or KINDS))
    found = evaluation.of_run(
        out, model, kinds, count, seed, samples,
        lambda text: typer.echo(f"note: {text}", err=True),
    )  # fmt: skip
    typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    rows = {**found["captions"], **({"samples": found["samples"]} if "samples" in found else {})}
    lines = [f"{'':<9} {'pairs':>6} {'match rate':>24} {'CLIP score':>24}"]
    for name, row in rows.items():
        rate = _figure(row["match_rate"], row["match_rate_95"], 3)
        line = f"{name:<9} {row['n']:>6} {rate:>24} {_figure(row['clip_score'], row['clip_score_95'], 2):>24}"
        notes = [f"{row['lost']} without frames"] * bool(row["lost"])
        notes += [f"{row['cut']} as long as the model reads, or longer"] * bool(row["cut"])
        lines.append("  ".join([line, *notes]))
    return lines


def _figure(value: float | None, within: list[float] | None, digits: int) -> str:
    if value is None:
        return "-"
    bounds = f" [{within[0]:.{digits}f}, {within[1]:.{digits}f}]" if within else ""
    return f"{value:.{digits}f}{bounds}"
