"""What each rank of test_ranks.py does: `python -m tests.trainer.ranks_child DATASET FOLDER RUN`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from curate.dataset.reader import Dataset
from curate.errors import RushesError
from tests.trainer.checkpoint_child import checkpoint_facts
from tests.trainer.test_packs import BY_TOKENS
from tests.trainer.test_train import config
from trainer.data import Group, TrainingData
from trainer.loop import Trainer
from trainer.ranks import Ranks, joined
from trainer.train import train

SETTINGS = config(**BY_TOKENS, checkpoint_every=4, keep=9, steps=12)
STOP_AT = 7


def ready(dataset: Path, ranks: Ranks) -> Trainer:
    """A trainer whose output is not zero, so that every parameter has a gradient."""
    trainer = Trainer(TrainingData(Dataset(dataset), SETTINGS), SETTINGS, "fp32", ranks)
    torch.manual_seed(1)
    with torch.no_grad():
        dict(zip(trainer.names, trainer.params, strict=True))["dit.proj_out.weight"].normal_()
    return trainer


def gradients(trainer: Trainer, step: int, groups: list[Group]) -> dict[str, torch.Tensor]:
    """The clipped gradients of a step, by name; what no clip used is not there."""
    for param in trainer.params:
        param.grad = None
    trainer.gradients(step, groups)
    return {name: p.grad.clone() for name, p in zip(trainer.names, trainer.params, strict=True) if p.grad is not None}


def main(dataset: Path, folder: Path, run: Path) -> None:
    """Leave FOLDER/RANK.json and gradients; take the run in RUN on from where it is, until rank 1 gets a SIGTERM."""
    with joined() as ranks:
        torch.set_num_threads(1)
        trainer = ready(dataset, ranks)
        save_file(gradients(trainer, 2, trainer.made(2)), folder / f"shared-{ranks.rank}.safetensors")
        # All packs on the first rank, none on the second.
        all_or_none = trainer.data.step(2) if ranks.first else []
        save_file(gradients(trainer, 2, all_or_none), folder / f"uneven-{ranks.rank}.safetensors")
        facts: dict = {"losses": [trainer.step(step)["loss"] for step in range(3)]}
        facts["weights"] = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in trainer.params)).hexdigest()
        facts["noise"] = {clip: hashlib.sha256(group.noise_BCTHW[at].numpy().tobytes()).hexdigest()
                          for group in trainer.made(3) for at, clip in enumerate(group.clip_ids)}  # fmt: skip
        facts["checkpoints"] = checkpoint_facts(ranks, folder / "tensors")
        pids = [int(pid) for (pid,) in ranks.gather([os.getpid()])]

        def stop(record: dict) -> None:
            if record["step"] == STOP_AT:
                os.kill(pids[1], signal.SIGTERM)

        result = train(dataset, run, SETTINGS, on_step=stop, ranks=ranks)
        facts |= {"stopped_by": result.stopped_by, "steps": result.steps}
        if not ranks.first:
            with torch.no_grad():
                trainer.params[0].fill_(float("nan"))
        try:
            trainer.step(3)
        except RushesError as error:
            facts["error"] = str(error)
        (folder / f"{ranks.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
