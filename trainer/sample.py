"""Makes clips from a trained run: `python -m trainer.sample --run RUN --prompts FILE.jsonl --out OUT`.

    OUT/000.mp4 ...      in the order asked, each with its provenance as JSON in the `comment` tag (an image is
                         OUT/000.png, with the text chunk `Comment`)
    OUT/prompts.jsonl    a line each: path, prompt, task, seed, width, height, num_frames, fps, and keys carried over

Sampling needs the run's folder, and the weights of its codec and text encoder where these have any. Requests of equal
shape share batches; a clip's numbers do not depend on its neighbours beyond float rounding. Legend: B clips, C
channels, T latent frames, H, W.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curate.codecs import LatentCodec, TextEncoder, latent_codec, text_encoder
from curate.codecs.bf16 import bf16_from_float32, float32_from_bf16
from curate.errors import RushesError, SpecError, StorageError
from curate.media.writer import write_image, write_mp4
from trainer import flow
from trainer.conditioning import stack
from trainer.config import SampleConfig, SampleRequest, read_config, read_requests
from trainer.data import pad_text
from trainer.dit import TIME_SCALE
from trainer.durable import storing
from trainer.exported import load_model, verify_export
from trainer.inputs import FrameReader, Job, opencv_frames, plan_job
from trainer.model import Model
from trainer.normaliser import Normaliser
from trainer.provenance import sample_card
from trainer.sheet import Sheet
from trainer.sizes import read_shift, shift_at
from trainer.solvers import solve

SHEET = "sheet.png"  # beside samples that a training run makes (watching.py)
_OURS = re.compile(r"\d{3,}\.(mp4|png)|prompts\.jsonl|sheet\.png")

OnSample = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """A trained run, opened: its card, model, codec and text encoder."""

    card: dict[str, Any]
    model: Model
    model_sha256: str
    codec: LatentCodec
    encoder: TextEncoder

    @classmethod
    def open(cls, run_dir: Path) -> Run:
        """Open a run. Raises SpecError when it is not trained, or its codec or encoder has changed since."""
        try:
            card = json.loads((run_dir / "run.json").read_bytes())
        except (OSError, ValueError) as error:
            raise SpecError(f"{run_dir} is no training run (run.json: {error})") from error
        sha256 = verify_export(run_dir, card["run_key"])
        return cls.of(card, load_model(run_dir), sha256, str(run_dir))

    @classmethod
    def of(cls, card: dict[str, Any], model: Model, sha256: str, name: str) -> Run:
        """Make a run of its card and a model. Raises SpecError when its codec or encoder is not the one of its data."""
        codec = latent_codec(card["codec"]["name"], **card["codec"]["params"])
        encoder = text_encoder(card["text_encoder"]["name"], **card["text_encoder"]["params"])
        for kind, part in (("codec", codec), ("text_encoder", encoder)):
            if part.fingerprint != card[kind]["fingerprint"]:
                trained = card[kind]["fingerprint"]
                raise SpecError(f"{name} was trained with the {kind} {trained}, this is {part.fingerprint}")
        return cls({**card, "patch": model.dit.config.patch_size}, model, sha256, codec, encoder)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def sample(
    run_dir: Path,
    requests: Iterable[SampleRequest | str],
    out_dir: Path,
    config: SampleConfig,
    on_sample: OnSample | None = None,
    read: FrameReader = opencv_frames,
) -> list[dict[str, Any]]:
    """Make a clip for each request; returns the lines of prompts.jsonl, in the order asked.

    All requests are checked before the first is made, and `out_dir` is replaced as a whole. Raises SpecError on a run
    or request that cannot be, InputRejected on unreadable inputs, and StorageError on the disk.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = Run.open(Path(run_dir))
    jobs = plan_jobs(run, requests, config, read)
    return write_samples(run, jobs, denoised(run, jobs, config), Path(out_dir), config, on_sample)


