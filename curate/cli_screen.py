"""`rushes screen ...`: what the gate covers, how well it does on labelled footage, and lists of known material."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.errors import SpecError

app = typer.Typer(help="Measure the safety gate.", no_args_is_help=True)
SpecOption = Annotated[Path, typer.Option("--spec", help="the pipeline whose screens are meant")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object for machines")]


@app.command(name="eval")
def eval_(
    labelled: Annotated[Path, typer.Argument(help="a manifest with a column of true and false a category")],
    spec: SpecOption,
    out: Annotated[Path | None, typer.Option("--out", help="write the evaluation for `screen.evaluation`")] = None,
    as_json: Json = False,
) -> None:
    """Recall and precision of every category and screen on your own labelled files."""
    from curate.evaluating import evaluated
    from curate.spec_file import load_spec
    from curate.store import write_atomic

    # Of whatever the spec names as its evaluation nothing is wanted here, least of all a refusal.
    found = evaluated(load_spec(spec, ["stages.screen.evaluation=null"]), labelled)
    if out is not None:
        write_atomic(out, (json.dumps(found, indent=1) + "\n").encode(), replace=True)
    typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for category, rows in found["categories"].items():
        for name, row in {"all together": rows["all"], **rows["screens"]}.items():
            recall = "-" if row["recall"] is None else f"{row['recall']:.3f}"
            precision = "-" if row["precision"] is None else f"{row['precision']:.3f}"
            low, high = row["recall_95"]
            lines.append(
                f"{category:<12} {name:<14} recall {recall} [{low:.3f}, {high:.3f}] of {row['positives']}, "
                f"precision {precision}, {row['false_alarms']} false alarms of {row['negatives']}"
            )
    return lines


@app.command()
def coverage(spec: SpecOption, as_json: Json = False) -> None:
    """What lists and references cover, by category: some, not all."""
    from curate.plan import Plan
    from curate.spec_file import load_spec

    covered: dict[str, dict[str, list[str]]] = {}
    for judge in Plan(load_spec(spec)).judges:
        names = judge.screen.covers(judge.category)
        if names:
            covered.setdefault(judge.category, {})[judge.name] = names
    lines = [
        f"{category}: {screen} covers some, not all: {', '.join(names)}"
        for category, screens in covered.items()
        for screen, names in screens.items()
    ]
    value = {"covered": covered, "complete": False}
    typer.echo(
        json.dumps(value) if as_json else "\n".join(lines or ["no screen of the spec has a list of what it covers"])
    )


@app.command()
def hashes(
    pictures: Annotated[list[Path], typer.Argument(help="picture files")],
    out: Annotated[Path, typer.Option("--out", help="the list to write")],
    name: Annotated[str, typer.Option("--name", help="what the list is called in receipts and incidents")] = "own",
) -> None:
    """Write a list of known material from pictures that you may hold: file hashes, PDQ and perceptual hashes."""
    from importlib import import_module

    if not pictures:
        raise SpecError("screen hashes: name the pictures")
    entries = import_module("filters._hash_entries").entries_of_pictures(pictures)
    import_module("filters._hash_lists").write_list(out, name, entries, datetime.now(UTC).date())
    typer.echo(f"{len(entries)} entries of {len(pictures)} pictures in {out}")
