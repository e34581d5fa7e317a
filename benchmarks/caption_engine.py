"""What the caption stage costs beside the model itself (c): its wall over that of bare `model.generate`.

    python -m benchmarks.caption_engine [--clips 384] [--rounds 3] [--json]

A run with the captioner `vlm`, a small Qwen2.5-VL and one local worker; then a process that calls `generate` on the
same batches, prepared beforehand, with as many threads. Both walls begin when the first shard of clips is done, so that
neither start-up nor the first call is in them; the ratio is the median of rounds, taken in turns. The machine must be
otherwise idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.result import show
from benchmarks.tiny_vlms import qwen
from worlds.shapes import Shapes

BATCH, WORDS = 8, 96
SHOTS = 8


def spec(folder: Path, out: Path) -> dict[str, Any]:
    """A run of captions alone."""
    caption = {
        "with": "vlm", "model": str(folder / "model"), "kinds": ["short"], "prompts": {"short": "short_plain"},
        "batch": BATCH, "max_new_tokens": WORDS, "ask_again": 0, "threads": 1,
    }  # fmt: skip
    return {
        "name": "caption-engine", "output": str(out), "sources": [{"path": str(folder / "footage/manifest.jsonl")}],
        "engine": {"workers": 1}, "stages": [{"split": {"detector": "fixed", "max_s": 2.0}}, {"caption": caption}],
    }  # fmt: skip


def stage(folder: Path, out: Path) -> tuple[float, int]:
    """Seconds from the first shard of captions to the last, and the clips described in them."""
    from curate.run import Run
    from curate.spec import Spec

    marks: list[tuple[float, int]] = []

    def note(step: str, done: int, total: int) -> None:
        if step == "caption" and done:
            marks.append((time.perf_counter(), done))

    Run(Spec.model_validate(spec(folder, out)), note).go("caption")
    return marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]


def bare(folder: Path, out: Path) -> tuple[float, int]:
    """Seconds of `generate` alone on the batches of all shards but the first, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.caption_engine", "--bare", str(folder), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, clips = json.loads(done.stdout.splitlines()[-1])
    return seconds, clips


def generate_alone(folder: Path, out: Path) -> tuple[float, int]:
    """The same batches as the stage has made in `out`, and nothing but the model."""
    import torch
    from transformers import GenerationConfig

    from captioner.vlm import _batches
    from curate.captioning import Ask
    from curate.run import Run
    from curate.spec import Spec
    from curate.stages.caption import CaptionWork
    from curate.worklist import clip_rows, shards

    raw = spec(folder, out)
    raw["stages"][1]["caption"]["max_new_tokens"] = WORDS + 1  # another key: every clip is to be described again
    run = Run(Spec.model_validate(raw))
    rows = clip_rows(run.plan, run.store, run.ledger(), ["caption"])
    cut = shards(rows, max(run.spec.engine.shard_rows, run.plan.captioner.batch_rows), 1)
    captioner = run.plan.captioner
    model = captioner._model("short", lambda: None)
    settings = GenerationConfig(
        max_new_tokens=WORDS, do_sample=False, num_beams=1, pad_token_id=model.processor.tokenizer.pad_token_id,
        eos_token_id=model.model.generation_config.eos_token_id,
    )  # fmt: skip
    work, seconds, clips = CaptionWork(run.plan, run.store), 0.0, 0
    for number, shard in enumerate(cut):
        asks: list[Ask] = []
        work.captioner = _Recorder(captioner, asks)
        with suppress(RuntimeError):  # the recorder answers nothing
            list(work.run(list(shard), lambda: None))
        prepared = [model.prepare(batch) for batch in _batches(asks, BATCH)]
        begun = time.perf_counter()
        with torch.inference_mode():
            for inputs in prepared:
                model.model.generate(**inputs, generation_config=settings)
        if number:
            seconds, clips = seconds + time.perf_counter() - begun, clips + len(asks)
    return seconds, clips


class _Recorder:
    """A captioner that notes what it is asked."""

    def __init__(self, captioner: Any, asks: list[Any]) -> None:
        self._captioner, self._asks = captioner, asks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._captioner, name)

    def describe(self, asks: list[Any], alive: Any) -> Any:
        """Note, and answer nothing."""
        self._asks += asks
        return iter(())


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.bare:
        print(json.dumps(generate_alone(*args.bare)))
        return
    rounds = []
    with tempfile.TemporaryDirectory(prefix="rushes-engine-") as scratch:
        folder = Path(scratch)
        Shapes(files=args.clips // SHOTS, size=(64, 64), shots_per_file=(SHOTS, SHOTS), damaged=0).write(
            folder / "footage", 1
        )
        qwen(folder / "model", width=512, layers=4)
        for number in range(args.rounds):
            out = folder / f"out-{number}"
            (ours_s, ours), (bare_s, theirs) = stage(folder, out), bare(folder, out)
            assert ours == theirs, (ours, theirs)
            rounds.append({"stage_s": round(ours_s, 2), "generate_s": round(bare_s, 2), "clips": ours,
                           "ratio": round(ours_s / bare_s, 4)})  # fmt: skip
            print(rounds[-1], file=sys.stderr)
    ratio = statistics.median(line["ratio"] for line in rounds)
    show("caption_engine", ratio, "wall of the caption stage / wall of bare generate", "<= 1.10", rounds=rounds)


if __name__ == "__main__":
    main()
