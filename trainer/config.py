"""What a training run and a sampling run can be told: the `train:` and `sample:` sections of the spec.

No torch here: the spec is read long before a model is built. Where and how a run is scheduled is not in here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from curate.errors import SpecError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
VERSION = 5  # part of the key of a training run: raise it when the same config and data give another model
REFINER_HEADS = 4  # of the text refiner (refiner.py); its width is shared out among them
# A request's key this like a known one (difflib's ratio) is taken for a slip of the keyboard.
_NEAR_MISS = 0.8
# What does not change the numbers of a run, and may differ when it goes on.
SCHEDULING = frozenset(
    {"threads", "checkpoint_every", "keep", "log_every", "eval_every", "allow_unscreened", "allow_uncalibrated",
     "require_policy"}
)  # fmt: skip
TaskName = Literal["t2v", "i2v", "extend", "infill"]
CaptionKind = Literal["short", "dense", "original"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


_Config = TypeVar("_Config", bound=_Frozen)


class ModelConfig(_Frozen):
    """Dimensions of the transformer; width is heads * head_dim. `patch` is (time, height, width) in latents.

    With the velocity objective a token carries its patch's noise through the whole depth, so the width should exceed
    channels * patch numbers. That is an argument, not an ablation.
    """

    layers: Positive = 4
    heads: Positive = 6
    head_dim: Annotated[int, Field(ge=6, multiple_of=2)] = 32
    ffn_dim: Positive = 768
    patch: tuple[Positive, Positive, Positive] = (1, 2, 2)
    coordinates: bool = True  # input channels that say where in the clip a token lies (grid.py)
    refiner_layers: Annotated[int, Field(ge=0)] = 1
    refiner_dim: Annotated[int, Field(gt=0, multiple_of=REFINER_HEADS)] = 128

    @field_validator("patch")
    @classmethod
    def _one_latent_frame(cls, patch: tuple[int, int, int]) -> tuple[int, int, int]:
        if patch[0] != 1:
            raise ValueError(
                f"a patch of {patch[0]} latent frames cannot be trained: known frames and times are per latent frame,"
                " so the first number must be 1"
            )
        return patch

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.heads * self.head_dim


# Named sizes. xs is for a CPU and minutes; s and b follow DiT-S and DiT-B; 1.3b is Wan2.1's small one,
# whose input has no coordinates.
MODELS: dict[str, ModelConfig] = {
    "dit-xs": ModelConfig(),
    "dit-s": ModelConfig(layers=12, heads=6, head_dim=64, ffn_dim=1536, refiner_layers=2, refiner_dim=256),
    "dit-b": ModelConfig(layers=12, heads=12, head_dim=64, ffn_dim=3072, refiner_layers=2, refiner_dim=512),
    "dit-l": ModelConfig(layers=24, heads=16, head_dim=64, ffn_dim=4096, refiner_layers=2, refiner_dim=512),
    "dit-1.3b": ModelConfig(
        layers=30, heads=12, head_dim=128, ffn_dim=8960, coordinates=False, refiner_layers=2, refiner_dim=1024
    ),
}


class StageConfig(_Frozen):
    """A part of the training: for `steps` steps, of the clips of these tiers, with these tasks and sources.

    A tier is a shorter side in pixels that the dataset has; none named is all. None is the run's own.
    """

    steps: Positive
    tiers: list[Positive] = []
    tasks: dict[TaskName, Weight] | None = None
    mixture: dict[str, Weight] | None = None

    @model_validator(mode="after")
    def _sums(self) -> StageConfig:
        _some_weight(tasks=self.tasks or {"t2v": 1}, mixture=self.mixture or {"any": 1})
        return self


class TrainConfig(_Frozen):
    """A training run. Two runs with equal configs and equal datasets are the same run, wherever they stop."""

    model: Literal["dit-xs", "dit-s", "dit-b", "dit-l", "dit-1.3b"] | ModelConfig = "dit-xs"
    steps: Positive = 1000
    batch: Positive | None = 64  # clips a step; none with tokens_per_pack
    packs_per_step: Positive = 1  # what ranks take, round robin
    tokens_per_pack: Positive | None = None
    optimizer: Literal["muon", "adamw"] = "muon"  # muon: for the matrices; the rest is always adamw's
    lr: Annotated[float, Field(gt=0)] = 2e-3
    warmup: Annotated[int, Field(ge=0)] = 100
    decay: Share = 0.3  # the last share of the steps over which the rate falls linearly to zero
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    ema: Share = 0.999
    text_dropout: Share = 0.1
    captions: dict[CaptionKind, Weight] = {"short": 0.475, "dense": 0.475, "original": 0.05}
    tasks: dict[TaskName, Weight] = {"t2v": 0.6, "i2v": 0.2, "extend": 0.1, "infill": 0.1}
    mixture: dict[str, Weight] = {}  # share of the draws by origin or source_class
    max_synthetic: Share = 1.0
    stages: list[StageConfig] = []
    independent_times: Share = 0.2  # share of the clips whose latent frames each draw their own time
    objective: Literal["velocity", "x0"] = "velocity"
    time_mean: float = 0.0  # of the logit-normal times
    time_std: Annotated[float, Field(gt=0)] = 1.0
    shift: Annotated[float, Field(gt=0)] = 3.0  # of the times towards noise; chosen, not ablated
    whiten: Share = 0.5  # latents are divided by std ** whiten: 1 gives every channel unit variance, 0 keeps energies
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpoint_every: Positive = 500
    keep: Positive = 2
    log_every: Positive = 1
    eval_every: Annotated[int, Field(ge=0)] = 0
    eval_clips: Annotated[int, Field(ge=0)] = 0  # held out of training
    threads: Annotated[int, Field(ge=0)] = 0  # 0: what torch finds
    # Of latents and texts in memory. The clips of a larger dataset are shuffled in runs of neighbours.
    cache_mib: Positive = 1024
    seed: Annotated[int, Field(ge=0)] = 0
    allow_unscreened: list[str] = []
    allow_uncalibrated: list[str] = []
    require_policy: str | None = None  # of the data: its name, NAME/PROFILE, or the beginning of its sha256

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
        total = sum(stage.steps for stage in self.stages)
        if self.stages and total != self.steps:
            raise ValueError(f"the steps of the stages add up to {total}, and steps is {self.steps}")
        return self

    @property
    def dims(self) -> ModelConfig:
        """The model's dimensions, named or given."""
        return MODELS[self.model] if isinstance(self.model, str) else self.model