def plan_jobs(
    run: Run, requests: Iterable[SampleRequest | str], config: SampleConfig, read: FrameReader = opencv_frames
) -> list[Job]:
    """Make all requests definite. Raises SpecError on one that cannot be, InputRejected on unreadable inputs."""
    wanted = [SampleRequest(prompt=r) if isinstance(r, str) else r for r in requests]
    return [plan_job(request, place, config, run.card, run.codec, read) for place, request in enumerate(wanted)]


def denoised(run: Run, jobs: list[Job], config: SampleConfig) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the place and the latent (C, T, H, W) of each job, batch by batch."""
    for places in _batches(jobs, config.batch):
        yield from zip(places, denoise(run, [jobs[place] for place in places], config), strict=True)


def write_samples(
    run: Run, jobs: list[Job], made: Iterable[tuple[int, np.ndarray]], out_dir: Path, config: SampleConfig,
    on_sample: OnSample | None = None, sheet: Sheet | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Decode and write what was made of the jobs; returns the lines of prompts.jsonl, in the order asked.

    `out_dir` is replaced as a whole; a `sheet` of the samples is written with them.
    """
    with _replacing(out_dir) as work:
        lines: dict[int, dict[str, Any]] = {}
        for place, latent_CTHW in made:
            frames = to_frames(run.codec.decode(latent_CTHW[None])[0])
            lines[place] = _write(work, place, len(jobs), jobs[place], frames, run, config)
            if sheet is not None:
                sheet.add(place, jobs[place].request.prompt, frames)
            if on_sample is not None:
                on_sample(lines[place])
        ordered = [lines[place] for place in range(len(jobs))]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in ordered)
        with storing(work / "prompts.jsonl"):
            (work / "prompts.jsonl").write_text(text, encoding="utf-8")
        if sheet is not None:
            sheet.write(work / SHEET, _card(run, ordered, config))
    return ordered


@contextmanager
def _replacing(out_dir: Path) -> Iterator[Path]:
    """Give a folder to write into that takes the place of `out_dir` as a whole at the end, or not at all.

    A clip must never stand beside the prompt of another run. A folder that holds other things is refused.
    """
    others = [path.name for path in out_dir.glob("*") if not _OURS.fullmatch(path.name)]
    if others:
        raise SpecError(f"{out_dir} would be replaced, and {others[0]} in it is no sample: choose another folder")
    work, old = out_dir.with_name(f".{out_dir.name}.tmp"), out_dir.with_name(f".{out_dir.name}.old")
    with storing(out_dir):
        for leftover in (work, old):
            shutil.rmtree(leftover, ignore_errors=True)
        work.mkdir(parents=True)
    yield work
    with storing(out_dir):
        if out_dir.exists():
            out_dir.rename(old)
        work.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)


