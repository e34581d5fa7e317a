"""The driver: from a spec to its results. It decides what is to do, hands it to an engine, and commits what comes back.

Every step asks the store what is there before it asks an engine for anything, so a resumed run, a second run, a changed
rule and new footage take the same path.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import yaml

from curate import sealing, snapshots
from curate.engines import Engine, Shard, make_engine, workers_of
from curate.errors import RushesError, SpecError, StorageError, TooManyQuarantined
from curate.ledger import Ledger, build, by_source, funnel
from curate.plan import Plan
from curate.sources import Location, scan
from curate.spec import Spec
from curate.spec_file import absolute, dump
from curate.stages import dedup, export, learn, match
from curate.store import Store, remove_litter, storage_errors, write_atomic
from curate.worklist import clip_rows, media_rows, proxied_rows, refuse_bad_texts, shards, text_rows

STEPS = ("split", "dedup", "caption", "encode", "export", "train", "sample", "report")
# What verbs that only look may have left in an output folder before its first run.
_OURS = frozenset({"hashes.json", "footage"})
Progress = Callable[[str, int, int], None]  # step, rows done, rows to do


@dataclass
class Outcome:
    """What a run did: rows computed by each step, the funnel, and the ledger."""

    ledger: Ledger
    computed: dict[str, int] = field(default_factory=dict)

    @property
    def quarantined_share(self) -> float:
        """Quarantined rows over all rows."""
        rows = funnel(self.ledger)
        total = sum(row["rows"] for row in rows)
        return sum(row["rows"] for row in rows if row["outcome"] == "quarantined") / total if total else 0.0


def _owner(path: Path) -> str | None:
    """The name of the run that an output folder's spec.yaml says."""
    try:
        return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("name")
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise StorageError(
            f"{path} is damaged, so nobody can say whose folder this is; put the spec of its run there again"
        ) from error


