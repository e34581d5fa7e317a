"""What a run would do, what is known of one clip, and whether the store holds what it says it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import snapshots
from curate.errors import SpecError, StorageError
from curate.ledger import Ledger, by_source
from curate.plan import CLIP_WORKS
from curate.run import Run
from curate.schema import CAPTION
from curate.sealing import sealed
from curate.stages.learn import refuse_unfit_requests
from curate.store import ids_of, read_columns, rows_digest
from curate.tables import SEALED
from curate.worklist import clip_rows, media_rows, proxied_rows, text_rows, wanted_texts


def survey(job: Run) -> list[dict[str, Any]]:
    """Every stage with its key, rows done, and rows to do as far as they are known now (None: it depends on others)."""
    if job.spec.sample is not None:
        refuse_unfit_requests(job.plan)
    media = media_rows(job.plan, job.store, job.locations)
    ledger = job.ledger() if (job.out / "spec.yaml").exists() else None
    open_clips = clip_rows(job.plan, job.store, ledger) if ledger is not None else []
    proxied = proxied_rows(job.plan, job.store, list(by_source(job.locations)))
    rows = []
    for stage, table in job.plan.tables.items():
        key = table.schema.names[0]
        done = len(ids_of(job.store.read(table.name, table.schema, [key]), key))
        if stage in ("probe", "split"):
            to_do: int | None = sum(1 for row in media if row[stage])
        elif stage in job.plan.proxied:
            to_do = sum(stage in row["lacks"] for row in proxied) if not media else None
        elif stage in CLIP_WORKS:
            to_do = sum(1 for row in open_clips if stage in row["need"]) if not media else None
        elif table.stage == "text":
            to_do = (
                len(text_rows(job.plan, job.store, ledger, stage))
                if ledger is not None and not media and not open_clips
                else None
            )
        else:
            to_do = (
                None if any(row["split"] for row in media) else sum(len(row["clips"].get(stage, ())) for row in media)
            )
        rows.append({"stage": stage, "key": table.key, "done": done, "to_do": to_do})
    finished = snapshots.finished(job.out)
    for stage, wanted in (("export", job.plan.stages.export), ("train", job.spec.train), ("sample", job.spec.sample)):
        if wanted is not None:
            rows.append(
                {"stage": stage, "key": finished.get(stage, "-"), "done": int(stage in finished), "to_do": None}
            )
    return rows


def survey_lines(rows: list[dict[str, Any]]) -> list[str]:
    """A survey as lines to read."""
    lines = [f"{'stage':<14} {'key':<17} {'done':>8} {'to do':>8}"]
    return lines + [
        f"{r['stage']:<14} {r['key']:<17} {r['done']:>8} {r['to_do'] if r['to_do'] is not None else '?':>8}"
        for r in rows
    ]


def standing_ledger(job: Run, note: Callable[[str], None]) -> Ledger:
    """The ledger as it stands; where the footage cannot be listed any more, that of the last finished run.

    Archived footage must not take the explanation of its dataset with it. `note` is told when that is shown.

    Raises:
        SpecError: the footage cannot be listed and no run was finished.
    """
    import pyarrow.parquet as pq

    try:
        return job.ledger()
    except SpecError as error:
        path = job.out / "ledger.parquet"
        if not path.exists():
            raise
        note(f"{error}; shown is the ledger of the last finished run")
        table = pq.read_table(path)
        has_clip = pc.is_valid(table["clip_id"])
        return Ledger(table.filter(has_clip), table.filter(pc.invert(has_clip)))


def explained(ledger: Ledger, clip: str) -> dict[str, Any]:
    """The ledger row of the clip whose id begins with `clip`."""
    rows = [
        row for row in ledger.clips.to_pylist()
        if row["clip_id"].startswith(clip) and row["source_id"] not in ledger.due
    ]  # fmt: skip
    if len(rows) != 1:
        what = "no clip's id begins" if not rows else f"{len(rows)} clips' ids begin"
        raise SpecError(f"explain: {what} with {clip!r}")
    return rows[0]


def earlier_captions(job: Run, clip: str) -> list[dict[str, Any]]:
    """The clip's rows in caption tables of other specs: another captioner, prompt or parameter adds, none overwrites.

    A row has `table`, and of the columns of schema.CAPTION those that its table has; a table of an older version of
    Rushes may have fewer.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow.parquet as pq

    present = job.plan.tables["caption"].name if "caption" in job.plan.tables else ""
    rows = []
    for table in job.store.tables():
        if not table.startswith("caption-") or table == present:
            continue
        for part in job.store.parts(table):
            path = job.store.out / part.path
            try:
                names = [name for name in CAPTION.names if name in pq.read_schema(path).names]
                found = job.store.standing(part, read_columns(path, names), "clip_id")
            except (OSError, pa.ArrowException) as error:
                raise StorageError(f"part {part.path} cannot be read ({error}); see: rushes verify") from error
            found = found.filter(pc.equal(found["clip_id"], clip))
            if found.num_rows:
                rows.append({"table": table, **found.slice(0, 1).to_pylist()[0]})
                break  # the first commit counts
    return rows