def _batches(jobs: list[Job], size: int) -> list[list[int]]:
    """Return places of jobs of equal shape, at most `size` together, in the order asked within a shape."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, job in enumerate(jobs):
        shapes.setdefault(job.noise_CTHW.shape, []).append(place)
    return [places[i : i + size] for places in shapes.values() for i in range(0, len(places), size)]


@torch.no_grad()
def denoise(run: Run, jobs: list[Job], config: SampleConfig) -> np.ndarray:
    """Solve the flow from noise to latents, with classifier-free guidance; returns (B, C, T, H, W).

    What is known is bitwise what it was at every step, and stands at time 0. Guidance 1 is the conditional
    prediction alone, 0 the unconditional (the true empty text). All jobs must be of one shape.
    """
    device = run.device
    clean = torch.from_numpy(np.stack([job.clean_CTHW for job in jobs])).to(device)
    noise = torch.from_numpy(np.stack([job.noise_CTHW for job in jobs])).to(device)
    known_BT = torch.from_numpy(stack([job.known_T for job in jobs])).to(device)
    known = flow.over_latent(known_BT, clean)
    prompts = [job.request.prompt for job in jobs]
    shift = read_shift(run.card["config"]["shift"]) if config.shift is None else config.shift
    text, bias = _guidance_texts(run.encoder, prompts, config.guidance)
    texts = text.to(device), bias.to(device)

    def velocity(x: Tensor, now: float) -> Tensor:
        return _guided(run, x, torch.where(known_BT, 0.0, now).float(), texts, config)

    def pin(x: Tensor) -> Tensor:
        return torch.where(known, clean, x)

    tokens = clean[0, 0].numel() // math.prod(run.card["patch"])
    times = flow.solver_times(config.steps, shift_at(shift, tokens))
    x = solve(velocity, pin(noise), times, config.solver, pin, ask_at_zero=False)
    return Normaliser.from_run(run.card).inverse(x.cpu().numpy())


def _guidance_texts(encoder: TextEncoder, prompts: list[str], guidance: float) -> tuple[Tensor, Tensor]:
    """Encode the prompts, the empty text, or both (prompts first), as the guidance needs.

    They are rounded as they are on disk: bitwise the features that the model was trained on.
    """
    empty = [""] * len(prompts)
    wanted = prompts if guidance == 1 else empty if guidance == 0 else prompts + empty
    return pad_text([float32_from_bf16(bf16_from_float32(text)) for text in encoder.encode(wanted)])


def _guided(run: Run, x: Tensor, time_BT: Tensor, texts: tuple[Tensor, Tensor], config: SampleConfig) -> Tensor:
    """Return the velocity at x, conditional and unconditional passes in one batch where both are needed."""
    text, bias = texts
    copies = len(text) // len(x)
    many_x, many_time = torch.cat([x] * copies), torch.cat([time_BT] * copies)
    time_BK, *index = (part for part in flow.token_times(many_time) if part is not None)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        prediction = run.model(many_x, TIME_SCALE * time_BK, text, bias, *index)
    velocity = flow.velocity(run.card["config"]["objective"], prediction, many_x, many_time)
    if copies == 1:
        return velocity
    conditional, unconditional = velocity.chunk(2)
    return unconditional + config.guidance * (conditional - unconditional)


def to_frames(pixels_CTHW: np.ndarray) -> np.ndarray:
    """Return decoded pixels in [-1, 1] as frames (T, H, W, 3), uint8, clipped and rounded."""
    levels = np.rint((np.clip(pixels_CTHW, -1.0, 1.0) + 1.0) * 127.5)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 3, 0))


def _card(run: Run, requests: list[dict[str, Any]], config: SampleConfig) -> dict[str, Any]:
    """Return the provenance of a file; of several samples it lists the prompts, tasks and seeds."""
    asked = {key: [request[key] for request in requests] for key in ("prompt", "task", "seed")}
    said = {key: values[0] if len(requests) == 1 else values for key, values in asked.items()}
    how = config.model_dump(mode="json", include={"steps", "guidance", "solver", "shift"})
    return sample_card(run.card, run.model_sha256, {**said, **how})


def _write(
    out_dir: Path, place: int, count: int, job: Job, frames: np.ndarray, run: Run, config: SampleConfig
) -> dict[str, Any]:
    """Write one clip (an image when it has one frame); returns its line."""
    request = {"prompt": job.request.prompt, "task": job.request.task, "seed": job.seed}
    card = _card(run, [request], config)
    # Three digits as promised, more when there are more than a thousand, so that names sort in the order asked.
    stem = f"{place:0{max(3, len(str(count - 1)))}d}"
    path = out_dir / (f"{stem}.png" if job.request.still else f"{stem}.mp4")
    with storing(path):
        if job.request.still:
            write_image(path, frames[0], metadata=card)
        else:
            write_mp4(path, frames, job.fps, crf=config.crf, metadata=card)
    carried = dict(job.request.model_extra or {})
    size = {"width": job.width, "height": job.height, "num_frames": job.num_frames, "fps": job.fps}
    return {**carried, "path": path.name, **request, **size}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="JSON lines, a request each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON of a SampleConfig")
    args = parser.parse_args(argv)
    try:
        config = read_config(args.config, SampleConfig)
        lines = sample(args.run, read_requests(str(args.prompts)), args.out, config)
    except RushesError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # what is written names itself; this is a run that cannot be read any more
        print(f"error: the disk refused: {error}", file=sys.stderr)
        return StorageError.exit_code
    print(json.dumps({"samples": len(lines), "out": str(args.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