class Run:
    """One output folder and its spec."""

    def __init__(self, spec: Spec, progress: Progress = lambda step, done, total: None) -> None:
        # Workers of a cluster have other working folders, and a dataset's card outlives this one.
        self.spec, self.progress = absolute(spec), progress
        self.out = Path(self.spec.output)
        self.plan = Plan(self.spec)
        self.computed: dict[str, int] = {}
        self._engine: Engine | None = None

    # -- the folder --------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Take the output folder for this name, and write the spec into it."""
        path = self.out / "spec.yaml"
        text = yaml.safe_dump(dump(self.spec), sort_keys=False, allow_unicode=True)
        if path.exists():
            owner = _owner(path)
            if owner != self.spec.name:
                raise SpecError(f"output: {self.out} belongs to the run {owner!r}; choose another folder or that name")
        elif self.out.is_dir() and any(p.name not in _OURS and not p.match(".tmp-*") for p in self.out.iterdir()):
            raise SpecError(f"output: {self.out} holds files that no run of ours wrote; choose an empty folder")
        with storage_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        remove_litter(self.out)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomic(path, text.encode(), replace=True)

    @cached_property
    def store(self) -> Store:
        """The store of the output folder."""
        return Store(self.out)

    @cached_property
    def locations(self) -> list[Location]:
        """Every path of every source, hashed."""
        return scan(self.spec, self.out)

    def ledger(self, compute: bool = False) -> Ledger:
        """The ledger as the store has it now; with `compute` a missing snapshot of duplicates is made first."""
        ledger = build(self.plan, self.store, self.locations)
        if self.plan.dedup is None:
            return ledger
        joined, fresh = dedup.deduplicated(self.plan, self.store, ledger, compute)
        if fresh:
            self.computed["dedup"] = 1
        return joined

    # -- the steps ---------------------------------------------------------------------------------------------

    def go(self, until: str | None = None) -> Outcome:
        """Run every step up to `until` (all of them by default)."""
        if until is not None and until not in STEPS:
            raise SpecError(f"--until {until}: the steps are {', '.join(STEPS)}")
        wanted = STEPS[: STEPS.index(until) + 1] if until else STEPS
        self.refuse(wanted)
        self.claim()
        try:
            sealing.rematch(self.plan, self.store, self.locations)
            sealing.settle(self.plan, self.store, self.locations)
            self._media()
            ledger = self._sealed(compute="dedup" in wanted)
            wrong = None
            if "caption" in wanted:
                ledger = self._clips(ledger, encodes=False)
                wrong = match.tested(self, ledger)  # what stands on the wrong clips is not worth encoding
            if "encode" in wanted and wrong is None:
                ledger = self._clips(ledger, encodes=True)
                wrong = match.tested(self, ledger)  # a clip that failed may have given its place to another
        finally:
            self.close()
        self._write_ledger(ledger)
        outcome = Outcome(ledger, self.computed)
        learns = "export" in wanted and self.plan.stages.export is not None
        refusal = wrong or self._refusal(outcome, learns)
        try:
            if learns and refusal is None:
                self._learn(ledger, wanted)
        finally:  # the report shows what there is, whatever came to an end early
            if "report" in wanted:
                self._report(ledger)
        if refusal is not None:  # after the report, which shows why
            raise refusal
        return outcome

    def refuse(self, wanted: tuple[str, ...] = STEPS) -> None:
        """Raise what training and sampling would end with, before anything is computed for them."""
        if self.spec.train is not None and "train" in wanted:
            learn.refuse_unscreened(self.plan)
            learn.refuse_missing_weights(self.plan)
            learn.refuse_unwatchable(self.plan)
        if self.spec.sample is not None and "sample" in wanted:
            learn.refuse_unfit_requests(self.plan)

    def _refusal(self, outcome: Outcome, learns: bool) -> RushesError | None:
        """Why a run must not go on to the dataset, if it must not."""
        share, limit = outcome.quarantined_share, self.spec.quarantine.max_share
        if share > limit:
            return TooManyQuarantined(
                f"{share:.1%} of the rows are quarantined, more than quarantine.max_share = {limit:.1%}: "
                f"`rushes quarantine {self.out}` lists them"
            )
        pending = outcome.ledger.table.filter(pc.equal(outcome.ledger.table["outcome"], "pending")).num_rows
        if learns and pending:
            return RushesError(
                f"{pending} rows could not be reached and wait for the next run, so nothing was exported: run again"
            )
        if learns and outcome.ledger.where("kept").num_rows == 0:
            return SpecError(
                f"nothing was kept, so there is nothing to export: `rushes status {self.out}` shows the reasons"
            )
        return None

    def _media(self) -> None:
        self._compute("split", ["media"], media_rows(self.plan, self.store, self.locations))
        sources = list(by_source(self.locations))
        self._compute("measure", ["proxied"], proxied_rows(self.plan, self.store, sources))

    def _sealed(self, compute: bool) -> Ledger:
        """The ledger once everything that is to be sealed is."""
        ledger = self.ledger(compute)
        while ledger.due:
            sealing.seal(self.store, [sealing.incident(source, sealing.MINORS) for source in ledger.due])
            ledger = self.ledger(compute)
        sealing.settle(self.plan, self.store, self.locations)
        return ledger

    def _clips(self, ledger: Ledger, encodes: bool) -> Ledger:
        """Caption, check and encode what is wanted; a keeper that fails gives its place to the next of its cluster.

        Captions and their checks are whole before anything is encoded: a caption may say what no screen saw.
        """
        steps = {"caption": ["caption"], "check": ["check"], "encode": ["latent", "mp4"]}
        steps = {step: [work for work in works if work in self.plan.tables] for step, works in steps.items()}
        if not encodes:
            del steps["encode"]
        tried: dict[str, set[str]] = {step: set() for step in steps}
        while True:
            for step, works in steps.items():
                rows = clip_rows(self.plan, self.store, ledger, works)
                rows = [row for row in rows if row["id"] not in tried[step]]
                if rows:
                    tried[step] |= {row["id"] for row in rows}
                    self._compute(step, works, rows)
                    ledger = self._sealed(compute=True)
                    break
            else:
                break
        for stage in self.plan.text_stages if encodes else ():  # one after the other: a process holds one model
            self._compute("text", ["text"], text_rows(self.plan, self.store, ledger, stage))
            refuse_bad_texts(self.plan, self.store, ledger, stage)
        return ledger

    def _learn(self, ledger: Ledger, wanted: tuple[str, ...]) -> None:
        key = export.export_key(self.plan, ledger)
        receipt = self.out / "dataset" / "receipt.json"
        if "export" in snapshots.finished(self.out) and not export.is_whole(self.out / "dataset"):
            snapshots.forget(self.out, "export")
        self._snapshot("export", key, receipt, lambda: export.export(self.plan, self.store, ledger, self.out))
        if self.spec.train is None or "train" not in wanted:
            return
        train_key = learn.train_key(self.plan, export.content_key(self.plan, ledger))
        run_dir = self.out / "train" / train_key
        self._snapshot(
            "train", train_key, run_dir / "run.json", lambda: learn.train(self.plan, self.out / "dataset", run_dir)
        )
        if self.spec.sample is None or "sample" not in wanted:
            return
        sample_key = learn.sample_key(self.plan, train_key, learn.requests_of(self.plan))
        samples = self.out / "samples"
        self._snapshot(
            "sample", sample_key, samples / "prompts.jsonl", lambda: learn.sample(self.plan, run_dir, samples)
        )

    def _report(self, ledger: Ledger) -> None:
        from curate.report import write_report

        write_report(self, ledger)

    def _snapshot(self, stage: str, key: str, product: Path, make: Callable[[], Any]) -> None:
        """Make a dataset-wide result unless the one that stands is the one for this key."""
        if snapshots.finished(self.out).get(stage) == key and product.exists():
            return
        self.progress(stage, 0, 1)
        make()
        snapshots.finish(self.out, stage, key)
        self.computed[stage] = 1
        self.progress(stage, 1, 1)

    def _compute(self, step: str, works: list[str], rows: Shard) -> None:
        """Run a work list on the engine and commit each shard as it comes back."""
        if not rows:
            return
        self._engine = self._engine or make_engine(self.spec, self.out)
        workers, size = workers_of(self.spec, works), self.spec.engine.shard_rows
        if step == "caption":  # a model is busy only while it has enough to choose from
            self.plan.captioner.ready()
            size = max(size, self.plan.captioner.batch_rows)
        cut = shards(rows, size, workers)
        done = 0
        self.progress(step, 0, len(rows))
        results = self._engine.run(works, cut)
        with closing(results):  # type: ignore[type-var] generators close
            for parts, rows_done in results:
                self.store.commit(parts)
                done += rows_done
                self.progress(step, done, len(rows))
        self.computed[step] = self.computed.get(step, 0) + len(rows)
        if step == "caption" and self.plan.captioner.reads_frames:
            self.close()  # its model would sit in memory, or on a GPU, while others work

    def _write_ledger(self, ledger: Ledger) -> None:
        """Replace OUT/ledger.parquet when it would change."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.out / "ledger.parquet"
        table = ledger.table
        try:
            if path.exists() and pq.read_table(path).equals(table):
                return
        except (OSError, pa.ArrowException):
            pass  # a damaged view is written anew
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_atomic(path, sink.getvalue().to_pybytes(), replace=True)

    def close(self) -> None:
        """End the engine's workers."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
