"""Captions that stand on the wrong clips are found in a run, which then ends before its dataset."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from captioner import evaluation
from captioner.stored import opened, pictures
from curate.cli import app
from curate.clip_model import is_cut, picture_features, text_features
from curate.errors import SpecError
from curate.ledger import Ledger
from curate.plan import Plan
from curate.report import write_report
from curate.run import Run
from curate.spec_file import load_spec, parse
from curate.stages.match import tested as outcome_of
from tests.captioner.clips import CONFIG, fitted, save, says, walls
from tests.conftest import rushes, spec_dict, write_spec


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A model that knows colours, and walls with their captions."""
    root = tmp_path_factory.mktemp("match")
    return fitted(root / "clip"), walls(root / "walls"), root / "walls"


def _spec(material, root, shift=0, **match):
    """A spec over the walls, whose captions came with them, moved on by `shift` files."""
    model, rows, folder = material
    texts = [text for _, text in rows]
    texts = texts[shift:] + texts[:shift]
    lines = [
        json.dumps({"path": str(folder / name), "original_caption": text})
        for (name, _), text in zip(rows, texts, strict=True)
    ]
    root.mkdir(exist_ok=True)
    (root / "manifest.jsonl").write_text("".join(line + "\n" for line in lines))
    raw = spec_dict(root / "manifest.jsonl", root / "out")
    asked = {"model": str(model), "kinds": ["original"], **match}
    latents = {"codec": "dct", "channels": 8, "short_side": 32, "max_frames": 5}
    raw["stages"] = [
        {"split": {"detector": "fixed", "min_s": 0.5}},
        {"score": ["motion", "sharpness", "exposure", "borders", "gist"]},
        {"screen": {"explicit": [], "violence": [], "hate": []}},
        {"caption": {"with": "template", "match": asked}},
        {"check": {}},
        {"encode": {"latents": latents}},
        {"export": {}},
    ]
    return write_spec(root / "s.yaml", raw)


@pytest.fixture(scope="module")
def right(material, tmp_path_factory):
    """A finished run whose captions are right."""
    root = tmp_path_factory.mktemp("right")
    assert _run(_spec(material, root), "caption").computed["match"] == 12
    later = _run(_spec(material, root)).computed
    assert (later["encode"], "match" in later) == (12, False), "encoding is no reason to test again"
    return root


def _run(spec, until="export"):
    """In this process: torch takes longer to import than the test to run."""
    return Run(load_spec(spec)).go(until)


def _eval(*arguments):
    done = CliRunner().invoke(app, ["captioner", "eval", *map(str, arguments)])
    assert done.exit_code == 0, done
    return done.stdout


def test_right_captions_pass_and_are_tested_once(material, right):
    row = _record(right)["captions"]["original"]
    assert (row["n"], row["match_rate"], row["comparisons"], row["lost"], row["worst"]) == (12, 1.0, 48, 0, [])
    assert row["clip_score_95"][0] < row["clip_score"] < row["clip_score_95"][1]
    assert (right / "out" / "dataset" / "receipt.json").exists()
    again = _run(_spec(material, right, min_rate=0.9))
    assert again.computed == {}, "the bound is no part of what was measured"
    write_report(opened(right / "out"), again.ledger)
    page = (right / "out" / "report.html").read_text()
    assert "match rate 100 %" in page
    assert "48 comparisons" in page


def test_captions_that_moved_on_by_one_clip_end_the_run_before_its_dataset(material, tmp_path):
    spec = _spec(material, tmp_path, shift=1)
    done = rushes("run", spec)
    assert done.returncode == 4, done.stderr
    assert "original captions fit their own clips better than others in" in done.stderr
    assert "fewer than caption.match.min_rate = 70.0%" in done.stderr
    row = _record(tmp_path)["captions"]["original"]
    assert row["match_rate"] < 0.5
    assert all(entry["clip"][:12] in done.stderr for entry in row["worst"])
    assert not (tmp_path / "out" / "dataset").exists()
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    assert {(r["outcome"], r["stage"]) for r in ledger} == {("pending", "latent")}, "nothing was encoded either"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "below the bound of 70 %" in page
    listed = page.partition("Captions that fit worst")[2].partition("</details>")[0]
    assert all(entry["clip"][:12] in listed for entry in row["worst"])
    assert "match" not in _run(_spec(material, tmp_path, shift=1, min_rate=0), "report").computed
    listed = (tmp_path / "out" / "report.html").read_text().partition("Captions that fit worst")[2]
    assert says("green") in listed.partition("</details>")[0]
    mended = _run(_spec(material, tmp_path))  # the same folder, with the right captions: they are tested anew
    assert mended.computed["match"] == 12


def test_a_kind_without_captions_does_not_pass_for_tested(material, tmp_path):
    """Files without captions of their own, and nobody to write any; and no files at all."""
    raw = yaml.safe_load(_spec(material, tmp_path).read_text())
    run = Run(parse(raw))
    for count, said in ((0, None), (1, "nobody can say whether the original captions fit their clips: there are 0")):
        clips = pa.table({"clip_id": ["c"], "outcome": ["kept"], "stage": [""], "caption.original": [None]})[:count]
        found = outcome_of(run, Ledger(clips, clips))
        assert said in str(found) if said else found is None
        run.out.joinpath("caption_match.json").unlink()


def _record(root):
    return json.loads((root / "out" / "caption_match.json").read_bytes())


