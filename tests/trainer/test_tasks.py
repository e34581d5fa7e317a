"""What each task of the sampler is given, where it stands in the clip, and that it is never moved by a bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from curate.errors import InputRejected, SpecError
from curate.media.writer import write_mp4
from tests.codecs.footage import footage
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer import flow
from trainer.config import ModelConfig, SampleConfig, SampleRequest, TrainConfig
from trainer.inputs import Job, opencv_frames, plan_job
from trainer.normaliser import Normaliser
from trainer.sample import Run, denoise, sample
from trainer.train import train

TINY = ModelConfig(layers=2, heads=2, head_dim=12, ffn_dim=32, refiner_dim=16)
CONFIG = SampleConfig(steps=3, threads=1)
SIDE, FRAMES = 32, 9  # of the tiny dataset: three latent frames of 2 x 2 tokens
# Each task, what it says, and which latent frames it makes known.
TIMES: dict[str, tuple[dict[str, Any], list[bool]]] = {
    "t2v": ({}, [False, False, False]),
    "i2v": ({"image": "a.png"}, [True, False, False]),
    "first_last": ({"image": "a.png", "last_image": "b.png"}, [True, False, True]),
    "loop": ({"image": "a.png"}, [True, False, True]),
    "extend": ({"video": "v.mp4"}, [True, True, False]),
    "extend backward": ({"video": "v.mp4", "direction": "backward"}, [False, False, True]),
    "extend far backward": ({"video": "v.mp4", "direction": "backward", "given_frames": 8}, [False, True, True]),
    "infill": ({"video": "v.mp4"}, [True, False, True]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two images, a video of nine frames, and masks."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = footage(5, 1, frames=FRAMES, side=SIDE)[0]
    cv2.imwrite(str(folder / "a.png"), frames[0, :, :, ::-1])
    cv2.imwrite(str(folder / "b.png"), 255 - frames[3, :, :, ::-1])
    write_mp4(folder / "v.mp4", frames, 8.0, crf=1)
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    cv2.imwrite(str(folder / "none.png"), mask)
    cv2.imwrite(str(folder / "all.png"), 255 - mask)
    mask[20, 3] = 255  # one white pixel, in the lower left of four tokens
    cv2.imwrite(str(folder / "mask.png"), mask)
    return folder


@pytest.fixture(scope="module", params=["velocity", "x0"])
def run_dir(request, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("tasks")
    settings = TrainConfig.model_validate({
        "model": TINY.model_dump(), "steps": 3, "batch": 4, "warmup": 0, "threads": 1, "precision": "fp32", "lr": 0.01,
        "allow_unscreened": ALLOW, "captions": {"short": 1.0}, "objective": request.param,
        "tasks": {"t2v": 0.4, "first_last": 0.3, "inpaint": 0.3}, "times": "mode",
        "shift": {"base_tokens": 1, "base": 1.0, "max_tokens": 48, "max": 4.0},
    })  # fmt: skip
    return train(tiny_dataset(made / "d", ((FRAMES, SIDE),) * 3).path, made / "r", settings).out_dir


@pytest.fixture(scope="module")
def run(run_dir) -> Run:
    return Run.open(run_dir)


def asked(folder: Path, task: str, said: dict[str, Any], **more: Any) -> SampleRequest:
    paths = {key: str(folder / value) if "." in str(value) else value for key, value in said.items()}
    return SampleRequest.model_validate({"prompt": "a", "task": task.split()[0], **paths, **more})


def planned(run: Run, request: SampleRequest, place: int = 0) -> Job:
    return plan_job(request, place, CONFIG, run.card, run.codec, opencv_frames)


class Recorder(nn.Module):
    """Notes what a model is given: the latents, and the time of each token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x, timestep_BK, text, bias, index=None):
        times = timestep_BK.repeat_interleave(4, dim=1) if index is None else timestep_BK.gather(1, index)
        self.calls.append((x.clone(), times.view(len(x), 3, 2, 2)))
        args = (x, timestep_BK, text, bias) if index is None else (x, timestep_BK, text, bias, index)
        return self.model(*args)


