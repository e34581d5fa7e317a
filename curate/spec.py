"""The spec: one YAML file is one complete run. Frozen pydantic models; unknown keys are errors with the nearest key.

Scheduling lives under `engine:` and never enters a key. `train:` and `sample:` are validated by the trainer's own
models, which are imported only when a spec has them.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from curate.registry import nearest

SOURCE_CLASSES = (
    "public.dataset", "public.crawl", "partner.licensed", "partner.commissioned", "in_house",
    "human.trainer", "human.red_team", "human.employee",
)  # fmt: skip
REQUIRED_CATEGORIES = ("explicit", "violence", "hate")


class Model(BaseModel):
    """Base of all spec models: frozen, and an unknown key names its neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    open_keys: ClassVar[bool] = False  # True where other keys are the parameters of a named class

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, dict) and not cls.open_keys:
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in value:
                if key not in known and key not in cls.model_fields:
                    raise ValueError(f"unknown key {key!r}; {nearest(str(key), known)}")
        return value


class OpenModel(Model):
    """A model whose unknown keys are parameters for the class that it names."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)
    open_keys: ClassVar[bool] = True

    @property
    def params(self) -> dict[str, Any]:
        """The keys that are not the model's own."""
        return dict(self.model_extra or {})


class Source(Model):
    """Where footage comes from: a folder, glob, file or manifest, or a world that makes it.

    `path` wins over `generate`; generated footage lies in OUT/footage. `columns` maps our names to a
    manifest's; null leaves a column of the manifest aside.
    """

    path: str | None = None
    generate: dict[str, Any] | None = None
    source_class: str = "unknown"
    license: str = "unknown"
    origin: str = "unknown"
    acquired_at: str = "unknown"
    is_synthetic: bool | None = None
    generator: str = "unknown"
    original_caption: str | None = None
    columns: dict[str, str | None] = {}

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


class Split(OpenModel):
    """Scene detection; lengths in seconds. Other keys are the detector's parameters."""

    detector: str = "adaptive"
    min_s: float = Field(default=1.0, ge=0)
    max_s: float = Field(default=20.0, gt=0)


class Rule(Model):
    """What a column must satisfy for a clip to be kept."""

    min: float | None = None
    max: float | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not self.model_fields_set:
            raise ValueError("a rule needs one of: min, max, allow, deny")
        return self


class Screen(Model):
    """Screens per category; an empty list is written out and the receipt says `unscreened`."""

    policy: str = "default"
    profile: str = "standard"
    explicit: tuple[str, ...]
    violence: tuple[str, ...]
    hate: tuple[str, ...]


class CaptionSpec(OpenModel):
    """The captioner and the kinds that it writes. Other keys are its parameters."""

    with_: str = Field("template", alias="with")
    kinds: tuple[Literal["short", "dense"], ...] = ("short", "dense")


class Check(Model):
    """Caption checks; a clip is quarantined when every caption of it that training may use fails."""


class Latents(OpenModel):
    """The latent codec and the size that it encodes. Other keys are the codec's parameters.

    short_side: pixels of the shorter side, never enlarged. multiple: sides are cropped to a multiple of it.
    fps: frames per second, None for the source's own. max_frames: the longest clip that is encoded whole; the law
    1 + time_factor*k decides how many of the sampled frames are used.
    """

    codec: str = "dct"
    short_side: int = Field(default=256, ge=8)
    multiple: int = Field(default=16, ge=1)
    fps: float | None = Field(default=None, gt=0)
    max_frames: int = Field(default=129, ge=1)


class Text(OpenModel):
    """The text encoder. Other keys are its parameters."""

    encoder: str = "hashed"


class Encode(Model):
    """What is encoded, and how."""

    latents: Latents = Latents()
    text: Text = Text()


class Export(Model):
    """Shape of the exported dataset."""

    shard_rows: int = Field(default=4096, ge=1)
    row_group_rows: int = Field(default=64, ge=1)


def _named(value: Any) -> Any:
    """`[motion, {sharpness: {...}}]` as `{motion: {}, sharpness: {...}}`."""
    if not isinstance(value, list):
        return value
    out: dict[str, Any] = {}
    for item in value:
        pair = {item: {}} if isinstance(item, str) else item
        if not isinstance(pair, dict) or len(pair) != 1:
            raise ValueError(f"expected a name or one `name: parameters`, got {item!r}")
        name, params = next(iter(pair.items()))
        if name in out:
            raise ValueError(f"{name!r} stands twice")
        out[name] = params or {}
    return out


class Stages(Model):
    """The stages in the order in which they stand in the spec, which is the order in which they run."""

    split: Split = Split()
    score: Annotated[dict[str, dict[str, Any]], BeforeValidator(_named)] = {}
    keep: dict[str, Rule] = {}
    screen: Screen | None = None
    dedup: dict[str, Any] = {}
    caption: CaptionSpec | None = None
    check: Check | None = None
    encode: Encode | None = None
    export: Export | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, value: Any) -> Any:
        stages = _named(value)
        order = [name for name in cls.model_fields if name in stages]
        if list(stages) != order and set(stages) <= set(cls.model_fields):
            raise ValueError(f"stages run in this order: {', '.join(cls.model_fields)}; found {', '.join(stages)}")
        return stages


class Resource(Model):
    """What one worker of a stage holds on a Ray cluster."""

    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    workers: tuple[int, int] = (1, 1)


class Limits(Model):
    """What one row may take before its worker is killed."""

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


class Quarantine(Model):
    """How many quarantined rows a run may end with before its exit code is 3."""

    max_share: float = Field(default=1.0, ge=0, le=1)


class Spec(Model):
    """One run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = 0
    sources: tuple[Source, ...] = Field(min_length=1)
    output: str
    stages: Stages = Stages()
    quarantine: Quarantine = Quarantine()
    engine: Engine = Engine()
    train: Any = None
    sample: Any = None

    @field_validator("train", "sample", mode="before")
    @classmethod
    def _by_the_trainer(cls, value: Any, info: Any) -> Any:
        if value is None:
            return None
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
        if self.sample is not None and self.train is None:
            raise ValueError("`sample` needs `train`")
        return self
