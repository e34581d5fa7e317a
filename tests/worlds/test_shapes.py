"""The shapes world: the same again, nothing rewritten without need, a manifest that tells the truth."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import SpecError, StorageError
from curate.media.detectors.adaptive import Adaptive
from curate.registry import resolve
from tests.conftest import REPO, SHARED, needs_shared
from tests.filters.pictures import scaled
from worlds.shapes import Shapes, ShapesOptions, prompts
from worlds.shapes.footage import paint
from worlds.shapes.options import LONGEST_SHOT_S
from worlds.shapes.plan import plan
from worlds.shapes.vocabulary import COLOURS, DIRECTIONS, OUTLINES

SMALL = {"files": 24, "shots_per_file": (2, 3), "exact_duplicates": 0.1, "near_duplicates": 0.15, "images": 0.1}
SMALL |= {"letterboxed": 0.1, "blurred": 0.1}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return Shapes(**SMALL).write(tmp_path_factory.mktemp("world"), seed=1)


@pytest.fixture(scope="module")
def rows(world):
    return [json.loads(line) for line in world.read_text().splitlines()]


def _decode(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.stack([f.to_ndarray(format="rgb24") for f in frames]), np.array([float(f.time) for f in frames])


def _shots(world, row):
    """Frames and truth of every shot of a video file, without its bars."""
    frames, times = _decode(world.parent / row["path"])
    if row["truth"]["plants"] == ["letterboxed"]:
        bar = round(frames.shape[1] * 0.125)
        frames = frames[:, bar:-bar]
    for shot in row["truth"]["shots"]:
        yield frames[(times > shot["start_s"] - 1e-6) & (times < shot["end_s"] - 1e-6)], shot


def _videos(rows):
    return [row for row in rows if row["path"].endswith(".mp4") and row["truth"]["plants"] != ["damaged"]]


def _sizes(folder):
    """Files, and the sizes of those that are no video: two encodes may differ by some bytes."""
    return {name: len(data) * (name.suffix != ".mp4") for name, (data, _) in _state(folder).items()}


def _state(folder):
    return {p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_it_is_found_by_its_name():
    assert resolve("world", "shapes") is Shapes


def test_the_same_seed_gives_the_same_world_and_another_one_another(world, rows, tmp_path):
    again = Shapes(**SMALL).write(tmp_path / "again", seed=1)
    mine, theirs = _state(world.parent), _state(again.parent)
    assert set(mine) == set(theirs)
    assert again.read_bytes() == world.read_bytes()
    for name in (path for path in mine if path.suffix == ".png"):
        assert mine[name][0] == theirs[name][0]
    for row in _videos(rows):
        # x264 rounds differently once in a while, so what is compared are pictures.
        one, two = (_decode(folder / row["path"])[0] for folder in (world.parent, again.parent))
        assert np.abs(one.astype(int) - two).mean() < 0.5
    assert Shapes(**SMALL).write(tmp_path / "other", seed=2).read_bytes() != world.read_bytes()


def test_frames_are_painted_the_same_again():
    options = ShapesOptions(**SMALL)
    for one, two in zip(plan(options, 5), plan(options, 5), strict=True):
        assert one == two
        assert (paint(one) == paint(two)).all()


def test_a_complete_world_is_left_alone(world):
    before = _state(world.parent)
    assert Shapes(**SMALL).write(world.parent, seed=1) == world
    assert _state(world.parent) == before


@pytest.mark.parametrize("harm", ["marker", "file", "cut"])
def test_an_unfinished_world_is_made_anew(tmp_path, harm):
    options = {"files": 3, "shots_per_file": (1, 1), "damaged": 0}
    manifest = Shapes(**options).write(tmp_path, seed=3)
    before = _sizes(tmp_path)
    first = tmp_path / "media" / "000000.mp4"
    if harm == "marker":
        (tmp_path / "world.json").unlink()
        manifest.write_text("half a li")
    elif harm == "file":
        first.unlink()
    else:
        os.truncate(first, 100)
    Shapes(**options).write(tmp_path, seed=3)
    assert _sizes(tmp_path) == before
    assert len(_decode(first)[0]) == 16


def test_other_options_replace_a_world_and_leave_strange_files(tmp_path):
    options = {"shots_per_file": (1, 1), "damaged": 0}
    Shapes(files=4, **options).write(tmp_path, seed=1)
    (tmp_path / "media" / "mine.txt").write_text("keep me")
    Shapes(files=2, **options).write(tmp_path, seed=1)
    assert sorted(p.name for p in (tmp_path / "media").iterdir()) == ["000000.mp4", "000001.mp4", "mine.txt"]


def test_manifest_lines_have_the_columns_of_a_source(world, rows):
    assert len(rows) == 24
    for row in rows:
        assert (world.parent / row["path"]).is_file()
        assert (row["source_class"], row["license"], row["is_synthetic"]) == ("in_house", "CC0-1.0", True)
        assert {"origin", "generator", "acquired_at", "truth"} <= set(row)
        for column in ("original_caption", "captions_dense"):
            if row["path"].endswith(".png"):
                assert "moving" not in row[column]
                assert "camera" not in row[column]
            else:
                spans = [(part["start_s"], part["end_s"]) for part in row[column]]
                assert spans == [(shot["start_s"], shot["end_s"]) for shot in row["truth"]["shots"]]
                assert spans[0][0] == 0.0
                assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))


def test_captions_say_what_is_to_be_seen(rows):
    row = next(row for row in _videos(rows) if not row["truth"]["plants"])
    for shot, short, dense in zip(row["truth"]["shots"], row["original_caption"], row["captions_dense"], strict=True):
        look = shot["attributes"]
        how = "standing still" if look["direction"] == "static" else "moving " + look["direction"].replace("-", " and ")
        assert short["text"] == f"a {look['color']} {look['shape']} {how}"
        assert f"{look['size']} {look['color']} {look['shape']} {how}" in dense["text"]
        assert f"The background is plain {look['background']}." in dense["text"]


def test_plants_are_there_in_number_and_in_truth(world, rows):
    kinds = Counter(plant.split(":")[0] for row in rows for plant in row["truth"]["plants"])
    assert kinds == {"exact": 2, "near": 4, "letterboxed": 2, "damaged": 1}
    assert sum(row["path"].endswith(".png") for row in rows) == 2
    for row in rows:
        if row["truth"]["plants"] == ["exact"]:
            original = world.parent / row["truth"]["duplicate_of"]
            assert (world.parent / row["path"]).read_bytes() == original.read_bytes()
        if row["truth"]["plants"] == ["damaged"]:
            with pytest.raises(av.error.InvalidDataError):
                _decode(world.parent / row["path"])
    own = [shot for row in _videos(rows) if row["truth"]["duplicate_of"] is None for shot in row["truth"]["shots"]]
    assert sum(shot["blurred"] for shot in own) >= 2
    assert any(shot["still"] for shot in own)


def test_near_duplicates_show_the_same(world, rows):
    for row in rows:
        if not row["truth"]["plants"] or not row["truth"]["plants"][0].startswith("near"):
            continue
        original = next(r for r in rows if r["path"] == row["truth"]["duplicate_of"])
        assert row["original_caption"] == original["original_caption"]
        copy, base = (_decode(world.parent / r["path"])[0] for r in (row, original))
        assert len(copy) == len(base)
        assert (copy.shape[1] < base.shape[1]) == (row["truth"]["plants"] != ["near:reencode"])


def test_every_cut_is_found_by_the_detector_of_the_split_stage(world, rows):
    for row in _videos(rows):
        frames, times = _decode(world.parent / row["path"])
        small = scaled(frames, Adaptive.frames)
        detector = Adaptive()
        found = [boundary.start for boundary in detector.push(np.stack(small), [float(t) for t in times], 0)]
        cuts = [int(np.abs(times - shot["start_s"]).argmin()) for shot in row["truth"]["shots"][1:]]
        assert found + [b.start for b in detector.finish()] == cuts, row["path"]


@needs_shared
def test_the_judge_of_the_kit_reads_our_clips(world, rows, monkeypatch):
    kit = SHARED / "kits" / "shapes"
    if not kit.is_dir():
        pytest.skip("the kit `shapes` is not in ../shared")
    monkeypatch.syspath_prepend(str(kit))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from shapeworld.captions import parse_prompt
    from shapeworld.judge import judge_frames, summarise

    verdicts = []
    for row in _videos(rows):
        captions = [part["text"] for part in row["original_caption"]]
        for (frames, shot), text in zip(_shots(world, row), captions, strict=True):
            wanted = {name: shot["attributes"][name] for name in ("color", "shape", "direction")}
            assert parse_prompt(text) == wanted
            if not shot["blurred"]:
                verdicts.append(judge_frames(frames, wanted, 8.0))
    found = summarise(verdicts)
    assert found["n"] > 40
    assert found["color"] >= 0.98
    assert found["direction"] >= 0.98
    assert found["shape"] >= 0.95


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 60), st.sampled_from([(64, 64), (96, 64), (64, 128)]))
def test_shapes_never_leave_the_picture(seed, files, size):
    options = ShapesOptions(files=files, size=size, seconds=(0.75, 4.0), damaged=0)
    for file in plan(options, seed):
        for shot in file.shots:
            path, reach = shot.path(), 1.3 * shot.radius
            assert (path >= reach - 1e-6).all()
            assert (path <= np.array([shot.width, shot.height]) - reach + 1e-6).all()
        for one, two in zip(file.shots, file.shots[1:], strict=False):
            assert one.look.background != two.look.background


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"filez": 3}, "filez"),
        ({"size": (95, 96)}, "multiple of 2"),
        ({"seconds": (1.0, 60.0)}, f"{LONGEST_SHOT_S:.1f} s"),
        ({"shots_per_file": (3, 2)}, "shots_per_file"),
        ({"exact_duplicates": 0.9, "images": 0.2}, "no plain one"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(options, words):
    with pytest.raises(SpecError, match=words):
        Shapes(**options)


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        Shapes(files=1).write(tmp_path / "file" / "world", seed=0)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 2**31), st.booleans())
def test_prompts_are_spread_evenly_and_come_again_the_same(n, seed, still):
    found = prompts(n, seed, still=still)
    assert found == prompts(n, seed, still=still)
    assert len(found) == n
    every = len(COLOURS) * len(OUTLINES) * (len(DIRECTIONS) - (not still))
    times = Counter(row["prompt"] for row in found)
    assert len(times) == min(n, every)
    assert max(times.values(), default=0) <= -(-n // every)
    assert still or not any("still" in text for text in times)


def test_the_command_line_writes_a_world_and_requests(tmp_path):
    command = [
        sys.executable,
        "-m",
        "worlds.shapes",
        "--out",
        str(tmp_path),
        "--files",
        "1",
        "--shots-per-file",
        "1",
        "1",
    ]
    done = subprocess.run([*command, "--prompts", "3"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "manifest.jsonl")
    assert len((tmp_path / "prompts.jsonl").read_text().splitlines()) == 3
    wrong = subprocess.run([*command, "--fps", "1"], cwd=REPO, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "fps" in wrong.stderr


def test_marked_shots_hold_the_sign_that_the_manifest_says(tmp_path):
    from worlds.shapes.footage import MARK
    from worlds.shapes.symbols import SIGNS, draw

    options = ShapesOptions(**{**SMALL, "marked": 0.3, "images": 0.0, "blurred": 0.0, "letterboxed": 0.0})
    files = [file for file in plan(options, 1) if file.copy_of is None]
    shots = [(file, number) for file in files for number in range(len(file.shots))]
    held = [file.marked[number] for file, number in shots if number in file.marked]
    assert set(held) == set(SIGNS)
    assert len(held) == round(0.3 * len(shots))
    for file, number in shots:
        start = sum(shot.frames for shot in file.shots[:number])
        size = round(MARK * min(options.size))
        frame = paint(file)[start]
        corner = frame[:size, :size] if number % 2 == 0 else frame[-size:, -size:]
        for category in SIGNS:
            assert (corner == draw(category, size)).all() == (file.marked.get(number) == category)


def test_the_references_that_ship_are_those_that_are_drawn(tmp_path):
    from worlds.shapes.symbols import write

    for path in write(tmp_path):
        shipped = REPO / "worlds" / "shapes" / "references" / path.relative_to(tmp_path)
        assert shipped.read_bytes() == path.read_bytes()
