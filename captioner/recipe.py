"""The recipe of a captioner's fine-tuning, a YAML file of its own (DALL-E 3, 2.1.1: one for short, one for dense)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from curate.errors import SpecError
from curate.spec_base import Model


class Lora(Model):
    """A low-rank adapter (Hu et al. 2021). targets: names of the layers that get one; None for all linear ones."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] | None = ("q_proj", "k_proj", "v_proj", "o_proj")


class Recipe(Model):
    """One fine-tune of one kind of caption.

    base: folder or downloaded name of the model. run: output folder of the run whose clips are labelled. data: Parquet,
    CSV or JSONL with `clip`, `kind` and `caption`; rows of other kinds are left aside. prompt: what is asked, as it
    will be when the captioner is used. method: `lora` saves an adapter, `full` a model. optimizer: `muon` is for models
    that learn from nothing; it moves the matrices, at the size of AdamW's steps, and AdamW the rest. held_out: share of
    the clips that is only looked at. output: a folder that is not there yet.
    """

    base: str
    run: str
    data: str
    kind: Literal["short", "dense"]
    output: str
    prompt: str | None = None
    method: Literal["lora", "full"] = "lora"
    lora: Lora = Lora()
    steps: int = Field(default=500, ge=1)
    batch: int = Field(default=16, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    held_out: float = Field(default=0.05, ge=0, lt=1)
    max_frames: int = Field(default=16, ge=1)
    frames: str = "auto"
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    log_every: int = Field(default=10, ge=1)


def load_recipe(path: Path) -> Recipe:
    """The recipe in a file. SpecError where it is none."""
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc'])) or path}: {e['msg']}" for e in error.errors())
        raise SpecError(f"{path}: {lines}") from error
