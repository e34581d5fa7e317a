"""The spec: one YAML file is one complete run. Frozen pydantic models; unknown keys are errors with the nearest key.

Scheduling lives under `engine:` and never enters a key. `train:` and `sample:` are validated by the trainer's own
models, which are imported only when a spec has them.
"""

from __future__ import annotations

import importlib
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from curate.registry import nearest
from curate.spec_base import Model, OpenModel, Params, named, no_switch, plain
from curate.spec_captions import CaptionSpec as CaptionSpec
from curate.spec_captions import Check as Check
from curate.spec_captions import Match as Match
from curate.spec_dataset import About as About
from curate.spec_dataset import Export as Export
from curate.spec_dataset import Text as Text
from curate.spec_dataset import listed
from curate.spec_screen import REQUIRED_CATEGORIES as REQUIRED_CATEGORIES
from curate.spec_screen import Screen as Screen

SOURCE_CLASSES = (
    "public.dataset", "public.crawl", "partner.licensed", "partner.commissioned", "in_house",
    "human.trainer", "human.red_team", "human.employee",
)  # fmt: skip
WORKS = ("media", "caption", "check", "latent", "mp4", "text", "train")  # what a worker may be started for


class Source(Model):
    """Where footage comes from: a folder, glob, file or manifest, or a world that makes it.

    `path` wins over `generate`; generated footage lies in OUT/footage. `columns` maps our names to a
    manifest's; null leaves a column of the manifest aside. title and transcript are screened, never trained on.
    weight: how often a clip is drawn in training, loss_weight: how much its loss counts; 1 where nobody says.
    """

    path: str | None = None
    generate: Params | None = None
    source_class: str = "unknown"
    license: str = "unknown"
    origin: str = "unknown"
    acquired_at: str = "unknown"
    is_synthetic: bool | None = None
    generator: str = "unknown"
    original_caption: str | None = None
    title: str | None = None
    transcript: str | None = None
    weight: float | None = Field(default=None, ge=0)
    loss_weight: float | None = Field(default=None, ge=0)
    columns: dict[str, str | None] = {}

    @field_validator("acquired_at", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # YAML makes a date of 2024-05-01

    @field_validator("source_class")
    @classmethod
    def _known_class(cls, value: str) -> str:
        if value not in (*SOURCE_CLASSES, "unknown"):
            raise ValueError(f"unknown source_class {value!r}; {nearest(value, SOURCE_CLASSES)}")
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> Source:
        if self.path is None and self.generate is None:
            raise ValueError("a source needs `path` or `generate`")
        if self.generate is not None and "world" not in self.generate:
            raise ValueError("`generate` needs `world: NAME`")
        return self


class Media(Model):
    """How sources are read. backend: the decoder; none stands in for another."""

    backend: str = "pyav"


class Split(OpenModel):
    """Scene detection; lengths in seconds. Other keys are the detector's parameters.

    truncated: what becomes of a source whose declared end is missing by more than 5 %. `quarantine` it, or `keep` the
    scenes that are there. How much is missing is recorded either way.
    """

    detector: str = "fast"
    min_s: float = Field(default=1.0, ge=0)
    max_s: float = Field(default=20.0, gt=0)
    truncated: Literal["quarantine", "keep"] = "quarantine"


class Rule(Model):
    """What a column must satisfy for a clip to be kept."""

    min: float | None = None
    max: float | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.min is self.max is self.allow is self.deny is None:
            raise ValueError("a rule needs one of: min, max, allow, deny")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is above max ({self.min:g} > {self.max:g}): nothing could be kept")
        for name in ("allow", "deny"):
            if getattr(self, name) == ():
                raise ValueError(f"`{name}` is an empty list: name values, or leave the rule out")
        return self


TIERS = {f"{lines}p": lines for lines in (256, 480, 720, 1080)}


def _tier(value: Any) -> Any:
    """Lines of a tier that is named; numbers as they are."""
    if isinstance(value, str) and value not in TIERS:
        raise ValueError(f"a number of pixels, or one of {', '.join(TIERS)}; got {value!r}")
    return TIERS.get(value, value) if isinstance(value, str) else value


class Latents(OpenModel):
    """The latent codec and the size that it encodes. Other keys are the codec's parameters.

    short_side: pixels of the shorter side, or a tier (`480p`); a smaller clip keeps its own size. multiple: sides are
    cropped to a multiple of it; None for 16, or what codec and patches need.
    crop: `auto` cuts the bars away that the score `borders` found, where the spec has it; `none` encodes them.
    fps: frames per second, None for the source's own. max_frames: the longest clip that is encoded whole; the law
    1 + time_factor*k decides how many of the sampled frames are used.
    """

    codec: str = "dct"
    short_side: Annotated[int, BeforeValidator(_tier)] = Field(default=256, ge=8)
    multiple: int | None = Field(default=None, ge=1)
    crop: Literal["auto", "none"] = "auto"
    fps: float | None = Field(default=None, gt=0)
    max_frames: int = Field(default=129, ge=1)


class Encode(Model):
    """What is encoded, and how. `text` is one encoder or a list; the first is what is trained on by default."""

    latents: Latents = Latents()
    text: Annotated[tuple[Text, ...], BeforeValidator(listed)] = Field(default=(Text(),), min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Encode:
        labels = [text.label for text in self.text]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"text: two encoders are called {label!r}; give each a `name`")
        return self


class Stages(Model):
    """The stages in the order in which they stand in the spec, which is the order in which they run."""

    split: Split = Split()
    score: Annotated[dict[str, Params], BeforeValidator(named)] = {}
    keep: Annotated[dict[str, Rule], BeforeValidator(no_switch)] = {}
    screen: Screen | None = None
    dedup: Params = {}
    caption: CaptionSpec | None = None
    check: Check | None = None
    encode: Encode | None = None
    export: Export | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, value: Any) -> Any:
        stages = named(value)
        if not isinstance(stages, dict):
            return stages
        order = [name for name in cls.model_fields if name in stages]
        if list(stages) != order and set(stages) <= set(cls.model_fields):
            raise ValueError(f"stages run in this order: {', '.join(cls.model_fields)}; found {', '.join(stages)}")
        return stages