def held(run: Run, jobs: list[Job], config: SampleConfig) -> np.ndarray:
    """Sample, and hold every call of the model against what is known; return the latents."""
    recorder = Recorder(run.model)
    out = denoise(replace(run, model=recorder), jobs, config)  # type: ignore[arg-type]
    known = np.stack([np.broadcast_to(j.known_T.reshape(3, *j.known_T.shape[1:] or (1, 1)), (3, 2, 2)) for j in jobs])
    pixels = torch.from_numpy(known.repeat(2, axis=2).repeat(2, axis=3))[:, None]
    clean = torch.from_numpy(np.stack([job.clean_CTHW for job in jobs]))
    calls = {"heun": 2, "midpoint": 2}.get(config.solver, 1) * config.steps - (config.solver == "heun")
    assert len(recorder.calls) == calls
    for x, times in recorder.calls:
        copies = len(x) // len(jobs)
        assert torch.equal(times == 0, torch.from_numpy(known).repeat(copies, 1, 1, 1))
        mask = pixels.repeat(copies, 1, 1, 1, 1).expand_as(x)
        assert torch.equal(x[mask], clean.repeat(copies, 1, 1, 1, 1)[mask])
    wanted = Normaliser.from_run(run.card).inverse(clean.numpy())
    assert np.isfinite(out).all()
    assert np.array_equal(out == wanted, np.broadcast_to(pixels.numpy(), out.shape))
    return out


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint", "dpm++", "unipc"])
def test_what_is_known_is_bitwise_the_same_at_every_step_of_every_task(run, folder, solver):
    jobs = [planned(run, asked(folder, task, said), i) for i, (task, (said, _)) in enumerate(TIMES.items())]
    for job, (_, known) in zip(jobs, TIMES.values(), strict=True):
        assert job.known_T.tolist() == known
    config = CONFIG.model_copy(update={"solver": solver})
    together = held(run, jobs, config)
    painted = planned(run, asked(folder, "inpaint", {"video": "v.mp4", "mask": "mask.png"}), 99)
    assert painted.known_T.tolist() == [[[True, True], [False, True]]] * 3
    mixed = held(run, [jobs[0], painted, jobs[2]], config)
    # Beside an inpainted clip the others get times a token, and the same numbers.
    assert np.abs(mixed[[0, 2]] - together[[0, 2]]).max() < 1e-4


def test_the_times_of_the_sampler_are_shifted_by_the_clips_tokens(run):
    recorder = Recorder(run.model)
    denoise(replace(run, model=recorder), [planned(run, SampleRequest(prompt="a"))], CONFIG)  # type: ignore[arg-type]
    shift = 4.0 ** (np.log(12) / np.log(48))
    wanted = 1000 * flow.solver_times(3, float(shift))[:-1]
    assert np.allclose([float(times[0, 0, 0, 0]) for _, times in recorder.calls], wanted)


def encoded(run: Run, frames_THWC: np.ndarray) -> np.ndarray:
    pixels = frames_THWC.astype(np.float32).transpose(3, 0, 1, 2) / 127.5 - 1
    return Normaliser.from_run(run.card).forward(run.codec.encode(pixels[None])[0])


