"""The captions section: its figures are those of the ledger, and it says nothing that a captioner has not."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.chat_server import ChatServer
from curate.cli import app
from curate.errors import SpecError
from curate.ledger import Ledger
from curate.media.writer import write_mp4
from curate.plan import Plan
from curate.planning import earlier_captions
from curate.report import write_report
from curate.report.captions import captions
from curate.run import Run
from curate.spec_file import parse
from tests.conftest import spec_dict
from tests.report.test_report import Page

Opened = Callable[..., Run]
PRICE = {"input_per_million": 2.5, "output_per_million": 10.0, "currency": "EUR"}


def _spec(sources: list[dict[str, Any]], out: Path, captions: dict[str, Any], scores: list[str]) -> Any:
    raw = spec_dict(out, out, sources=sources)
    raw["stages"] = [
        {"split": {"detector": "fixed", "min_s": 0.5}}, {"score": scores},
        {"screen": {"explicit": [], "violence": [], "hate": ["terms"]}}, {"caption": captions}, {"check": {}},
    ]  # fmt: skip
    return parse(raw)


def _shapes(out: Path, **captions: Any) -> Any:
    world = {"world": "shapes", "files": 8, "size": [64, 64], "shots_per_file": [1, 1], "damaged": 0}
    scores = ["motion", "sharpness", "exposure", "gist"]
    return _spec([{"generate": world}], out, {"with": "template", **captions}, scores)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run with the template captioner, up to the checks."""
    out = tmp_path_factory.mktemp("shapes") / "out"
    Run(_shapes(out)).go("caption")
    return out


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run with a server that answers in another form now and then, and the footage beside it."""
    root = tmp_path_factory.mktemp("asked")
    (root / "footage").mkdir()
    for number in range(8):
        rng = np.random.default_rng(number)
        frames = np.full((8, 64, 64, 3), 40 + 8 * number, np.int16) + rng.integers(-8, 9, (8, 64, 64, 3))
        write_mp4(root / "footage" / f"{40 + 8 * number}.mp4", frames.clip(0, 255).astype(np.uint8), 8.0)
    source = {"path": str(root / "footage"), "original_caption": "grey noise"}
    with ChatServer(faults={"wrong_schema": 0.4}, worst=1, seed=3) as server:
        with_ = {"with": "server", "model": "tiny", "url": server.url, "in_flight": 1, "price": PRICE}
        Run(_spec([source], root / "out", with_, [])).go("caption")
    return root / "out"


def _view(run: Run, **columns: Any) -> dict[str, Any]:
    """The section, with columns of the ledger changed: one value for every row."""
    ledger = run.ledger()
    table = ledger.clips
    for name, value in columns.items():
        place = table.schema.get_field_index(f"caption.{name}")
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array([value] * table.num_rows, field.type))
    found = captions(run.plan, run.store, Ledger(table, ledger.others))
    assert found is not None
    return found


def _open(out: Path, to: Path) -> Run:
    from curate.spec_file import load_spec

    shutil.copytree(out, to)
    return Run(load_spec(to / "spec.yaml").model_copy(update={"output": str(to)}))


def _said(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def _page(run: Run) -> Page:
    return Page(write_report(run, run.ledger()).read_text(encoding="utf-8"))


def test_the_template_has_no_tokens_and_no_prompt(shapes: Path, tmp_path: Path) -> None:
    run = _open(shapes, tmp_path / "out")
    text = _page(run).text
    part = text[text.index("Captions 8 clips described; 8 kept so far") : text.index("Screening receipt")]
    for word in (
        "token",
        "requests",
        "time of the model",
        "cost",
        "prompt",
        "Fields",
        "waited",
        "asked again",
        "refused",
    ):
        assert word not in part, word
    view = _view(run)
    assert [fact["name"] for fact in view["facts"]] == ["captioner"]
    assert view["models"] == [{"model": "template", "revision": "5", "language": "en", "clips": "8"}]
    kinds = [(row["kind"], row["ok"], row["others"]) for row in view["kinds"]]
    assert kinds == [("short", "8", []), ("dense", "8", [])]
    assert view["manners"]["kinds"] == ["original", "short", "dense"]


def test_examples_stand_with_the_captions_of_their_clip(shapes: Path, tmp_path: Path) -> None:
    run = _open(shapes, tmp_path / "out")
    rows = {row["clip_id"]: row for row in run.ledger().clips.to_pylist()}
    cards = _view(run)["examples"]
    assert len(cards) == 8
    for card in cards:
        row = rows[card["clip"]]
        assert {text["kind"]: text["text"] for text in card["texts"]} == {
            kind: row[f"caption.{kind}"] for kind in ("original", "short", "dense")
        }
        assert [text["status"] for text in card["texts"]] == ["", "ok", "ok"]
        assert card["strip"].data.startswith("data:image/jpeg;base64,")


def test_the_figures_of_a_server_are_those_of_the_ledger(asked: Path, tmp_path: Path) -> None:
    run = _open(asked, tmp_path / "out")
    rows = run.ledger().clips.to_pylist()
    view = _view(run)
    facts = {fact["name"]: (fact["value"], fact["more"]) for fact in view["facts"]}
    read, wrote = (sum(row[f"caption.{name}"] for row in rows) for name in ("tokens_in", "tokens_out"))
    assert read == 10 * wrote > 1600, "the server says 100 and 10 for every answer, and some were asked for twice"
    assert facts["captioner"] == ("server", "")
    assert facts["tokens read"] == (f"{read:,}", f"{round(read / 8)} a clip")
    assert facts["tokens written"] == (f"{wrote}", f"{round(wrote / 8)} a clip")
    assert facts["cost of the tokens"][0] == f"{2.5e-6 * read + 1e-5 * wrote:.3g} EUR"
    assert facts["requests"][0] == str(sum(row["caption.requests"] for row in rows))
    assert "waited for frames" not in facts, "a server's waiting is not measured"
    parts = [pq.read_table(path) for path in (run.out / "stages").glob("caption-*/*.parquet")]
    refused = [answer for part in parts for row in part.to_pylist() for answer in row["refused"]]
    assert refused
    for shown in view["kinds"]:
        kind = shown["kind"]
        codes = Counter(code for answer in refused if answer["kind"] == kind for code in answer["codes"])
        assert {item["name"]: item["count"] for item in shown["refused"]} == {c: str(n) for c, n in codes.items()}
        again = sum(row[f"caption.{kind}_asked"] > 1 for row in rows)
        assert shown["again"] == (str(again) if again else "")
        prompts = [prompt for row in rows for prompt in json.loads(row["caption.prompts"])[kind]]
        assert all(prompt in shown["prompts"] for prompt in prompts)
        assert all(prompt in prompts for prompt in shown["prompts"])
    assert {row["name"]: row["share"] for row in view["fields"]} == dict.fromkeys(
        run.plan.captioner.prompts["dense"].fields, "0 %"
    ), "this server leaves every field empty"


def test_fields_faults_and_waiting_are_counted(asked: Path, tmp_path: Path) -> None:
    run = _open(asked, tmp_path / "out")
    said = json.dumps([{"subject": "", "visible_text": [""]}, {"subject": "a wall", "visible_text": []}])
    view = _view(run, dense_fields=said, model_s=3.0, waited_s=1.0)
    shares = {row["name"]: row["share"] for row in view["fields"]}
    assert (shares["subject"], shares["visible_text"]) == ("100 %", "0 %")
    facts = {fact["name"]: fact["value"] for fact in view["facts"]}
    assert facts["waited for frames"] == "25 %"
    assert facts["time of the model, summed"] == "24 s"
    ledger = run.ledger()
    kept = ledger.clips.to_pylist()
    first = next(
        i for i, row in enumerate(kept) if row["outcome"] == "kept" and row["caption.dense"] and row["caption.short"]
    )
    faulty: list[list[str]] = [[] for _ in kept]
    faulty[first], faulty[first - 1] = ["wrong_colour", "boilerplate"], ["boilerplate"]
    statuses = ["wrong_colour" if i == first else "ok" for i in range(len(kept))]
    no_faults = [[] for _ in kept]
    for name, values in (("check.short", no_faults), ("check.dense", faulty), ("caption.dense_status", statuses)):
        kind = ledger.clips.schema.field(name).type
        place = ledger.clips.schema.get_field_index(name)
        ledger.clips = ledger.clips.set_column(place, name, pa.array(values, kind))
    found = captions(run.plan, run.store, ledger)
    assert found is not None
    rows = {row["code"]: (row["counts"], row["does"]) for row in found["faults"]["rows"]}
    assert rows == {
        "boilerplate": (["", "2"], "used all the same"),
        "wrong_colour": (["", "1"], "not used; the short caption in its place, if it is a dense one"),
    }
    assert found["kinds"][1]["others"] == [{"name": "wrong_colour", "count": "1"}]
    card = next(card for card in found["examples"] if card["clip"] == kept[first]["clip_id"])
    assert (card["texts"][2]["faults"], card["texts"][2]["does"]) == (
        "wrong_colour, boilerplate", "the short caption in its place",
    )  # fmt: skip


def test_a_report_is_rewritten_for_what_it_shows_and_not_for_the_clock(asked: Path, tmp_path: Path) -> None:
    run = _open(asked, tmp_path / "out")
    ledger = run.ledger()

    def written(**columns: Any) -> bytes:
        table = ledger.clips
        for name, value in columns.items():
            place = table.schema.get_field_index(f"caption.{name}")
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array([value] * table.num_rows, field.type))
        return write_report(run, Ledger(table, ledger.others)).read_bytes()

    first = written()
    path = run.out / "report.html"
    before = path.stat().st_mtime_ns
    assert written(model_s=9.0, waited_s=1.0) == first
    assert path.stat().st_mtime_ns == before
    shown = {"dense_status": "refusal", "model": "x", "dense_fields": '{"style": "x"}', "prompts": ""}
    for name, value in shown.items():
        assert written(**{name: value}) != first, name
        assert written() == first
    (table,) = (run.out / "stages").glob("caption-*")
    part, *_ = run.store.parts(table.name)
    rows = pq.read_table(run.out / part.path)
    again = rows.set_column(
        rows.schema.get_field_index("refused"), rows.schema.field("refused"),
        pa.array([[{"kind": "short", "prompt": "short", "codes": ["empty"], "text": ""}]] * len(rows),
                 rows.schema.field("refused").type),
    )  # fmt: skip
    run.store.replace(part, again)
    assert b"<code>empty</code>" in written()


def test_a_run_that_computes_nothing_leaves_the_report_alone(shapes: Path, tmp_path: Path) -> None:
    run = _open(shapes, tmp_path / "out")
    run.claim()
    path = write_report(run, run.ledger())
    before = (path.stat().st_ino, path.stat().st_mtime_ns)
    again = Run(run.spec)
    assert again.go("caption").computed == {}
    write_report(again, again.ledger())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


def test_without_a_captioner_only_what_came_with_the_footage_is_shown(job: Opened) -> None:
    run = job()
    found = captions(run.plan, run.store, run.ledger())
    assert found is not None
    assert not found["stage"]
    texts = [text for card in found["examples"] for text in card["texts"]]
    assert {text["kind"] for text in texts} == {"original"}
    assert all(text["text"] for text in texts)
    text = _page(run).text
    assert "Captions that came with the footage" in text
    for words in ("Who wrote them", "Manner", "described"):
        assert words not in text


def test_before_the_first_caption_the_section_says_so(job: Opened) -> None:
    scores = ["motion", "sharpness", "exposure", "gist"]
    run = job(stages=[{"split": {"min_s": 0.5}}, {"score": scores}, {"caption": {"with": "template"}}, {"check": {}}])
    text = _page(run).text
    assert "No clip was captioned yet." in text
    assert "Who wrote them" not in text


def test_a_price_is_no_part_of_a_key(tmp_path: Path) -> None:
    server = {"with": "server", "model": "tiny", "url": "http://127.0.0.1:1/v1"}
    plain, priced, dearer = (
        Plan(_spec([{"path": "x"}], tmp_path, {**server, **more}, [])).tables
        for more in ({}, {"price": PRICE}, {"price": {**PRICE, "output_per_million": 60.0}})
    )
    assert plain == priced == dearer
    with pytest.raises(SpecError, match="input_per_million"):
        _spec([{"path": "x"}], tmp_path, {**server, "price": {**PRICE, "input_per_million": -1}}, [])


def test_explain_lists_captions_of_earlier_specs_beside_the_present_ones(shapes: Path, tmp_path: Path) -> None:
    first = _open(shapes, tmp_path / "out")
    clip = first.ledger().clips.to_pylist()[0]
    assert earlier_captions(first, clip["clip_id"]) == []
    second = Run(_shapes(first.out, kinds=["short"]))
    second.go("caption")
    shown = json.loads(_said("explain", clip["clip_id"], str(first.out), "--json"))
    assert (shown["caption.short"], shown["caption.dense"]) == (clip["caption.short"], None)
    (old,) = shown["caption.earlier"]
    assert old["table"] == first.plan.tables["caption"].name != second.plan.tables["caption"].name
    assert (old["dense"], old["dense_status"], old["model"]) == (clip["caption.dense"], "ok", "template")
    lines = _said("explain", clip["clip_id"], str(first.out)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("earlier: caption-"))
    assert re.fullmatch(r"earlier: caption-\w+, model template 5, short by prompt template, dense .*", lines[at])
    assert lines[at + 2].split(maxsplit=2) == ["dense", "(ok)", clip["caption.dense"]]