class SampleRequest(BaseModel):
    """One clip to make. What is None comes from SampleConfig, then from the run's own data.

    Other keys are carried over to prompts.jsonl, except those that would be taken for a setting: SampleConfig's own,
    which hold for all clips, and near misses of the keys below.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), allow_inf_nan=False)

    prompt: str
    task: Literal["t2v", "i2v", "extend", "image"] = "t2v"
    seed: Annotated[int, Field(ge=0)] | None = None
    width: Positive | None = None
    height: Positive | None = None
    frames: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    image: str | None = None  # i2v: an image, the first frame
    video: str | None = None  # i2v: its first frame; extend: its first `given_frames` frames
    given_frames: Positive | None = None

    @model_validator(mode="after")
    def _inputs(self) -> SampleRequest:
        if self.task == "i2v" and (self.image is None) == (self.video is None):
            raise ValueError("i2v needs `image` or `video`, and not both")
        if self.task == "extend" and (self.video is None or self.image is not None):
            raise ValueError("extend needs `video`, and takes no `image`")
        for name, tasks in (("image", ("i2v",)), ("video", ("i2v", "extend")), ("given_frames", ("extend",))):
            if getattr(self, name) is not None and self.task not in tasks:
                raise ValueError(f"`{name}` says nothing to {self.task}: it is for `task: {' or '.join(tasks)}`")
        if self.task == "image" and (self.frames or self.seconds):
            raise ValueError("an image has no `frames` or `seconds`")
        if self.frames is not None and self.seconds is not None:
            raise ValueError("give `frames` or `seconds`, not both")
        return self

    @model_validator(mode="after")
    def _carried(self) -> SampleRequest:
        for key in self.model_extra or {}:
            if key in SampleConfig.model_fields:
                raise ValueError(f"`{key}` holds for all samples: write it under `sample:`, not in a request")
            for known in type(self).model_fields:
                # `prompt_id` is a key of its own, not a misspelt `prompt`.
                alike = SequenceMatcher(None, key, known).ratio() >= _NEAR_MISS
                if alike and not key.startswith(f"{known}_"):
                    raise ValueError(f"unknown key `{key}`: did you mean `{known}`?")
        return self


class SampleConfig(_Frozen):
    """How clips are made. `prompts`: texts and requests, or the path of a JSONL file with one request a line."""

    prompts: list[str | SampleRequest] | str = []
    steps: Positive = 24
    guidance: Annotated[float, Field(ge=0)] = 3.0
    shift: Annotated[float, Field(gt=0)] | None = None  # None: the training run's
    seed: Annotated[int, Field(ge=0)] = 0
    width: Positive | None = None
    height: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    batch: Positive = 32
    crf: Annotated[int, Field(ge=0, le=51)] = 12
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Annotated[int, Field(ge=0)] = 0


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
        raise SpecError(f"{path}: {_first_error(error)}") from error


def read_requests(prompts: list[str | SampleRequest] | str, base: Path | None = None) -> list[SampleRequest]:
    """Return the requests of `SampleConfig.prompts`; a file's inputs are relative to it, inline ones to `base`.

    Raises SpecError that names the file and the line, or the input that is not there.
    """
    if not isinstance(prompts, str):
        requests = [SampleRequest(prompt=p) if isinstance(p, str) else p for p in prompts]
        return [_resolved(request, base, f"sample.prompts.{place}") for place, request in enumerate(requests)]
    path = Path(prompts) if base is None else base / prompts
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"sample.prompts: cannot read {path}: {error}") from error
    requests = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = SampleRequest.model_validate(json.loads(line))
        except (ValueError, ValidationError) as error:
            raise SpecError(f"{path}:{number}: {_first_error(error)}") from error
        requests.append(_resolved(request, path.parent, f"{path}:{number}"))
    return requests


def _resolved(request: SampleRequest, base: Path | None, where: str) -> SampleRequest:
    """Make the paths of the inputs relative to `base`, and look that files are there before anything is made."""
    update: dict[str, Any] = {}
    for name in ("image", "video"):
        value = getattr(request, name)
        if value is None:
            continue
        path = Path(value) if base is None else base / value
        if not path.is_file():
            raise SpecError(f"{where}: {name}: there is no file {path}")
        update[name] = str(path)
    return request.model_copy(update=update)


def _first_error(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where + ': ' if where else ''}{first['msg']}"
    return f"not a JSON object ({error})"
