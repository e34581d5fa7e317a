"""`rushes try NAME FILE...`: one stage or score on files, without a store. What it prints is a contract (DESIGN 9).

Each input is run in the same disposable worker process as in a run, so a file that crashes or hangs a decoder is one
result with its reason, and the next file goes on.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from curate import schema
from curate.engines.local import LocalEngine
from curate.errors import InputRejected, SpecError
from curate.files import open_url
from curate.ids import fingerprint
from curate.ledger import CLIP_FIELDS
from curate.plan import Plan
from curate.registry import names, nearest, resolve
from curate.spec import REQUIRED_CATEGORIES, Spec
from curate.spec_file import parse
from curate.stage import Screen
from curate.store import Store
from curate.trying_texts import attempt_texts
from curate.worklist import proxied_rows

_WHOLE = 1e9  # seconds: a maximum length that never cuts, for scores of a whole file


def attempt(name: str, inputs: list[str], overrides: list[str]) -> dict[str, Any]:
    """Run `probe`, `split`, `dedup` or a score on files; one result for every input, in order.

    Raises:
        SpecError: unknown name or parameter.
    """
    known = ["probe", "split", "dedup", *names("score")]
    if name not in known:
        raise SpecError(f"try: unknown name {name!r}; {nearest(name, known)}")
    with tempfile.TemporaryDirectory(prefix="rushes-try-") as folder:
        plan = Plan(_spec(name, folder, overrides))
        if plan.judges and plan.judges[0].reads_texts:
            return {"name": name, "results": attempt_texts(plan.judges[0].screen, inputs)}
        store = Store(Path(folder))
        _measure(plan, store, inputs, decode=name != "probe")
        splits = dict(_by_input(store, plan, "split", inputs))
        probes = dict(_by_input(store, plan, "probe", inputs))
        if name == "probe":
            return {
                "name": name,
                "results": [_fault(inputs[i], probes[i], splits[i]) or _plain(inputs[i], probes[i]) for i in probes],
            }
        results = [_split(inputs[i], probes[i], splits[i]) for i in range(len(inputs))]
        if name == "split":
            return {"name": name, "results": results}
        if name == "dedup":
            return _dedup(plan, store, inputs, probes, splits)
        return {
            "name": name,
            "results": [_score(plan, store, name, inputs[i], probes[i], splits[i]) for i in range(len(inputs))],
        }


def _spec(name: str, folder: str, overrides: list[str]) -> Spec:
    """A spec that runs just this; `--set` reaches the parameters of the named stage."""
    given = {}
    for item in overrides:
        key, _, value = item.partition("=")
        try:
            given[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SpecError(f"--set {key}: {value!r} is not a YAML value") from error
    stages: dict[str, Any] = {"split": {"detector": "fixed", "min_s": 0, "max_s": _WHOLE}}
    if name == "split":
        # Lengths are a matter of the pipeline; here the scenes themselves are asked for.
        stages["split"] = {"detector": "fast", "min_s": 0, "max_s": _WHOLE, **given}
    elif name == "dedup":
        stages["score"] = ["sharpness"]
        stages["dedup"] = {"exact": {}, "perceptual": given}
    elif name != "probe" and issubclass(kind := resolve("score", name), Screen):
        # `--set categories=[hate]` asks it about others than its first; the policy's thresholds do not matter here.
        asked = given.pop("categories", list(kind.speaks_for[:1] or REQUIRED_CATEGORIES[:1]))
        none: dict[str, Any] = {category: [] for category in REQUIRED_CATEGORIES}
        stages["screen"] = {**none, **{category: [{name: given}] for category in asked}}
    elif name != "probe":
        stages["score"] = [{name: given}]
    raw = {
        "name": "try", "sources": [{"path": "-"}], "output": folder, "engine": {"workers": 1},
        "stages": [{k: v} for k, v in stages.items()],
    }  # fmt: skip
    return parse(raw, "--set")


def _id(index: int, url: str) -> str:
    """An id by position: two equal files are two inputs here."""
    return fingerprint([index, url])


def _url(url: str) -> str:
    return url if "://" in url else str(Path(url).absolute())


def _unreadable(url: str) -> dict[str, Any] | None:
    """The result of an input that cannot be opened; a run would try it again later, here it is the answer."""
    try:
        open_url(_url(url)).close()
    except InputRejected as error:
        return {"input": url, "outcome": "quarantined", "reason": error.reason, "detail": error.detail}
    return None


def _measure(plan: Plan, store: Store, inputs: list[str], decode: bool) -> None:
    needed = {
        *plan.measures,
        *(["frames", "edges"] if plan.proxied else []),
        *(["content"] if plan.dedup is not None else []),
    }
    riding = sorted(needed & set(plan.pass_stages()))  # the scenes alone need neither proxies nor hashes
    rows = [
        {
            "id": _id(i, url), "url": _url(url), "need": ["media"],
            "probe": True, "split": decode, "clips": {}, "have": {}, "spans": None, "riding": riding,
        }
        for i, url in enumerate(inputs)
        if _unreadable(url) is None
    ]  # fmt: skip
    engine = LocalEngine(plan.spec, store.out)
    try:
        for parts, _ in engine.run(["media"], [[row] for row in rows]):
            store.commit(parts)
        for parts, _ in engine.run(["proxied"], [[row] for row in proxied_rows(plan, store, [r["id"] for r in rows])]):
            store.commit(parts)
    finally:
        engine.close()


def _by_input(store: Store, plan: Plan, stage: str, inputs: list[str]) -> list[tuple[int, dict[str, Any]]]:
    table = plan.tables[stage]
    rows = {row["source_id"]: row for row in store.read(table.name, table.schema).to_pylist()}
    return [(i, rows.get(_id(i, url), {})) for i, url in enumerate(inputs)]


def _plain(url: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row without its id; a fault keeps only its outcome."""
    if row["outcome"] != "ok":
        return {"input": url, "outcome": row["outcome"], "reason": row["reason"], "detail": row["detail"]}
    hidden = {"source_id", "clip_id", "reason", "detail", "attempts", "seconds"}
    return {"input": url, **{k: v for k, v in row.items() if k not in hidden and not isinstance(v, bytes)}}


