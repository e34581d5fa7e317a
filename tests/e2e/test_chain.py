"""The chain up to the dataset: everything is accounted for, nothing is done twice, and only what must be is done."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from curate.errors import SpecError
from curate.forecast import forecast_of, lines_of
from curate.ids import text_id
from curate.run import Run
from curate.spec_file import load_spec
from tests.conftest import rushes, spec_dict, write_spec


def _run(spec, *more):
    done = rushes("run", spec, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _digest(out):
    done = rushes("verify", out, "--digest")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def finished(footage, tmp_path_factory):
    """A finished run up to the export, and its spec."""
    root = tmp_path_factory.mktemp("chain")
    spec = write_spec(root / "spec.yaml", spec_dict(footage, root / "out"))
    result = _run(spec, "--until", "export")
    return spec, root / "out", result


@pytest.fixture
def copy(finished, footage, tmp_path):
    """A copy of that run, with footage of its own, to change."""
    shutil.copytree(finished[1], tmp_path / "out")
    shutil.copytree(footage, tmp_path / "footage")
    raw = spec_dict(tmp_path / "footage", tmp_path / "out")
    return raw, tmp_path


def test_everything_is_accounted_for(finished, footage):
    _, out, result = finished
    counts = {row["outcome"]: row["rows"] for row in result["funnel"]}
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    assert sum(row["rows"] for row in result["funnel"]) == len(ledger)
    assert set(counts) <= {"kept", "rejected", "duplicate", "quarantined", "sealed"}
    assert {row["url"].rsplit("/", 1)[1] for row in ledger} == {path.name for path in footage.iterdir()}
    copies = [row for row in ledger if row["reason"] == "exact:bytes"]
    assert [row["url"].rsplit("/", 1)[1] for row in copies] == ["four.mp4"]  # copy.mp4 comes first by name
    assert all(row["reason"] for row in ledger if row["outcome"] != "kept")
    kept = [row["clip_id"] for row in ledger if row["outcome"] == "kept"]
    clips = pq.read_table(out / "dataset" / "clips").to_pylist()
    assert sorted(row["clip_id"] for row in clips) == sorted(kept)
    still = next(row for row in clips if row["num_frames"] == 1)
    assert still["shape"][1] == 1
    assert "weight" not in clips[0], "nobody said one"
    assert {row["loss_weight"] for row in clips} == {1.0}
    texts = pq.read_table(out / "dataset" / "texts")
    assert texts["text"].to_pylist().count("") == 1
    wanted = {row[f"caption_{kind}_text_id"] for row in clips for kind in ("short", "dense")}
    assert wanted <= set(texts["text_id"].to_pylist())
    first_use = [row[f"caption_{kind}_text_id"] for row in clips for kind in ("short", "dense", "original")]
    order = list(dict.fromkeys([text_id(""), *filter(None, first_use)]))
    assert texts["text_id"].to_pylist() == order != sorted(order), "texts of clips that lie together lie together"


def test_the_ledger_opens_with_one_line_everywhere(finished):
    import duckdb
    import pandas
    import polars

    path = finished[1] / "ledger.parquet"
    rows = len(pandas.read_parquet(path))
    assert rows == polars.read_parquet(path).height == duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0]


def test_running_again_does_nothing(finished):
    spec, out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert _run(spec, "--until", "export")["computed"] == {}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_status_explain_plan_and_verify(finished):
    spec, out, result = finished
    assert json.loads(rushes("status", out, "--json").stdout)["funnel"] == result["funnel"]
    clip = pq.read_table(out / "ledger.parquet")["clip_id"][0].as_py()
    shown = json.loads(rushes("explain", clip[:12], out, "--json").stdout)
    assert shown["clip_id"] == clip
    assert {"motion.score", "caption.short", "outcome", "url"} <= shown.keys()
    plan = json.loads(rushes("plan", spec, "--json").stdout)["stages"]
    assert all(row["to_do"] in (0, None) for row in plan)
    assert {"probe", "split", "motion", "frames", "caption", "latent", "text", "export"} <= {
        row["stage"] for row in plan
    }
    assert rushes("explain", "zzz", out).returncode == 2


def test_the_forecast_foresees_the_sizes_that_are_encoded(finished, copy):
    train = ["train.steps=10", "train.batch=2", "train.allow_unscreened=[explicit, violence, hate]"]
    seen = forecast_of(Run(load_spec(finished[0], train)), 2, None, 1.0, None, print)
    assert seen["source"] == "the exported dataset"
    raw, root = copy
    raw["stages"][7]["encode"]["latents"] |= {"fps": 4.5, "max_frames": 13, "short_side": 48}
    job = Run(load_spec(write_spec(root / "s.yaml", raw), train))
    before = forecast_of(job, 2, None, 1.0, None, print)
    assert before["source"] == "the ledger"  # the dataset there is of other settings
    assert before["tokens"] != seen["tokens"]
    _run(root / "s.yaml", "--until", "export")
    after = forecast_of(Run(job.spec), 2, None, 1.0, None, print)
    assert after["source"] == "the exported dataset"
    assert {**before, "source": "", "assumed": []} == {**after, "source": "", "assumed": []}
    assert [line for line in lines_of(seen) if "2 ranks" in line and line.startswith("warning:")]
    shutil.rmtree(root / "out")
    assert "nothing was run yet" in forecast_of(job, None, None, None, None, print)["missing"]
    with pytest.raises(SpecError, match="a100"):
        forecast_of(job, None, "a10", None, None, print)
    shown = rushes("plan", finished[0], "--json", "--gpu", "a100", *(word for one in train for word in ("--set", one)))
    assert set(json.loads(shown.stdout)["training"]["hours"]) == {"a100"}, shown.stderr


def test_renaming_and_moving_the_footage_decodes_nothing(copy, finished):
    raw, root = copy
    for path in (root / "footage").iterdir():
        path.rename(path.with_name(f"renamed-{path.name}"))
    (root / "footage").rename(root / "moved")
    raw["sources"] = [{"path": str(root / "moved")}]
    result = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert result["computed"] == {}
    assert _digest(root / "out") == _digest(finished[1])


def test_a_tighter_rule_decodes_nothing_and_a_looser_one_only_encodes_what_is_new(copy):
    raw, root = copy
    sharpness = sorted(pq.read_table(root / "out" / "ledger.parquet")["sharpness.score"].drop_null().to_pylist())
    raw["stages"][2] = {"keep": {"sharpness": {"min": sharpness[3]}}}
    tight = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert set(tight["computed"]) <= {"dedup", "export"}
    assert sum(row["rows"] for row in tight["funnel"] if row["outcome"] == "rejected") >= 3
    shutil.rmtree(root / "out")
    _run(root / "s.yaml", "--until", "export")  # from nothing under the tight rule
    raw["stages"][2] = {"keep": {"sharpness": {"min": 0.0}}}
    loose = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert set(loose["computed"]) <= {"dedup", "caption", "check", "encode", "text", "export"}
    before = {row["outcome"]: row["rows"] for row in tight["funnel"]}["kept"]
    after = {row["outcome"]: row["rows"] for row in loose["funnel"]}["kept"]
    assert loose["computed"]["encode"] == after - before


def test_new_footage_and_a_new_score_cost_only_themselves(copy):
    from tests.conftest import write_clip

    raw, root = copy
    write_clip(root / "footage" / "new.mp4", (11,))
    result = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert result["computed"]["split"] == 1
    assert result["computed"]["encode"] == 1
    raw["stages"][6] = {"check": {}}
    raw["stages"][7]["encode"]["latents"]["channels"] = 16
    result = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert "split" not in result["computed"]


def test_another_name_is_refused_and_an_edited_spec_goes_on(copy):
    raw, root = copy
    done = rushes("run", write_spec(root / "s.yaml", {**raw, "name": "other"}), "--until", "export")
    assert done.returncode == 2
    assert "belongs to the run 'test'" in done.stderr


def test_damaged_parts_are_found_and_made_again(copy):
    raw, root = copy
    part = next((root / "out" / "stages").glob("latent-*/part-*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(bytes(data))
    done = rushes("verify", root / "out")
    assert done.returncode == 74
    assert part.name in done.stderr
    before = rushes("verify", root / "out", "--repair", "--json")
    assert json.loads(before.stdout) == {"repaired": 1}
    result = _run(write_spec(root / "s.yaml", raw), "--until", "export")
    assert result["computed"]["encode"] >= 1
    assert rushes("verify", root / "out").returncode == 0
