"""What a person sees of a run while it trains, beside log and validation: samples, and TensorBoard.

    OUT/samples/step-00000500/   what sample.py writes, and sheet.png: prompts as rows, frames as columns
    OUT/tensorboard/             the log, the validations and the sheets, as TensorBoard reads them (board.py)

Neither changes a number of the run. Samples are of the averaged weights. Every rank makes all of the model's passes,
as a sharded model needs; the first one alone decodes and writes.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from curate.codecs import Alive, TextEncoder
from trainer.board import Board
from trainer.config import SamplesConfig, read_requests
from trainer.durable import storing
from trainer.exported import weights_digest
from trainer.loop import Trainer
from trainer.sample import SHEET, Run, denoised, plan_jobs, write_samples
from trainer.sheet import Sheet

_STEP = re.compile(r"step-(\d{8,})")


class Watch:
    """Samples and TensorBoard of a run, those that its config asks for. A context manager."""

    def __init__(self, trainer: Trainer, out_dir: Path, card: dict[str, Any]) -> None:
        config, first = trainer.config, trainer.ranks.first
        self.samples = Samples(trainer, config.samples, out_dir, card) if config.samples is not None else None
        self.board = Board(out_dir / "tensorboard", trainer.done) if config.tensorboard and first else None

    def after(self, step: int, logged: dict[str, Any] | None, validated: dict[str, Any] | None, last: bool) -> None:
        """Show a step (from 1): its log record and its validation, where there are any, and its samples, if due."""
        sheet = None
        if self.samples is not None and (step % self.samples.config.every == 0 or last):
            sheet = self.samples.make(step)
        if self.board is not None:
            self.board.add(step, logged, validated, sheet)

    def flush(self) -> None:
        """Make what was shown durable: a checkpoint says that its steps are not taken again."""
        if self.board is not None:
            self.board.flush()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.board is not None:
            self.board.close()


class Samples:
    """The same clips again and again: requests, seeds and texts are fixed before the first step.

    Raises SpecError on a request that cannot be, or when the codec or text encoder is not the data's; InputRejected on
    unreadable inputs.
    """

    def __init__(self, trainer: Trainer, config: SamplesConfig, out_dir: Path, card: dict[str, Any]) -> None:
        if trainer.sharded and trainer.precision == "bf16":  # its blocks are gathered in bf16, and take nothing else
            config = config.model_copy(update={"precision": "bf16"})
        self.trainer, self.config, self.out_dir = trainer, config, out_dir / "samples"
        run = Run.of(card, trainer.model, "", str(out_dir))
        self.jobs = plan_jobs(run, read_requests(config.prompts, key="train.samples"), config)
        # The encoder may be larger than the model, and is asked once.
        self.run = replace(run, encoder=_Encoded(run.encoder, ["", *(job.request.prompt for job in self.jobs)]))
        if trainer.ranks.first:
            self._forget_after(trainer.done)

    def make(self, step: int) -> Path | None:
        """Make the samples of a step; returns the sheet's path on the first rank."""
        first = self.trainer.ranks.first
        folder = self.out_dir / f"step-{step:08d}"
        with self.trainer.averaged_weights() as model:
            sha256 = weights_digest(model, wanted=first)
            run = replace(self.run, card={**self.run.card, "trained_steps": step}, model_sha256=sha256)
            made = denoised(run, self.jobs, self.config)
            if first:
                write_samples(run, self.jobs, made, folder, self.config, sheet=Sheet())
            else:
                for _ in made:
                    pass
        return folder / SHEET if first else None

    def _forget_after(self, done: int) -> None:
        """Remove the samples of steps that are taken again."""
        for folder in self.out_dir.glob("step-*"):
            match = _STEP.fullmatch(folder.name)
            if match is not None and int(match[1]) > done:
                with storing(folder):
                    shutil.rmtree(folder)


class _Encoded:
    """A text encoder that has encoded all that it will be asked."""

    aside: ClassVar[tuple[str, ...]] = ()

    def __init__(self, encoder: TextEncoder, texts: list[str]) -> None:
        self.fingerprint = encoder.fingerprint
        wanted = sorted(set(texts))
        self._features = dict(zip(wanted, encoder.encode(wanted), strict=True))

    def encode(self, texts: list[str], alive: Alive | None = None) -> list[np.ndarray]:
        """Return the features of texts, each (words, features)."""
        return [self._features[text] for text in texts]
