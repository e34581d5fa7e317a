"""What a training run can be told: the `train:` section of the spec. That of `sample:` is in requests.py.

No torch here: the spec is read long before a model is built. Where and how a run is scheduled is not in here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from curate.errors import SpecError, nearest
from trainer.requests import FILES, SampleConfig, SampleRequest, SamplesConfig, first_error, read_requests
from trainer.sizes import MODELS, Frozen, ModelConfig, ModelName, Positive, Shift, shift_at

__all__ = [
    "FILES",
    "MODELS",
    "ModelConfig",
    "SampleConfig",
    "SampleRequest",
    "SamplesConfig",
    "StageConfig",
    "TrainConfig",
    "read_config",
    "read_requests",
]

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
# Wan was trained on texts padded with zeros to this many tokens, and attends to all of them.
TEXT_PAD_TO = 512
VERSION = 6  # part of the key of a training run: raise it when the same config and data give another model
# What does not change the numbers of a run but for the order of sums, and may differ when it goes on.
SCHEDULING = frozenset(
    {"threads", "checkpoint_every", "keep", "log_every", "eval_every", "allow_unscreened", "allow_uncalibrated",
     "require_policy", "peak_tflops", "keep_every", "sharding", "activation_checkpointing", "compile", "samples",
     "tensorboard"}
)  # fmt: skip
TaskName = Literal["t2v", "i2v", "first_last", "extend", "infill", "inpaint"]
CaptionKind = Literal["short", "dense", "original"]

_Config = TypeVar("_Config", bound=Frozen)
# Draws go through names in their order, and equal configs must draw alike, in whatever order they were written.
Captions = Annotated[
    dict[CaptionKind, Weight], AfterValidator(lambda named: {k: named[k] for k in get_args(CaptionKind) if k in named})
]
Tasks = Annotated[
    dict[TaskName, Weight], AfterValidator(lambda named: {k: named[k] for k in get_args(TaskName) if k in named})
]
Mixture = Annotated[dict[str, Weight], AfterValidator(lambda named: dict(sorted(named.items())))]


class StageConfig(Frozen):
    """A part of the training: for `steps` steps, of the clips of these tiers, with these tasks and sources.

    A tier is a shorter side in pixels that the dataset has; none named is all. None is the run's own.
    """

    steps: Positive
    tiers: list[Positive] = []
    tasks: Tasks | None = None
    mixture: Mixture | None = None

    @model_validator(mode="after")
    def _sums(self) -> StageConfig:
        _some_weight(tasks=self.tasks or {"t2v": 1}, mixture=self.mixture or {"any": 1})
        return self


class TrainConfig(Frozen):
    """A training run. Two runs with equal configs and equal datasets are the same run, wherever they stop."""

    model: ModelName | ModelConfig = "dit-xs"
    init: str | None = None  # a folder with Wan's weights to start from, of the sizes that `model` says (imported.py)
    steps: Positive = 1000
    batch: Positive | None = 64  # clips a step; none with tokens_per_pack
    packs_per_step: Positive = 1  # what ranks take, round robin
    tokens_per_pack: Positive | None = None
    optimizer: Literal["muon", "adamw"] = "muon"  # muon: for the matrices; the rest is always adamw's
    lr: Annotated[float, Field(gt=0)] = 2e-3
    warmup: Annotated[int, Field(ge=0)] = 100
    schedule: Literal["wsd", "cosine", "constant"] = "wsd"  # of the rate after its warm-up
    decay: Share = 0.3  # wsd: the last share of the steps over which the rate falls linearly to zero
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    ema: Share = 0.999
    text_dropout: Share = 0.1
    captions: Captions = {"short": 0.475, "dense": 0.475, "original": 0.05}
    tasks: Tasks = {"t2v": 0.6, "i2v": 0.2, "extend": 0.1, "infill": 0.1}
    mixture: Mixture = {}  # share of the draws by origin or source_class
    max_synthetic: Share = 1.0
    stages: list[StageConfig] = []
    independent_times: Share = 0.2  # share of the clips whose latent frames each draw their own time
    objective: Literal["velocity", "x0"] = "velocity"
    times: Literal["logit_normal", "uniform", "mode"] = "logit_normal"
    time_mean: float = 0.0  # of the logit-normal times
    time_std: Annotated[float, Field(gt=0)] = 1.0
    mode_scale: Annotated[float, Field(ge=-1, le=1.75)] = 1.29  # of `times: mode`; the middle is drawn more above 0
    shift: Shift = 3.0  # of the times towards noise; chosen, not ablated
    whiten: Share = 0.5  # latents are divided by std ** whiten: 1 gives every channel unit variance, 0 keeps energies
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    # full: parameters, gradients, averages and optimizer states are shared out over the ranks (sharding.py)
    sharding: Literal["none", "full"] = "none"
    activation_checkpointing: Literal["none", "full"] = "none"  # full: the backward pass computes every block again
    compile: bool = False  # torch.compile, block by block
    checkpoint_every: Positive = 500
    keep: Positive = 2  # the newest
    keep_every: Positive | None = None  # those of each so many steps are kept for ever
    log_every: Positive = 1
    eval_every: Annotated[int, Field(ge=0)] = 0
    eval_clips: Annotated[int, Field(ge=0)] = 0  # held out of training
    samples: SamplesConfig | None = None  # made while it trains
    tensorboard: bool = False  # the log, the validations and the samples as TensorBoard reads them, too
    threads: Annotated[int, Field(ge=0)] = 0  # 0: what torch finds
    peak_tflops: Annotated[float, Field(gt=0)] | None = None  # what `mfu` is a share of; None: measured at the start
    # Of latents and texts in memory. The clips of a larger dataset are shuffled in runs of neighbours.
    cache_mib: Positive = 1024
    seed: Annotated[int, Field(ge=0)] = 0
    text_encoder: str | None = None  # of the dataset's; None for its first
    text_pad_to: Annotated[int, Field(ge=0)] = 0  # tokens that texts are padded to as Wan's are: 512 for its weights
    allow_unscreened: list[str] = []
    allow_uncalibrated: list[str] = []
    require_policy: str | None = None  # of the data: its name, NAME/PROFILE, or the beginning of its sha256

    @field_validator("model", mode="before")
    @classmethod
    def _named_or_given(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in MODELS:
            raise ValueError(f"unknown model {value!r}; {nearest(value, list(MODELS))}")
        return ModelConfig.model_validate(value) if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _one_measure(cls, values: Any) -> Any:
        """A step is measured in clips or in tokens; `batch` has a default for one who says neither."""
        if isinstance(values, dict) and values.get("tokens_per_pack") is not None:
            if values.get("batch") is not None:
                raise ValueError("a step has `batch` clips, or packs of `tokens_per_pack` tokens: give one of the two")
            return {**values, "batch": None}
        return values

    @model_validator(mode="after")
    def _sums(self) -> TrainConfig:
        _some_weight(captions=self.captions, tasks=self.tasks, mixture=self.mixture or {"any": 1})
        if self.batch is None and self.tokens_per_pack is None:
            raise ValueError("a step needs `batch` or `tokens_per_pack`")
        if self.batch is not None and self.batch < self.packs_per_step:
            raise ValueError(
                f"a step's {self.batch} clips (`batch`) leave some of its {self.packs_per_step} packs empty, and the"
                " ranks that take them without work: at least a clip a pack"
            )
        total = sum(stage.steps for stage in self.stages)
        if self.stages and total != self.steps:
            raise ValueError(f"the steps of the stages add up to {total}, and steps is {self.steps}")
        return self

    @model_validator(mode="after")
    def _kept(self) -> TrainConfig:
        if self.keep_every is not None and self.keep_every % self.checkpoint_every:
            raise ValueError(f"keep_every {self.keep_every} is no multiple of checkpoint_every {self.checkpoint_every}")
        if self.eval_every and not self.eval_clips:
            raise ValueError("eval_every: nothing to validate on: hold clips out of training with `eval_clips`")
        return self

    @model_validator(mode="after")
    def _imported(self) -> TrainConfig:
        if self.init is not None and self.dims.coordinates:
            raise ValueError("init: Wan's input has no coordinates: `model` needs `coordinates: false`")
        return self

    @property
    def padded_to(self) -> int:
        """Tokens that texts are padded to: as was said, and as Wan's weights were trained where they are the start."""
        return TEXT_PAD_TO if self.init is not None else self.text_pad_to

    @property
    def dims(self) -> ModelConfig:
        """The model's dimensions, named or given."""
        return MODELS[self.model] if isinstance(self.model, str) else self.model

    def shift_of(self, shape_CTHW: tuple[int, ...]) -> float:
        """The shift of the times of a clip whose latent has this shape."""
        return shift_at(self.shift, self.dims.tokens(shape_CTHW))


def _some_weight(**weights: Mapping[Any, float]) -> None:
    for name, values in weights.items():
        if not sum(values.values()) > 0:
            raise ValueError(f"{name}: at least one needs a weight above 0")


def read_config(path: Path | None, kind: type[_Config]) -> _Config:
    """Read a config's JSON file; None gives the defaults. Raises SpecError that names the file."""
    if path is None:
        return kind()
    try:
        return kind.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        raise SpecError(f"{path}: {first_error(error)}") from error