def verified(job: Run) -> list[str]:
    """A sentence for each damaged part, and for a dataset that differs from its receipt."""
    from curate.dataset.receipts import REQUIRED_CATEGORIES, verify_receipt
    from curate.errors import UnscreenedData

    faults = [f"{path} {what}" for path, what in job.store.verify().items()]
    if (job.out / "dataset").is_dir():
        try:
            verify_receipt(job.out / "dataset", REQUIRED_CATEGORIES, allow_uncalibrated=REQUIRED_CATEGORIES)
        except UnscreenedData as error:
            faults.append(str(error))
    return faults


def digest_of(job: Run) -> str:
    """sha256 over the live rows of every table, and over what each clip came to (DESIGN 6).

    Live are the rows that the present plan wants: those of the sources' present clips, and of captions, latents and
    texts those of the clips that got so far. So the way that led here does not matter.
    """
    ledger = job.ledger()
    clips = ledger.clips
    present = {
        "source_id": set(by_source(job.locations)) - set(sealed(job.store)),
        "clip_id": set(clips["clip_id"].to_pylist()),
    }
    encoded = clips.filter(pc.is_in(clips["stage"], value_set=pa.array(["", *CLIP_WORKS])))
    late = {"clip_id": set(encoded["clip_id"].to_pylist()), "text_id": set(wanted_texts(job.plan, ledger))}
    digests = {}
    for stage, table in job.plan.tables.items():
        if stage == SEALED.stage:
            continue  # an incident is named at random
        wanted = late if table.stage in (*CLIP_WORKS, "text") else present
        digests[stage] = job.store.digest(table.name, table.schema, wanted[table.schema.names[0]])
    digests["ledger"] = rows_digest(
        clips, ["clip_id", "outcome", "stage", "reason", *_snapshot_columns(clips.schema.names)], "clip_id"
    )
    dataset = job.out / "dataset" / "receipt.json"
    if dataset.exists():
        digests["dataset"] = json.loads(dataset.read_bytes())["digest"]
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _snapshot_columns(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("dedup.")]


def repaired(job: Run) -> int:
    """Take damaged parts off the list; the next run makes their rows again. How many there were."""
    damaged = job.store.verify()
    job.store.remove(list(damaged))
    return len(damaged)


def retried(job: Run, reason: str) -> int:
    """Withdraw the quarantined rows whose reason begins so; the next run tries them again. How many there were."""
    count = 0
    for table in job.plan.tables.values():
        key = table.schema.names[0]
        rows = job.store.read(table.name, table.schema, [key, "outcome", "reason"]).to_pylist()
        ids = {r[key] for r in rows if r["outcome"] == "quarantined" and r["reason"].startswith(reason)}
        if ids:
            job.store.withdraw(table.name, ids)
            count += len(ids)
    return count
