"""Contact sheets: a choice that stays, every reason seen, and nothing shown that a safety screen stopped."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from curate.ledger import Ledger
from curate.report.captions import captions
from curate.report.sheets import by_reason, chosen, sheets
from curate.run import Run
from tests.report.conftest import IMAGE

Opened = Callable[..., Run]


def clips(count: int, reasons: tuple[str, ...] = ("a",)) -> pa.Table:
    named = [reasons[min(i, len(reasons) - 1)] for i in range(count)]
    return pa.table({"clip_id": [f"{i:032x}" for i in range(count)], "reason": named})


def test_a_choice_stays_when_others_come_and_go() -> None:
    few, many = (set(chosen(clips(n), 0, 24)["clip_id"].to_pylist()) for n in (200, 220))
    assert len(few) == len(many) == 24
    assert len(few & many) >= 16  # 20 new clips among 220 push out about two


def test_another_seed_is_another_choice() -> None:
    assert chosen(clips(100), 0, 24)["clip_id"].to_pylist() != chosen(clips(100), 1, 24)["clip_id"].to_pylist()


def test_rare_reasons_are_seen() -> None:
    table = by_reason(clips(500, ("rare", "rarer", "common")), 0, 24)
    assert table["reason"].to_pylist() == ["common"] * 22 + ["rare", "rarer"]


def test_every_group_has_its_pictures(job: Opened) -> None:
    run = job()
    view = sheets(run.plan, run.store, run.ledger())
    for group in ("kept", "rejected"):
        assert view[group]
        assert all(card["strip"].data.startswith("data:image/jpeg;base64,") for card in view[group])
    assert {card["reason"] for card in view["rejected"]} == {"motion:below_min"}
    assert view["unseen"].startswith("1 clip below the minimum length")
    assert [pair["reason"] for pair in view["duplicates"]] == ["exact:content"]
    pair = view["duplicates"][0]
    assert pair["keeper"]["strip"] is not None
    assert {pair["clip"]["file"], pair["keeper"]["file"]} <= {"one.mp4", "again.mp4", "copy.mp4"}
    assert view["copies"]["of"] == 1
    named = {row["file"].rpartition("/")[2] for row in view["quarantined"]["rows"]}
    assert named == {"broken.mp4", f"{IMAGE}.mp4"}
    assert view["quarantined"]["of"] == 2


def test_what_a_safety_screen_stopped_is_named_and_not_shown(job: Opened) -> None:
    run = job()
    ledger = run.ledger()
    table = ledger.clips
    kept = pc.equal(table["outcome"], "kept")
    for name, value in (("outcome", "rejected"), ("stage", "explicit"), ("reason", "explicit:above_max")):
        changed = pc.if_else(kept, value, table[name])
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), changed)
    view = sheets(run.plan, run.store, Ledger(table, ledger.others))
    stopped = ledger.where("kept")["clip_id"].to_pylist()
    assert stopped
    shown = {card["clip"] for card in (*view["kept"], *view["rejected"])}
    assert not shown & set(stopped)
    assert captions(run.plan, run.store, Ledger(table, ledger.others)) is None
    first = ledger.where("rejected")["clip_id"].to_pylist()
    flagged = Ledger(ledger.clips, ledger.others, dict.fromkeys(first, "hate"))
    assert not {card["clip"] for card in sheets(run.plan, run.store, flagged)["rejected"]} & set(first)
    assert f"{len(stopped)} clips stopped by a safety screen" in view["unseen"]