@pytest.mark.parametrize(
    ("change", "says_"),
    [
        ({"kinds": ["dens"]}, "match.kinds"),
        ({"model": "nowhere/none"}, "neither a folder nor a model that was downloaded"),
        ({"smaple": 3}, "nearest: sample"),
    ],
)
def test_a_test_that_cannot_be_is_refused_with_its_line(material, tmp_path, change, says_):
    with pytest.raises(SpecError, match=says_) as refused:
        load_spec(_spec(material, tmp_path, **change))
    assert "s.yaml:" in str(refused.value)


def test_torch_is_not_loaded_where_captions_were_tested(material, right):
    code = (
        "import sys\nfrom curate import Run, load_spec\n"
        "assert Run(load_spec(sys.argv[1])).go('export').computed == {}\n"
        "assert not {'torch', 'open_clip'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(_spec(material, right))], check=True)


def test_how_captions_are_tested_is_no_reason_to_write_them_again(material, tmp_path):
    raw = yaml.safe_load(_spec(material, tmp_path).read_text())
    with_test = Plan(parse(raw))
    del raw["stages"][3]["caption"]["match"]
    assert with_test.tables == Plan(parse(raw)).tables


def test_eval_gives_what_open_clip_gives(material, right):
    found = json.loads(_eval(right / "out", "--model", material[0], "--json"))
    assert set(found["captions"]) == {"short", "dense", "original"}
    assert found["captions"]["original"] == _record(right)["captions"]["original"]
    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{material[0]}")
    tokens = open_clip.get_tokenizer(f"local-dir:{material[0]}")
    run = opened(right / "out")
    said = {r["clip_id"]: r["caption.original"] for r in pq.read_table(right / "out" / "ledger.parquet").to_pylist()}
    scores = []
    with torch.inference_mode():
        for clip, stored in pictures(run.plan, run.store, set(said)):
            words = model.encode_text(tokens([said[clip]]))[0]
            cosines = []
            for frame in stored.decoded():
                seen = model.eval().encode_image(prepare(Image.fromarray(frame))[None])[0]
                cosines.append(float(torch.nn.functional.cosine_similarity(seen, words, dim=0)))
            scores.append(100 * float(np.mean(cosines)))
    assert len(scores) == 12
    assert found["captions"]["original"]["clip_score"] == pytest.approx(np.mean(scores), abs=1e-3)


def test_eval_of_samples(material, right):
    folder = right / "out" / "samples"
    folder.mkdir(exist_ok=True)
    rows = walls(folder, each=1)
    lines = [json.dumps({"path": name, "prompt": text}) for name, text in rows]
    (folder / "prompts.jsonl").write_text("\n".join([*lines, json.dumps({"path": "x.mp4", "prompt": ""})]) + "\n")
    arguments = (right / "out", "--model", material[0], "--kind", "original", "--samples")
    found = json.loads(_eval(*arguments, "--json"))
    assert set(found["captions"]) == {"original"}
    assert (found["samples"]["n"], found["samples"]["match_rate"], found["samples"]["without_prompt"]) == (6, 1.0, 1)
    (folder / "03.mp4").write_bytes(b"no film")
    assert "1 without frames" in _eval(*arguments)


def test_clips_without_readable_frames_are_counted(material, right, monkeypatch):
    run, model = opened(right / "out"), material[0]
    match = run.spec.stages.caption.match
    chosen = evaluation.sample(run.plan, run.ledger(), ("original",), match)
    given = list(pictures(run.plan, run.store, set(chosen.clips)))
    spoilt, gone = given[0], given[1]
    damaged = [(spoilt[0], type(spoilt[1])((b"no jpeg",), (0.0,))), *given[2:]]
    monkeypatch.setattr(evaluation, "pictures", lambda plan, store, clips: iter(damaged))
    found = evaluation.captions(run.plan, run.store, chosen, model, match, lambda done, total: None)
    assert found["unreadable"] == sorted([spoilt[0], gone[0]])
    assert (found["captions"]["original"]["n"], found["captions"]["original"]["lost"]) == (10, 2)


def test_features_do_not_depend_on_the_batch(material):
    texts = [says(colour) for colour in "red green blue teal pink gray gold tan navy lime rust plum".split()] * 3
    alone = np.concatenate([text_features(material[0], [text]) for text in texts])
    assert text_features(material[0], texts) == pytest.approx(alone, abs=1e-5)
    frames = np.random.default_rng(0).integers(0, 256, (37, 30, 44, 3), np.uint8)
    alone = np.concatenate([picture_features(material[0], frame[None]) for frame in frames])
    assert picture_features(material[0], frames) == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(alone, axis=1) == pytest.approx(1, abs=1e-5)


def test_texts_that_are_cut_are_told(material):
    assert not is_cut(material[0], "A red wall.")
    assert is_cut(material[0], "a red wall " * 20)


def test_weights_that_are_no_numbers_say_nothing_of_captions(material, right, tmp_path):
    model = open_clip.CLIP(**CONFIG)
    with torch.no_grad():
        model.visual.proj.fill_(float("nan"))
    with pytest.raises(SpecError, match="features that are no numbers"):
        evaluation.of_run(right / "out", str(save(tmp_path / "clip", model)), ("original",), 12, 0, False, print)
    (save(tmp_path / "other", model) / "open_clip_config.json").write_text("{}")
    with pytest.raises(SpecError, match="no model that open_clip can load"):
        evaluation.of_run(right / "out", str(tmp_path / "other"), ("original",), 12, 0, False, print)
    with pytest.raises(SpecError, match="features that are no numbers"):
        _run(_spec((tmp_path / "clip", *material[1:]), right))
    write_report(opened(right / "out"), opened(right / "out").ledger())
    assert "match rate" not in (right / "out" / "report.html").read_text(), "the figures are those of another model"