def test_what_ends_a_clip_is_encoded_as_what_ends_a_clip(run, folder):
    first, last = (opencv_frames(folder / name, None, 1) for name in ("a.png", "b.png"))
    video = opencv_frames(folder / "v.mp4", 8.0, FRAMES)
    job = planned(run, asked(folder, "first_last", {"image": "a.png", "last_image": "b.png"}))
    wanted = encoded(run, np.concatenate([np.repeat(first, 5, axis=0), np.repeat(last, 4, axis=0)]))
    assert np.allclose(job.clean_CTHW[:, [0, 2]], wanted[:, [0, 2]], atol=1e-5)
    job = planned(run, asked(folder, "loop", {"image": "a.png"}))
    assert np.allclose(job.clean_CTHW[:, [0, 2]], encoded(run, np.repeat(first, 9, axis=0))[:, [0, 2]], atol=1e-5)
    job = planned(run, asked(folder, "extend", {"video": "v.mp4", "direction": "backward", "given_frames": 4}))
    wanted = encoded(run, np.concatenate([np.repeat(first, 5, axis=0), video[:4]]))
    assert np.allclose(job.clean_CTHW[:, 2], wanted[:, 2], atol=1e-5)
    job = planned(run, asked(folder, "infill", {"video": "v.mp4"}))
    assert np.allclose(job.clean_CTHW[:, [0, 2]], encoded(run, video)[:, [0, 2]], atol=1e-5)


def test_an_image_is_painted_into_as_an_image(run, run_dir, folder, tmp_path):
    request = asked(folder, "inpaint", {"image": "a.png", "mask": "mask.png"})
    job = planned(run, request)
    assert job.known_T.tolist() == [[[True, True], [False, True]]]
    out = denoise(run, [job], CONFIG)[0]
    wanted = Normaliser.from_run(run.card).inverse(job.clean_CTHW)
    assert np.array_equal(out[:, :, :2], wanted[:, :, :2])
    assert not (out[:, :, 2:, :2] == wanted[:, :, 2:, :2]).any()
    clip = asked(folder, "loop", {"image": "a.png"})
    assert [line["path"] for line in sample(run_dir, [request, clip], tmp_path / "s", CONFIG)] == [
        "000.png", "001.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "said", "sentence"),
    [
        ("infill", {"video": "v.mp4", "given_frames": 4}, r"given_frames is 4 and given_last 4: .* 1 \+ 4k and 4k"),
        ("infill", {"video": "v.mp4", "given_frames": 5, "given_last": 4}, "together below the clip's 9"),
        ("extend", {"video": "v.mp4", "direction": "backward", "given_frames": 5}, "must be 4k and below the clip's 9"),
        ("first_last", {"image": "a.png", "last_image": "b.png", "frames": 5}, "leaves nothing between the two"),
        ("loop", {"image": "a.png", "frames": 1}, "leaves nothing between the two"),
        ("inpaint", {"video": "v.mp4", "mask": "all.png"}, "is white in all of the clip"),
        ("inpaint", {"video": "v.mp4", "mask": "none.png"}, "is white in none of the clip"),
    ],
)
def test_what_leaves_nothing_to_make_or_to_keep_is_refused(run, folder, task, said, sentence):
    with pytest.raises(SpecError, match=sentence):
        planned(run, asked(folder, task, said))
    with pytest.raises(InputRejected, match="has 9 frames, 13 are needed"):
        planned(run, asked(folder, "infill", {"video": "v.mp4"}, frames=13))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"task": "first_last", "image": "a"}, "first_last needs `last_image`"),
        ({"task": "first_last", "last_image": "a"}, "first_last needs `image`"),
        ({"task": "loop"}, "loop needs `image` or `video`, and not both"),
        ({"task": "inpaint", "video": "a"}, "inpaint needs `mask`"),
        (
            {"task": "inpaint", "mask": "a", "video": "v", "image": "i"},
            "inpaint needs `image` or `video`, and not both",
        ),
        ({"task": "inpaint", "mask": "a", "image": "i", "frames": 9}, "an image has no `frames`"),
        ({"task": "infill", "video": "v", "direction": "backward"}, "`direction` says nothing to infill"),
        ({"task": "extend", "video": "v", "given_last": 4}, "`given_last` says nothing to extend"),
        ({"task": "i2v", "image": "i", "mask": "m"}, "`mask` says nothing to i2v.*it is for inpaint"),
    ],
)
def test_inputs_that_a_task_lacks_or_would_not_use_are_refused(said, sentence):
    with pytest.raises(ValueError, match=sentence):
        SampleRequest.model_validate({"prompt": "a", **said})