class Resource(Model):
    """What one worker of a stage holds on a Ray cluster; of `train` a worker is a rank (curate/launching.py).

    The local engine takes the most workers of a step from it too. serve: each caption worker starts a server of the
    model that captioner `server` names, on loopback, and ends it.
    """

    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    workers: tuple[int, int] = (1, 1)
    serve: Literal["vllm"] | None = None

    @field_validator("workers")
    @classmethod
    def _fewest_and_most(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"[fewest, most] needs 1 <= fewest <= most, got {list(value)}")
        return value


class Limits(Model):
    """What one row may take before its worker is killed; `decode_…` and `max_…` are for one file in the decoder."""

    decode_seconds: float = Field(default=60.0, gt=0)
    decode_memory_gib: float = Field(default=4.0, gt=0)
    max_pixels: int = Field(default=16384 * 8704, gt=0)
    max_frames: int = Field(default=10_000_000, gt=0)
    max_streams: int = Field(default=100, gt=0)
    stall_seconds: float = Field(default=120.0, gt=0)
    row_seconds: float = Field(default=21600.0, gt=0)
    memory_gib: float = Field(default=8.0, gt=0)
    attempts: int = Field(default=3, ge=1)


class Engine(Model):
    """Scheduling; never part of a key."""

    kind: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    shard_rows: int = Field(default=16, ge=1)
    resources: dict[str, Resource] = {}
    limits: Limits = Limits()
    dashboard: bool = False

    @property
    def worker_memory_gib(self) -> float | None:
        """What a worker's memory is limited to; nothing where workers have GPUs. Ranks of the training are no workers.

        CUDA reserves far more addresses than it uses memory: a worker with a GPU cannot be held to a number of them.
        """
        gpus = any(resource.gpus for work, resource in self.resources.items() if work != "train")
        return None if gpus else self.limits.memory_gib

    @field_validator("resources")
    @classmethod
    def _known_works(cls, value: dict[str, Resource]) -> dict[str, Resource]:
        for name, resource in value.items():
            if name not in WORKS:
                raise ValueError(f"unknown key {name!r}; {nearest(name, WORKS)}")
            if resource.serve is not None and name != "caption":
                raise ValueError(f"{name}: only `caption` can `serve` a model")
        return value


class Quarantine(Model):
    """How many quarantined rows a run may end with before its exit code is 3."""

    max_share: float = Field(default=1.0, ge=0, le=1)


class Spec(Model):
    """One run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    sources: tuple[Source, ...] = Field(min_length=1)
    output: str
    media: Media = Media()
    stages: Stages = Stages()
    quarantine: Quarantine = Quarantine()
    engine: Engine = Engine()
    train: Any = None
    sample: Any = None

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        """The run's seed is that of training and sampling too, unless these say one."""
        if not isinstance(value, dict) or value.get("seed") is None:
            return value
        seeded = {
            name: {"seed": value["seed"], **value[name]}
            for name in ("train", "sample")
            if isinstance(value.get(name), dict)
        }
        return {**value, **seeded}

    @field_validator("output")
    @classmethod
    def _local_folder(cls, value: str) -> str:
        if not value or "://" in value or "\0" in value:
            raise ValueError("must be a local folder; copy the dataset elsewhere when the run is done")
        return value

    @field_validator("train", "sample", mode="before")
    @classmethod
    def _by_the_trainer(cls, value: Any, info: Any) -> Any:
        if value is None:
            return None
        plain(value)
        module = importlib.import_module("trainer.config")  # by name: the core knows no trainer until a spec asks
        return {"train": module.TrainConfig, "sample": module.SampleConfig}[info.field_name].model_validate(value)

    @model_validator(mode="after")
    def _complete(self) -> Spec:
        order = ("caption", "encode", "export")
        for before, after in (("encode", "export"), ("caption", "check")):
            if getattr(self.stages, after) and not getattr(self.stages, before):
                raise ValueError(f"stage `{after}` needs stage `{before}`")
        if self.train is not None and not self.stages.export:
            raise ValueError(f"`train` needs the stages {', '.join(order[1:])}")
        labels = [text.label for text in self.stages.encode.text] if self.stages.encode else []
        if self.train is not None and self.train.text_encoder not in (None, *labels):
            wanted = self.train.text_encoder
            raise ValueError(f"train.text_encoder: no text encoder is called {wanted!r}; {nearest(wanted, labels)}")
        if self.sample is not None and self.train is None:
            raise ValueError("`sample` needs `train`")
        return self
