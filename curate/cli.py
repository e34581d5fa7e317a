"""The command line: verbs over the public API. Parameters live in the spec; `--set key=value` changes one for a run.

Exit codes: 0 done, 1 an error, 2 the spec or the call is wrong (or the data is unscreened), 3 finished with more
quarantined rows than `quarantine.max_share`, 4 captions do not fit their clips, 74 storage full or damaged,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from curate import cli_captioner, cli_head, cli_screen
from curate.errors import Interrupted, RushesError, Terminated, UnscreenedData

app = typer.Typer(
    help="Rushes: raw footage to a video model.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip

app.add_typer(cli_screen.app, name="screen")
app.add_typer(cli_head.app, name="head")
app.add_typer(cli_captioner.app, name="captioner")

SpecPath = Annotated[Path, typer.Argument(help="the pipeline's YAML file", metavar="SPEC")]
Set = Annotated[list[str] | None, typer.Option("--set", help="change one key for this run: key.path=value")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object for machines")]


def _load(path: Path, overrides: list[str] | None) -> Any:
    from curate.spec_file import load_spec

    return load_spec(path, overrides)


def _folder(path: Path) -> Any:
    """The run in an output folder, or the run of a spec file."""
    from curate.errors import SpecError
    from curate.run import Run
    from curate.spec_file import load_spec

    if not path.is_dir():
        return Run(load_spec(path))
    if not (path / "spec.yaml").exists():
        raise SpecError(f"{path} is not the output folder of a run: it has no spec.yaml")
    # The folder may have been moved since its spec was written into it.
    return Run(load_spec(path / "spec.yaml").model_copy(update={"output": str(path)}))


def _ledger(job: Any) -> Any:
    from curate.planning import standing_ledger

    return standing_ledger(job, lambda text: typer.echo(f"note: {text}", err=True))


def _progress() -> Any:
    """A bar on a terminal, plain lines in a log."""
    from curate.progress import progress

    return progress(sys.stderr)


def _say(value: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(value) if as_json else "\n".join(lines))


@app.command()
def run(
    spec: SpecPath,
    until: Annotated[str | None, typer.Option(help="stop after this step")] = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Run a pipeline, or go on with it."""
    from curate.ledger import funnel
    from curate.run import Run

    signal.signal(signal.SIGTERM, _terminate)
    show = _progress()
    job = Run(_load(spec, overrides), show)
    try:
        outcome = job.go(until)
    except KeyboardInterrupt as stop:
        code = getattr(stop, "exit_code", Interrupted("").exit_code)
        raise Interrupted("stopped; what was committed is kept, run again to go on", code) from None
    finally:
        show.close()
    rows = funnel(outcome.ledger)
    value = {"output": str(job.out), "computed": outcome.computed, "funnel": rows}
    _say(value, as_json, [*_funnel_lines(rows), f"output: {job.out}"])


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def _funnel_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'rows':>7}  {'hours':>9}  outcome"]
    for row in rows:
        reason = f"  {row['reason']}" if row["reason"] else ""
        lines.append(f"{row['rows']:>7}  {row['hours']:>9.4f}  {row['outcome']}{reason}")
    return [*lines, f"{sum(row['rows'] for row in rows):>7}  in total"]


