"""`rushes captioner ...`: fine-tune a captioner on labelled clips of a run."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Fine-tune a captioner.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, however few verbs it has."""


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