def _fault(url: str, probe: dict[str, Any], split: dict[str, Any]) -> dict[str, Any] | None:
    """The first fault of a source: its probe's, else its split's (which also carries the deaths of its worker)."""
    for row in (probe, split):
        if row and row["outcome"] != "ok":
            return _plain(url, row)
    if not probe and not split:
        lost = {"input": url, "outcome": "quarantined", "reason": "source:unreadable", "detail": "it went away"}
        return _unreadable(url) or lost
    return None


def _split(url: str, probe: dict[str, Any], split: dict[str, Any]) -> dict[str, Any]:
    if fault := _fault(url, probe, split):
        return fault
    # The ledger counts from the first frame; here times are the file's own presentation times.
    begin = float(split["first_pts"] * Fraction(probe["time_base"]))
    clips = [{**{k: c[k] + begin for k in ("start_s", "end_s")}, "num_frames": c["num_frames"]} for c in split["clips"]]
    boundaries = [[b["start_s"] + begin, b["end_s"] + begin] for b in split["boundaries"]]
    return {"input": url, "outcome": "ok", "boundaries_s": boundaries, "clips": clips}


def _score(
    plan: Plan, store: Store, name: str, url: str, probe: dict[str, Any], split: dict[str, Any]
) -> dict[str, Any]:
    if fault := _fault(url, probe, split):
        return fault
    tables = [plan.tables[judge.stage] for judge in plan.judges] or [plan.tables[name]]
    # The file is one clip, unless the picture changes its size: then it is the longest stretch of one size.
    clip = max(split["clips"], key=lambda clip: clip["end_s"] - clip["start_s"])
    if damaged := clip["corrupt_frames"]:
        detail = f"the decoder concealed damage in {damaged} frames"
        return {"input": url, "outcome": "quarantined", "reason": "decode:corrupt", "detail": detail}
    rows = [r for t in tables for r in store.read(t.name, t.schema).to_pylist() if r["clip_id"] == clip["clip_id"]]
    row = next((row for row in rows if row["outcome"] != "ok"), {k: v for row in rows for k, v in row.items()})
    stretch = {"start_s": clip["start_s"], "end_s": clip["end_s"]} if len(split["clips"]) > 1 else {}
    return {**_plain(url, row), **stretch}


def _dedup(
    plan: Plan, store: Store, inputs: list[str], probes: dict[int, dict[str, Any]], splits: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    from curate.stages.dedup import candidates_of
    from filters.dedup.cluster import find_duplicates

    results, rows = [], []
    for i, url in enumerate(inputs):
        fault = _fault(url, probes[i], splits[i])
        results.append(fault or {"input": url, "outcome": "ok"})
        if fault is None:
            span, facts = splits[i]["clips"][0], probes[i]
            rows.append({
                "clip_id": span["clip_id"], "source_id": _id(i, url), "width": facts["width"],
                "height": facts["height"],
                "num_frames": span["num_frames"], "duration_s": span["end_s"] - span["start_s"], "license": "unknown",
            })  # fmt: skip
    by_clip = {
        row["clip_id"]: inputs[[_id(i, u) for i, u in enumerate(inputs)].index(row["source_id"])] for row in rows
    }
    fields = {field.name: field for field in CLIP_FIELDS}
    clips = pa.Table.from_pylist(rows, schema=pa.schema([fields[name] for name in schema.DEDUP_FACTS]))
    found = find_duplicates(candidates_of(plan, store, clips), plan.dedup).to_pylist()
    clusters: dict[str, list[str]] = {}
    for row in found:
        members = clusters.setdefault(row["cluster_id"], [by_clip[row["duplicate_of"]]])
        members.append(by_clip[row["clip_id"]])
        if by_clip[row["duplicate_of"]] not in members:
            members.append(by_clip[row["duplicate_of"]])
    order = {url: i for i, url in enumerate(inputs)}
    groups = [sorted(members, key=order.__getitem__) for members in clusters.values()]
    return {"name": "dedup", "results": results, "clusters": sorted(groups, key=lambda group: order[group[0]])}
