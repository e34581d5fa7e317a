"""Sampling: files in the order asked, provenance, known frames bitwise unchanged, neighbours without influence."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from curate.errors import InputRejected, SpecError
from tests.codecs.footage import footage
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer.config import ModelConfig, SampleConfig, SampleRequest, TrainConfig, read_requests
from trainer.inputs import cover, opencv_frames, plan_job
from trainer.sample import Run, denoise, sample
from trainer.train import train

TINY = ModelConfig(layers=2, heads=2, head_dim=12, ffn_dim=32, refiner_dim=16)
CONFIG = SampleConfig(steps=4, threads=1)


def trained(folder: Path, objective: str) -> Path:
    data = tiny_dataset(folder / "d").path
    settings = TrainConfig.model_validate({
        "model": TINY.model_dump(), "steps": 8, "batch": 4, "warmup": 0, "threads": 1, "precision": "fp32",
        "allow_unscreened": ALLOW, "captions": {"short": 1.0}, "objective": objective, "lr": 0.01,
    })  # fmt: skip
    return train(data, folder / "r", settings).out_dir


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("sampling"), "velocity")


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "first.png"
    cv2.imwrite(str(path), footage(5, 1, frames=1, side=48)[0][0, :32, :, ::-1])
    return path


def latents(run_dir: Path, requests: list[SampleRequest], config: SampleConfig = CONFIG) -> np.ndarray:
    run = Run.open(run_dir)
    jobs = [plan_job(r, i, config, run.card, run.codec, opencv_frames) for i, r in enumerate(requests)]
    return denoise(run, jobs, config)


def test_files_lines_and_provenance(run_dir, image, tmp_path):
    requests = [
        SampleRequest.model_validate({"prompt": "a", "seed": 7, "attributes": {"colour": "red"}}),
        SampleRequest(prompt="b c", frames=5, width=48),
        SampleRequest(prompt="x", task="i2v", image=str(image)),
        SampleRequest(prompt="b", task="image"),
        SampleRequest(prompt="", seconds=0.6),
    ]
    seen = []
    lines = sample(run_dir, [*requests, "plain"], tmp_path / "s", CONFIG, on_sample=seen.append)
    assert lines == [json.loads(line) for line in (tmp_path / "s" / "prompts.jsonl").read_text().splitlines()]
    assert sorted(line["path"] for line in seen) == [line["path"] for line in lines]
    names = ["000.mp4", "001.mp4", "002.mp4", "003.png", "004.mp4", "005.mp4"]
    assert [line["path"] for line in lines] == names
    assert [line["prompt"] for line in lines] == ["a", "b c", "x", "b", "", "plain"]
    assert [line["seed"] for line in lines] == [7, 1, 2, 3, 4, 5]
    assert [(line["width"], line["num_frames"]) for line in lines[:5]] == [(32, 9), (48, 5), (32, 9), (32, 1), (32, 5)]
    assert lines[0]["attributes"] == {"colour": "red"}
    receipt = json.loads((run_dir / "run.json").read_bytes())["receipt_digest"]
    for line in lines:
        with av.open(str(tmp_path / "s" / line["path"])) as container:
            comment = container.metadata.get("comment", "")
            frames = list(container.decode(video=0))
        assert (len(frames), frames[0].width, frames[0].height) == (line["num_frames"], line["width"], line["height"])
        if line["path"].endswith("png"):
            with Image.open(tmp_path / "s" / line["path"]) as picture:
                comment = picture.info["Comment"]
        card = json.loads(comment)
        assert (card["prompt"], card["seed"], card["data_receipt"]) == (line["prompt"], line["seed"], receipt)
        assert card["synthetic"] is True
        assert card["unscreened"] == ALLOW
        assert card["uncalibrated"] == json.loads((run_dir / "run.json").read_bytes())["uncalibrated"]
        # All that it takes to make the same clip again.
        assert {key: card[key] for key in ("task", "steps", "guidance", "solver", "shift")} == {
            "task": line["task"], "steps": CONFIG.steps, "guidance": CONFIG.guidance, "solver": "euler", "shift": None,
        }  # fmt: skip
        assert len(card["model_sha256"]) == 64


@pytest.mark.parametrize("objective", ["velocity", "x0"])
def test_known_frames_are_bitwise_what_was_given(objective, image, tmp_path):
    run_dir = trained(tmp_path, objective)
    run = Run.open(run_dir)
    video = tmp_path / "given.mp4"
    sample(run_dir, ["a"], tmp_path / "s", CONFIG)
    (tmp_path / "s" / "000.mp4").rename(video)
    for request, given in (
        (SampleRequest(prompt="a", task="i2v", image=str(image)), 1),
        (SampleRequest(prompt="a", task="i2v", video=str(video)), 1),
        (SampleRequest(prompt="a", task="extend", video=str(video), given_frames=5), 2),
    ):
        job = plan_job(request, 0, CONFIG, run.card, run.codec, opencv_frames)
        assert job.known_T.tolist() == [True] * given + [False] * (3 - given)
        out = denoise(run, [job], CONFIG)[0]
        assert np.isfinite(out).all()
        from trainer.normaliser import Normaliser

        wanted = Normaliser.from_run(run.card).inverse(job.clean_CTHW)
        assert np.array_equal(out[:, :given], wanted[:, :given])
        assert not np.array_equal(out[:, given:], wanted[:, given:])


def test_neighbours_and_batches_do_not_matter(run_dir):
    requests = [SampleRequest(prompt=p, seed=s) for p, s in (("a", 1), ("a much longer prompt", 2), ("b", 3))]
    together = latents(run_dir, requests)
    for place, request in enumerate(requests):
        assert np.abs(latents(run_dir, [request])[0] - together[place]).max() < 1e-4
    assert np.array_equal(latents(run_dir, requests), together)


def test_seed_and_prompt_matter(run_dir):
    asked = (("a", 1), ("a", 2), ("b c", 1))
    one, other_seed, other_prompt = latents(run_dir, [SampleRequest(prompt=p, seed=s) for p, s in asked])
    assert np.abs(one - other_seed).max() > 1
    assert np.abs(one - other_prompt).max() > 0.2


def test_guidance_one_is_conditional_and_zero_unconditional(run_dir):
    request, empty = SampleRequest(prompt="a", seed=1), SampleRequest(prompt="", seed=1)
    for guidance in (0.0, 1.0, 3.0):
        config = CONFIG.model_copy(update={"guidance": guidance})
        got, blank = latents(run_dir, [request], config), latents(run_dir, [empty], config)
        assert np.allclose(got, blank, atol=1e-5) == (guidance == 0)
    one = CONFIG.model_copy(update={"guidance": 1.0})
    nearly = CONFIG.model_copy(update={"guidance": 1.0 + 1e-6})
    assert np.abs(latents(run_dir, [request], one) - latents(run_dir, [request], nearly)).max() < 1e-4


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"width": 40}, "width 40 is not a multiple of 16"),
        ({"height": 8}, "height 8 is not a multiple of 16"),
        ({"task": "extend", "video": "x.mp4", "given_frames": 4}, r"given_frames is 4, must be 1 \+ 4k"),
        ({"task": "extend", "video": "x.mp4", "given_frames": 9}, "below the clip's 9"),
        ({"task": "i2v", "image": "x.png", "frames": 1}, "i2v of 1 frames leaves nothing to make"),
    ],
)
def test_requests_that_cannot_be_are_refused_before_any_is_made(run_dir, tmp_path, request_, sentence):
    requests = [SampleRequest(prompt="a"), SampleRequest.model_validate({"prompt": "b", **request_})]
    with pytest.raises(SpecError, match=sentence):
        sample(run_dir, requests, tmp_path / "s", CONFIG)
    assert not (tmp_path / "s").exists()


def test_a_folder_of_samples_is_replaced_whole_and_no_other(run_dir, tmp_path):
    sample(run_dir, ["a", "b", "c"], tmp_path / "s", CONFIG)
    sample(run_dir, ["d"], tmp_path / "s", CONFIG)
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["000.mp4", "prompts.jsonl"]
    (tmp_path / "s" / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match=r"notes.txt in it is no sample"):
        sample(run_dir, ["e"], tmp_path / "s", CONFIG)
    assert json.loads((tmp_path / "s" / "prompts.jsonl").read_text())["prompt"] == "d"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"image": "x.png"}, "`image` says nothing to t2v"),
        ({"video": "x.mp4"}, "`video` says nothing to t2v"),
        ({"given_frames": 5}, "`given_frames` says nothing to t2v"),
        ({"task": "image", "video": "x.mp4"}, "`video` says nothing to image"),
        ({"task": "image", "frames": 9}, "an image has no `frames`"),
        ({"task": "extend", "video": "x.mp4", "image": "x.png"}, "takes no `image`"),
    ],
)
def test_an_input_that_would_not_be_used_is_refused(request_, sentence):
    with pytest.raises(ValueError, match=sentence):
        SampleRequest.model_validate({"prompt": "a", **request_})


def test_unreadable_inputs_and_untrained_runs_are_refused(run_dir, tmp_path):
    for field in ("image", "video"):
        request = SampleRequest.model_validate({"prompt": "a", "task": "i2v", field: str(tmp_path / "none.png")})
        with pytest.raises(InputRejected, match="no readable"):
            sample(run_dir, [request], tmp_path / "s", CONFIG)
    with pytest.raises(SpecError, match="no training run"):
        sample(tmp_path, ["a"], tmp_path / "s", CONFIG)
    (tmp_path / "run.json").write_bytes((run_dir / "run.json").read_bytes())
    with pytest.raises(SpecError, match="no trained model"):
        sample(tmp_path, ["a"], tmp_path / "s", CONFIG)


def test_prompts_come_from_a_file_with_inputs_beside_it(tmp_path):
    path = tmp_path / "p.jsonl"
    line = '{"prompt": "b", "task": "i2v", "image": "i.png", "seed": 3}'
    path.write_text('{"prompt": "a", "attributes": [1]}\n\n' + line + "\n")
    with pytest.raises(SpecError, match=r"p.jsonl:3: image: there is no file .*i.png"):
        read_requests(str(path))
    (tmp_path / "i.png").touch()
    first, second = read_requests(str(path))
    assert first.model_extra == {"attributes": [1]}
    assert (second.seed, second.image) == (3, str(tmp_path / "i.png"))
    for text, sentence in (
        ('{"prompt": "a"}\n{"task": "t2v"}', r"p.jsonl:2: prompt: Field required"),
        ("a red circle", r"p.jsonl:1: not a JSON object"),
        ('{"prompt": "a", "task": "i2v"}', "i2v needs `image` or `video`"),
        ('{"prompt": "a", "frames": 5, "seconds": 1}', "`frames` or `seconds`, not both"),
    ):
        path.write_text(text)
        with pytest.raises(SpecError, match=sentence):
            read_requests(str(path))
    with pytest.raises(SpecError, match="cannot read"):
        read_requests("nowhere.jsonl", tmp_path)
    assert [r.prompt for r in read_requests(["a", SampleRequest(prompt="b")])] == ["a", "b"]


def test_inputs_of_inline_requests_lie_beside_the_base(tmp_path):
    asked = [SampleRequest(prompt="a", task="i2v", image="i.png"), SampleRequest(prompt="b", task="extend", video="v")]
    with pytest.raises(SpecError, match=r"sample.prompts.0: image: there is no file .*i.png"):
        read_requests([*asked], tmp_path)
    (tmp_path / "i.png").touch()
    with pytest.raises(SpecError, match=r"sample.prompts.1: video: there is no file .*v"):
        read_requests([*asked], tmp_path)
    (tmp_path / "v").touch()
    found = read_requests([*asked], tmp_path)
    assert [found[0].image, found[1].video] == [str(tmp_path / "i.png"), str(tmp_path / "v")]


def test_cover_fills_the_frame_without_changing_the_aspect():
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:, 10:30] = 255
    covered = cover(frame, 16, 16)
    assert covered.shape == (16, 16, 3)
    assert covered.min() == 255


def test_video_inputs_are_read_on_the_time_grid(tmp_path):
    from curate.media.writer import write_mp4

    frames = np.stack([np.full((16, 16, 3), 20 * t, np.uint8) for t in range(12)])
    write_mp4(tmp_path / "v.mp4", frames, 12.0, crf=1)
    for fps, wanted in ((12.0, [0, 1, 2, 3]), (6.0, [0, 2, 4, 6]), (24.0, [0, 0, 1, 1]), (4.5, [0, 2, 5, 8])):
        got = opencv_frames(tmp_path / "v.mp4", fps, 4)
        assert np.abs(got.mean(axis=(1, 2, 3)) - 20 * np.array(wanted)).max() < 3


def test_video_inputs_of_a_variable_rate_are_read_by_their_own_times(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"bf": "0", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for place, pts in enumerate((0, 1000, 1100, 1200, 1300)):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 40 * place, np.uint8), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for fps, wanted in ((4.0, [0, 0, 0, 0, 1]), (10.0, [0] * 10 + [1, 2, 3, 4])):
        got = opencv_frames(tmp_path / "v.mp4", fps, len(wanted))
        assert np.abs(got.mean(axis=(1, 2, 3)) - 40 * np.array(wanted)).max() < 4


def test_sampling_draws_nothing_from_the_global_generators(run_dir):
    torch.manual_seed(0)
    np.random.seed(0)
    before = latents(run_dir, [SampleRequest(prompt="a", seed=1)])
    torch.manual_seed(1)
    np.random.seed(1)
    assert np.array_equal(before, latents(run_dir, [SampleRequest(prompt="a", seed=1)]))
