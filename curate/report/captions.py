"""Captions: who wrote them and what it took, what is wrong with them, their manner, and examples to look at.

Counts are of all clips that a captioner was asked about; fields, manner and examples of the kept ones, which train.
Tokens and times are those that stood when the report was written: they alone are no reason to write it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import schema
from curate.ledger import Ledger
from curate.plan import Plan
from curate.report.examples import DOES, OWN, examples
from curate.report.manners import manners
from curate.report.words import count, length, number, share
from curate.store import Store

Row = dict[str, Any]


def captions(plan: Plan, store: Store, ledger: Ledger) -> Row | None:
    """The section, or None where no clip has a caption. Without a captioner it shows what came with the footage.

    Raises:
        StorageError: a part with answers or proxies is damaged.
    """
    kept, spec = ledger.where("kept"), plan.stages.caption
    cards = examples(plan, store, kept)
    if spec is None:
        return {"stage": False, "examples": cards} if cards else None
    asked = ledger.clips.filter(pc.is_valid(ledger.clips["caption.outcome"]))
    return {
        "stage": True,
        "asked": count(asked.num_rows, "clip") if asked.num_rows else "",
        "kept": number(pc.sum(pc.equal(asked["outcome"], "kept")).as_py() or 0),
        "facts": _facts(asked, plan),
        "models": _models(asked),
        "kinds": _kinds(asked, plan, refusals(plan, store, ledger)),
        "faults": _faults(asked, plan),
        "fields": _fields(kept, plan),
        "manners": manners({kind: _texts(kept, kind) for kind in (OWN, *spec.kinds)}),
        "examples": cards,
    }


def refusals(plan: Plan, store: Store, ledger: Ledger) -> dict[str, Any]:
    """Answers that were not accepted, by kind: `clips` that were asked again, and `codes` with their counts."""
    table = plan.tables.get("caption")
    if table is None:
        return {}
    rows = store.read(table.name, schema.CAPTION, ["clip_id", "refused"])
    rows = rows.filter(pc.is_in(rows["clip_id"], value_set=ledger.clips["clip_id"].combine_chunks()))
    clips: dict[str, set[str]] = {}
    codes: dict[str, Counter[str]] = {}
    for row in rows.filter(pc.greater(pc.list_value_length(rows["refused"]), 0)).to_pylist():
        for answer in row["refused"]:
            clips.setdefault(answer["kind"], set()).add(row["clip_id"])
            codes.setdefault(answer["kind"], Counter()).update(answer["codes"])
    return {kind: {"clips": len(clips[kind]), "codes": dict(_ordered(codes[kind]))} for kind in sorted(clips)}


# -- who, and what it took ---------------------------------------------------------------------------------------


def _facts(asked: pa.Table, plan: Plan) -> list[Row]:
    """What stands beside the table of models; a captioner without tokens or times has no such facts."""
    spec = plan.stages.caption
    assert spec is not None
    clips = asked.num_rows
    read, wrote, requests, model_s, waited_s = (
        pc.sum(asked[f"caption.{name}"]).as_py() or 0
        for name in ("tokens_in", "tokens_out", "requests", "model_s", "waited_s")
    )
    facts = [("captioner", spec.with_, "")]
    if read or wrote:
        facts.append(("tokens read", number(read), f"{number(round(read / clips))} a clip"))
        facts.append(("tokens written", number(wrote), f"{number(round(wrote / clips))} a clip"))
    if requests:
        facts.append(("requests", number(requests), f"{number(round(requests / clips, 2))} a clip"))
    if model_s:
        facts.append(("time of the model, summed", length(model_s / 3600), f"{number(model_s / clips)} s a clip"))
    if waited_s:
        facts.append(("waited for frames", share(waited_s, waited_s + model_s), "of its time"))
    if spec.price is not None and (read or wrote):
        cost = spec.price.of(read, wrote)
        facts.append(("cost of the tokens", f"{number(cost)} {spec.price.currency}", f"{number(cost / clips)} a clip"))
    return [{"name": name, "value": value, "more": more} for name, value, more in facts]


def _models(asked: pa.Table) -> list[Row]:
    """Models with their revisions and languages, and how many clips each described: mostly one."""
    columns = (asked[f"caption.{name}"].to_pylist() for name in ("model", "revision", "language"))
    found = Counter(row for row in zip(*columns, strict=True) if row[0])
    return [
        {"model": _by_kind(model), "revision": _by_kind(revision), "language": _by_kind(language), "clips": number(n)}
        for (model, revision, language), n in _ordered(found)
    ]


def _by_kind(said: str | None) -> str:
    """One word, or a word by kind (JSON in the ledger)."""
    if not (said or "").startswith("{"):
        return said or ""
    return ", ".join(f"{kind}: {word}" for kind, word in json.loads(said or "").items())


def _kinds(asked: pa.Table, plan: Plan, refused: dict[str, Any]) -> list[Row]:
    assert plan.stages.caption is not None
    rows = []
    for kind in plan.stages.caption.kinds:
        given = asked[f"caption.{kind}_status"].to_pylist()
        # A clip that was not even asked about, its frames being damaged, has the reason of its row.
        said = Counter(s or r for s, r in zip(given, asked["caption.reason"].to_pylist(), strict=True))
        ok = said.pop("ok", 0)
        again = refused.get(kind, {"clips": 0, "codes": {}})
        rows.append({
            "kind": kind,
            "prompts": _prompts(asked, plan, kind),
            "ok": number(ok),
            "ok_share": share(ok, asked.num_rows),
            "others": _counted(_ordered(said)),
            "again": number(again["clips"]) if again["clips"] else "",
            "refused": _counted(again["codes"].items()),
        })  # fmt: skip
    return rows if asked.num_rows else []


def _prompts(asked: pa.Table, plan: Plan, kind: str) -> list[Row]:
    """Prompts of a kind as they were asked; none where the captioner asks nobody."""
    if not plan.captioner.prompts[kind].text:
        return []
    found = {text for text in asked["caption.prompts"].to_pylist() if text}
    prompts = [prompt for text in sorted(found) for prompt in json.loads(text).get(kind, ())]
    named = {(p["name"], p["version"], p["sha256"]) for p in prompts}
    return [{"name": name, "version": version, "sha256": sha256} for name, version, sha256 in sorted(named)]


# -- what is wrong -----------------------------------------------------------------------------------------------


def _faults(asked: pa.Table, plan: Plan) -> Row | None:
    """Faults by code, the most frequent first, with what becomes of the caption; None where nothing is checked."""
    from captioner.checks import CODES, action

    check, spec = plan.stages.check, plan.stages.caption
    if check is None or spec is None or not asked.num_rows:
        return None
    found = {kind: _codes(asked[f"check.{kind}"].to_pylist()) for kind in spec.kinds}
    total: Counter[str] = sum(found.values(), Counter())
    rows = [
        {
            "code": code, "means": CODES.get(code, "it was not written"),
            "counts": [number(found[kind][code]) if found[kind][code] else "" for kind in spec.kinds],
            "does": DOES[action((code,), check.actions)],
        }
        for code, _ in _ordered(total)
    ]  # fmt: skip
    return {"kinds": list(spec.kinds), "rows": rows}


def _codes(faults: Iterable[Sequence[str] | None]) -> Counter[str]:
    return Counter(code for codes in faults for code in codes or ())


def _fields(kept: pa.Table, plan: Plan) -> list[Row]:
    """How many dense captions of kept clips say something in each field of the answer, in the prompt's order."""
    assert plan.stages.caption is not None
    said = kept.filter(pc.is_valid(kept["caption.dense"]))["caption.dense_fields"].to_pylist()
    asked = plan.captioner.prompts["dense"].fields if "dense" in plan.stages.caption.kinds else ()
    filled: Counter[str] = Counter()
    for text in said:
        given = json.loads(text or "{}")
        windows = given if isinstance(given, list) else [given]
        filled.update({name for window in windows for name, value in window.items() if _says(value)})
    names = [*asked, *sorted(set(filled) - set(asked))] if said else []
    return [{"name": n, "share": share(filled[n], len(said)), "width": 100 * filled[n] / len(said)} for n in names]


def _says(value: Any) -> bool:
    """Whether a field of an answer says anything: a text, or a list with one."""
    return any(map(_says, value)) if isinstance(value, list) else bool(str(value or "").strip())


def _texts(clips: pa.Table, kind: str) -> list[str]:
    return [text for text in clips[f"caption.{kind}"].to_pylist() if text and text.strip()]


def _ordered(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _counted(counts: Iterable[tuple[str, int]]) -> list[Row]:
    return [{"name": name, "count": number(n)} for name, n in counts]
