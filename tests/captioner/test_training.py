"""Fine-tuning: what is written is loaded by `vlm`, and has learned."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks import tiny_vlms
from captioner.labelled import examples
from captioner.prompting import load_prompt, refuse_other_prompt
from captioner.recipe import Recipe, load_recipe
from captioner.training import _batches, train
from captioner.vlm import Vlm
from curate.errors import SpecError
from tests.conftest import rushes, spec_dict, write_clip, write_spec

CAPTIONS = ("a red thing", "some blue water")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A run of a few clips, their labels, and a model that knows nothing."""
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(4):
        write_clip(folder / "footage" / f"{number}.mp4", (number,))
    raw = spec_dict(folder / "footage", folder / "out")
    raw["stages"] = [{"split": {"detector": "fixed", "min_s": 0.5}}]
    raw = {name: value for name, value in raw.items() if name not in ("train", "sample")}
    done = rushes("run", write_spec(folder / "s.yaml", raw), "--until", "split")
    assert done.returncode == 0, done.stderr
    clips = sorted(pq.read_table(folder / "out" / "ledger.parquet")["clip_id"].to_pylist())
    rows = [{"clip": clip, "kind": "short", "caption": CAPTIONS[i % 2]} for i, clip in enumerate(clips)]
    rows.append({"clip": clips[0], "kind": "dense", "caption": "all that there is"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "labels.parquet")
    tiny_vlms.qwen(folder / "base", CAPTIONS, width=64, spread=1.0)
    return folder


def _recipe(folder, out, **changes):
    raw = {
        "base": str(folder / "base"), "run": str(folder / "out"), "data": str(folder / "labels.parquet"),
        "kind": "short", "output": str(out), "steps": 60, "batch": 4, "lr": 5e-3, "held_out": 0.0, **changes,
    }  # fmt: skip
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(raw))
    return path


def _said(folder, **params):
    captioner = Vlm(prompts={"short": "short_plain"}, max_new_tokens=8, **params)
    data = examples(str(folder / "labels.parquet"), folder / "out", load_prompt("short_plain", "short"), 16)
    answers = {answer.ref: answer.text for answer in captioner.describe([e.ask for e in data], lambda: None)}
    return [(answers[example.ask.ref], example.caption) for example in data]


def test_a_whole_model_learns_its_labels(labelled, tmp_path):
    done = rushes("captioner", "train", _recipe(labelled, tmp_path / "full", method="full"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["clips"] == 4
    said = _said(labelled, model=str(tmp_path / "full"))
    assert all(given == wanted for given, wanted in said), said
    log = [json.loads(line) for line in (tmp_path / "full" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == list(range(1, 61))
    assert log[-1]["loss"] < 0.1 * log[0]["loss"]


def test_an_adapter_is_small_and_changes_what_its_base_says(labelled, tmp_path):
    train(load_recipe(_recipe(labelled, tmp_path / "lora", steps=20, lr=1e-2)), lambda line: None)
    assert (tmp_path / "lora" / "adapter_config.json").exists()
    assert not (tmp_path / "lora" / "model.safetensors").exists()
    refuse_other_prompt(tmp_path / "lora", load_prompt("short_plain", "short"))
    with pytest.raises(ValueError, match="was taught by the prompt short_plain"):
        refuse_other_prompt(tmp_path / "lora", load_prompt("short", "short"))
    base = str(labelled / "base")
    adapted = _said(labelled, model=base, adapter={"short": str(tmp_path / "lora")})
    assert adapted != _said(labelled, model=base)
    asked = {"short": "short_plain"}
    assert Vlm(base, adapter=str(tmp_path / "lora"), prompts=asked).identity() != Vlm(base, prompts=asked).identity()
    with pytest.raises(ValueError, match="was taught by the prompt short_plain"):
        Vlm(base, adapter=str(tmp_path / "lora"))


def test_batches_are_of_one_shape_and_take_every_clip_in_turn():
    shapes = [2] * 10 + [3] * 7 + [4] * 3
    recipe = Recipe(base="", run="", data="", kind="short", output="", steps=40, batch=4, seed=1)
    batches = list(_batches(shapes, recipe))
    assert len(batches) == 40
    assert all(len({shapes[row] for row in batch}) == 1 and len(batch) == 4 for batch in batches)
    assert list(_batches(shapes, recipe)) == batches
    counts = Counter(row for batch in batches for row in batch)
    assert set(counts) == set(range(20))
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"base": "no/such"}, "neither a folder"), ({"kind": "dense", "prompt": "short_plain"}, "is for short"),
     ({"run": "/nowhere"}, "no spec.yaml"), ({"steps": 0}, "greater than or equal to 1"), ({"lrr": 1}, "unknown key")],
)  # fmt: skip
def test_a_wrong_recipe_is_refused(changes, says, labelled, tmp_path):
    done = rushes("captioner", "train", _recipe(labelled, tmp_path / "x", **changes))
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


def test_clips_without_frames_and_rows_without_a_caption_are_refused(labelled, tmp_path):
    prompt = load_prompt("short_plain", "short")
    (tmp_path / "a.csv").write_text("clip,kind,caption\nnone,short,a thing\n")
    with pytest.raises(SpecError, match="no frames of 1 clips"):
        examples(str(tmp_path / "a.csv"), labelled / "out", prompt, 16)
    (tmp_path / "c.csv").write_text("clip,kind,caption\nc1,short,a\nc1,short,a\nc1,dense,b\nc1,short,b\n")
    with pytest.raises(SpecError, match="row 4: clip c1 has another short caption already"):
        examples(str(tmp_path / "c.csv"), labelled / "out", prompt, 16)
    (tmp_path / "b.csv").write_text("clip,kind,caption\nnone,short,\n")
    with pytest.raises(SpecError, match="row 1"):
        examples(str(tmp_path / "b.csv"), labelled / "out", prompt, 16)
