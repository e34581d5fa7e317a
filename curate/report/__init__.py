"""OUT/report.html: what a run took in, kept, and made of it, in one self-contained file.

Python prepares plain values, the templates only lay them out; autoescape is on, since captions, names and URLs are
hostile text. The file carries the key of what it was made from, so an unchanged run does no work, and equal input
gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate import schema, snapshots
from curate.errors import SpecError
from curate.ids import fingerprint
from curate.ledger import CLIP_FIELDS, Ledger
from curate.stages import match
from curate.store import write_atomic

if TYPE_CHECKING:
    from curate.run import Run

__all__ = ["write_report"]

_FILE = "report.html"
_HEAD_BYTES = 4096  # the key stands within them
_END = b"</html>\n"
_FOLDER = Path(__file__).parent
# Columns of the ledger that the report reads beside those of every clip.
_READ = ("caption.", "check.", "dedup.")


def write_report(run: Run, ledger: Ledger) -> Path:
    """Write OUT/report.html from the ledger and what lies beside it, unless the one that stands is the same.

    Raises:
        StorageError: a part, a log or a sample that the report shows is damaged or cannot be read.
    """
    path = run.out / _FILE
    key = _key(run, ledger)
    if _standing_key(path) == key:
        return path
    write_atomic(path, _render(_view(run, ledger, key)).encode("utf-8", "replace"), replace=True)
    return path


# -- the key -----------------------------------------------------------------------------------------------------


def _key(run: Run, ledger: Ledger) -> str:
    """What the report is made from: ledger, snapshots and their small files, spec, and the code of this package."""
    from curate.report.captions import refusals
    from curate.report.validation import newest_sheet

    done = snapshots.finished(run.out)
    train = run.out / "train" / done.get("train", "")
    files = [run.out / "dataset" / "receipt.json", run.out / "samples" / "prompts.jsonl", run.out / match.FILE]
    if "train" in done:
        sheet = newest_sheet(train)
        files += [train / "log.jsonl", train / "eval.jsonl", *([sheet] if sheet is not None else [])]
    code = sorted(path for path in _FOLDER.rglob("*") if path.suffix in (".py", ".html"))
    return fingerprint([
        _digest(run, ledger.clips), _digest(run, ledger.others), refusals(run.plan, run.store, ledger),
        run.plan.tables["frames"].name, done, _spec_text(run),
        [_sha256(path) for path in files], [_sha256(path) for path in code],
    ])  # fmt: skip


def _digest(run: Run, rows: pa.Table) -> str:
    """sha256 over the columns that the report reads. The ledger's order is fixed, so whole columns are hashed at once,
    which at 100 000 clips takes a tenth of the time that row by row does."""
    fields = {field.name for field in CLIP_FIELDS}
    read = (*_READ, *(f"{name}." for name in run.plan.scores))
    digest = hashlib.sha256(str(rows.num_rows).encode())
    for field in rows.schema:
        if field.name in fields or (field.name.startswith(read) and not schema.is_operational(field)):
            digest.update(field.name.encode() + b"\0")
            digest.update(_column_bytes(rows[field.name]))
    return digest.hexdigest()


def _column_bytes(column: pa.ChunkedArray) -> bytes:
    """A column's values as bytes that do not depend on its chunks."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        nulls = column.is_null().to_numpy().tobytes()
        return nulls + column.fill_null(0).to_numpy().tobytes()
    return json.dumps(column.to_pylist()).encode()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _standing_key(path: Path) -> str:
    """The key in the report that stands; empty when there is none, or when it is not whole."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(-len(_END), 2)
            if file.read() != _END:
                return ""
    except OSError:  # not there, or shorter than its own end
        return ""
    _, _, rest = head.partition(b'<meta name="rushes-report-key" content="')
    return rest.partition(b'"')[0].decode("ascii", "replace")


def _spec_text(run: Run) -> str:
    path = run.out / "spec.yaml"
    return path.read_text(encoding="utf-8") if path.exists() else ""


# -- the page ----------------------------------------------------------------------------------------------------


def _view(run: Run, ledger: Ledger, key: str) -> dict[str, Any]:
    """Everything that the templates need, as plain values."""
    from curate.report.captions import captions
    from curate.report.histograms import histograms
    from curate.report.matching import match_view
    from curate.report.samples import samples
    from curate.report.screening import screening
    from curate.report.sheets import sheets
    from curate.report.steps import funnel_view
    from curate.report.training import training

    done = snapshots.finished(run.out)
    return {
        "key": key,
        "name": run.spec.name,
        "funnel": funnel_view(run.plan, ledger),
        "sources": len(set(ledger.table["source_id"].drop_null().to_pylist())),
        "screening": screening(run.plan, run.out / "dataset" / "receipt.json"),
        "histograms": histograms(run.plan, ledger),
        "sheets": sheets(run.plan, run.store, ledger),
        "captions": captions(run.plan, run.store, ledger),
        "matching": match_view(run, ledger),
        "training": training(run.out / "train" / done["train"]) if "train" in done else None,
        "samples": samples(run.out / "samples") if "sample" in done else None,
        "earlier": _earlier(run, ledger, done),
        "spec": _spec_text(run),
    }


def _earlier(run: Run, ledger: Ledger, done: dict[str, str]) -> list[str]:
    """Which of dataset, model and samples were made from something else than the present ledger and spec."""
    from curate.stages import export, learn

    if run.plan.stages.export is None or "export" not in done:
        return []
    stale = ["dataset"] if done["export"] != export.export_key(run.plan, ledger) else []
    train_key = ""
    if run.spec.train is not None:
        train_key = learn.train_key(run.plan, export.content_key(run.plan, ledger))
        stale += ["model"] if done.get("train", train_key) != train_key else []
    if run.spec.sample is not None and "sample" in done:
        try:
            wanted = learn.sample_key(run.plan, train_key, learn.requests_of(run.plan))
        except SpecError:  # the prompts file is not there any more: nobody can say what it asked
            wanted = ""
        stale += ["samples"] if done["sample"] != wanted else []
    return stale


def _render(view: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(view)