@app.command()
def plan(
    spec: SpecPath,
    gpus: Annotated[int | None, typer.Option(min=1, help="of the training: how many (as share its packs)")] = None,
    gpu: Annotated[str | None, typer.Option(help="one of those with a known rate; all of them unless said")] = None,
    peak_tflops: Annotated[float | None, typer.Option(help="dense TFLOP/s of another GPU")] = None,
    mfu: Annotated[float | None, typer.Option(help="share of that rate that is reached (0.35)")] = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show the stages with their keys and what each has and lacks, and what the training will take; nothing is run."""
    from curate.forecast import forecast_of, lines_of
    from curate.planning import survey, survey_lines
    from curate.run import Run

    job = Run(_load(spec, overrides))
    rows = survey(job)
    training = forecast_of(job, gpus, gpu, peak_tflops, mfu, lambda text: typer.echo(f"note: {text}", err=True))
    value = {"stages": rows, **({"training": training} if training is not None else {})}
    _say(value, as_json, [*survey_lines(rows), *(lines_of(training) if training is not None else [])])
    job.refuse()  # as `run` would at once; a plan is of use all the same


@app.command()
def status(out: Annotated[Path, typer.Argument(help="an output folder or a spec")], as_json: Json = False) -> None:
    """Show the funnel as it stands."""
    from curate.ledger import funnel

    rows = funnel(_ledger(_folder(out)))
    _say({"funnel": rows}, as_json, _funnel_lines(rows))


@app.command()
def explain(
    clip: Annotated[str, typer.Argument(help="a clip id, or the beginning of one")],
    out: Annotated[Path, typer.Argument(help="an output folder or a spec")],
    as_json: Json = False,
) -> None:
    """Show everything that is known of one clip, what decided, and captions that earlier specs had written."""
    from curate.planning import earlier_captions, explained

    job = _folder(out)
    row = explained(_ledger(job), clip)
    earlier = earlier_captions(job, row["clip_id"])
    lines = [f"{name:<28} {value}" for name, value in row.items() if value is not None]
    _say({**row, "caption.earlier": earlier}, as_json, [*lines, *_caption_lines(earlier)])


def _caption_lines(rows: list[dict[str, Any]]) -> list[str]:
    from curate.captioning import KINDS

    lines = []
    for row in rows:
        prompts = json.loads(row.get("prompts") or "{}")
        asked = "".join(f", {kind} by prompt {p['name']}" for kind, of_kind in prompts.items() for p in of_kind)
        lines += ["", f"earlier: {row['table']}, model {row.get('model')} {row.get('revision') or ''}{asked}"]
        for kind in KINDS:
            if row.get(kind) or row.get(f"{kind}_status"):
                name = f"{kind} ({row.get(f'{kind}_status') or 'ok'})"
                lines.append(f"{name:<28} {row.get(kind) or ''}")
    return lines


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(help="an output folder or a spec")],
    digest: Annotated[bool, typer.Option("--digest", help="print the digest of what the store holds")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="forget damaged parts; the next run makes them again")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare every part with the manifest, and the dataset with its receipt."""
    from curate.errors import StorageError
    from curate.planning import digest_of, repaired, verified

    job = _folder(out)
    if repair:
        count = repaired(job)
        _say({"repaired": count}, as_json, [f"{count} damaged parts forgotten; run again to make their rows"])
        return
    faults = verified(job)
    if faults:
        raise StorageError("; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else ""))
    value: dict[str, Any] = {"parts": sum(len(job.store.parts(t)) for t in job.store.tables()), "faults": 0}
    if digest:
        value["digest"] = digest_of(job)
    _say(value, as_json, [value["digest"]] if digest else [f"{value['parts']} parts, none damaged"])


@app.command()
def quarantine(
    out: Annotated[Path, typer.Argument(help="an output folder or a spec")],
    retry: Annotated[
        str | None,
        typer.Option("--retry", help="let the next run try rows again whose reason begins so: timeout, crash"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what could not be used, with the reason; or have it tried again."""
    import pyarrow.compute as pc

    job = _folder(out)
    if retry is not None:
        from curate.planning import retried

        count = retried(job, retry)
        _say({"withdrawn": count}, as_json, [f"{count} rows will be tried again by the next run"])
        return
    table = _ledger(job).table
    rows = table.filter(pc.equal(table["outcome"], "quarantined")).select(
        ["url", "clip_id", "stage", "reason", "evidence"]
    )
    lines = [f"{r['reason']:<24} {r['clip_id'] or '-':<33} {r['url']}  {r['evidence']}" for r in rows.to_pylist()]
    _say({"quarantined": rows.to_pylist()}, as_json, lines or ["nothing is quarantined"])


@app.command()
def sealed(
    out: Annotated[Path, typer.Argument(help="an output folder or a spec")],
    clear: Annotated[str | None, typer.Option("--clear", help="an incident whose match is false")] = None,
    by: Annotated[str, typer.Option("--by", help="who says so; it takes two people")] = "",
    as_json: Json = False,
) -> None:
    """List sealed sources by their incidents; or note that a match is false."""
    from curate import sealing

    job = _folder(out)
    if clear is not None:
        count = sealing.clear(job.store, clear, by)
        left = "the next run takes the source in" if count > 1 else "one more person has to"
        _say({"incident": clear, "people": count}, as_json, [f"{count} of 2 called it false; {left}"])
        return
    names = ("incident", "at", "why", "list", "kind", "distance")
    free = sealing.cleared(job.store)
    rows = [
        {**{name: row[name] for name in names}, "cleared": row["incident"] in free}
        for row in sealing.incidents(job.store)
    ]
    lines = [f"{r['incident']}  {r['at']}  {r['why']}{'  cleared' if r['cleared'] else ''}" for r in rows]
    _say({"sealed": rows}, as_json, lines or ["nothing is sealed"])


@app.command(name="try")
def try_(
    name: Annotated[str, typer.Argument(help="probe, split, a score, or dedup")],
    inputs: Annotated[list[str], typer.Argument(help="files")],
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Run one stage or score on files, without a store."""
    from curate.trying import attempt

    value = attempt(name, inputs, overrides or [])
    lines = [json.dumps(result) for result in value["results"]]
    _say(value, as_json, [*lines, *(f"cluster: {', '.join(c)}" for c in value.get("clusters", []))])


@app.command()
def report(out: Annotated[Path, typer.Argument(help="an output folder or a spec")]) -> None:
    """Write OUT/report.html anew."""
    from curate.report import write_report

    job = _folder(out)
    typer.echo(str(write_report(job, job.ledger())))


@app.command()
def export(spec: SpecPath, overrides: Set = None) -> None:
    """Run everything up to the dataset."""
    run(spec, "export", overrides)


@app.command()
def train(spec: SpecPath, overrides: Set = None) -> None:
    """Run everything up to the trained model."""
    run(spec, "train", overrides)


@app.command()
def sample(spec: SpecPath, overrides: Set = None) -> None:
    """Run everything up to the samples."""
    run(spec, "sample", overrides)


@app.command()
def submit(
    spec: SpecPath,
    until: Annotated[str | None, typer.Option(help="stop after this step")] = None,
    overrides: Set = None,
    address: Annotated[str, typer.Option(help="the cluster's job server")] = "http://127.0.0.1:8265",
) -> None:
    """Run a pipeline as a job on a Ray cluster, and follow its log."""
    from curate.submit import submit as send

    raise typer.Exit(send(spec, overrides or [], address, until))


def main() -> None:
    """Entry point: errors that Rushes raises end in one sentence and their exit code."""
    try:
        app()
    except RushesError as error:
        named = f"{type(error).__name__}: " if isinstance(error, UnscreenedData) else ""
        typer.echo(f"error: {named}{error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
