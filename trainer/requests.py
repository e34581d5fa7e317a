"""What a sampling run can be told: the `sample:` section of the spec, and the requests for clips. No torch here."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from curate.errors import SpecError, first_fault
from trainer.sizes import Frozen, Positive, Shift

# A request's key this like a known one (difflib's ratio) is taken for a slip of the keyboard.
_NEAR_MISS = 0.8
# The keys of a request that name a file.
FILES = ("image", "last_image", "video", "mask")
# What a task is made from: exactly one of each group. Other files say nothing to it.
_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "t2v": (),
    "i2v": (("image", "video"),),
    "first_last": (("image",), ("last_image",)),
    "loop": (("image", "video"),),
    "extend": (("video",),),
    "infill": (("video",),),
    "inpaint": (("image", "video"), ("mask",)),
    "image": (),
}
_OPTIONS = {"given_frames": ("extend", "infill"), "given_last": ("infill",), "direction": ("extend",)}


class SampleRequest(BaseModel):
    """One clip to make. What is None comes from SampleConfig, then from the run's own data.

    Other keys are carried over to prompts.jsonl, except those that would be taken for a setting: SampleConfig's own,
    which hold for all clips, and near misses of the keys below.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), allow_inf_nan=False)

    prompt: str
    task: Literal["t2v", "i2v", "first_last", "loop", "extend", "infill", "inpaint", "image"] = "t2v"
    seed: Annotated[int, Field(ge=0)] | None = None
    width: Positive | None = None
    height: Positive | None = None
    frames: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    image: str | None = None  # i2v, first_last, loop: the first frame; inpaint: what is painted into
    last_image: str | None = None  # first_last: the last frame
    video: str | None = None  # i2v, loop: its first frame; extend: its first `given_frames`; infill, inpaint: all of it
    mask: str | None = None  # inpaint: an image, white where something new is made
    given_frames: Positive | None = None  # extend, infill
    given_last: Positive | None = None  # infill: the frames at the end that stay
    direction: Literal["forward", "backward"] | None = None  # extend: what is given comes first, or last

    @property
    def still(self) -> bool:
        """Whether it makes an image, not a video."""
        return self.task == "image" or (self.task == "inpaint" and self.image is not None)

    @model_validator(mode="after")
    def _inputs(self) -> SampleRequest:
        needs = _NEEDS[self.task]
        takers = {name: tuple(t for t, groups in _NEEDS.items() if any(name in g for g in groups)) for name in FILES}
        for name, tasks in (takers | _OPTIONS).items():
            if getattr(self, name) is not None and self.task not in tasks:
                raise ValueError(
                    f"`{name}` says nothing to {self.task}, which takes no `{name}`: it is for {', '.join(tasks)}"
                )
        for group in needs:
            if sum(getattr(self, name) is not None for name in group) != 1:
                names = " or ".join(f"`{name}`" for name in group)
                raise ValueError(f"{self.task} needs {names}{', and not both' if len(group) > 1 else ''}")
        if self.still and (self.frames or self.seconds):
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


class SampleConfig(Frozen):
    """How clips are made. `prompts`: texts and requests, or the path of a JSONL file with one request a line."""

    prompts: list[str | SampleRequest] | str = []
    steps: Positive = 24
    guidance: Annotated[float, Field(ge=0)] = 3.0
    solver: Literal["euler", "heun", "midpoint", "dpm++", "unipc"] = "euler"  # heun, midpoint: two passes a step
    shift: Shift | None = None  # None: the training run's
    seed: Annotated[int, Field(ge=0)] = 0
    width: Positive | None = None
    height: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    batch: Positive = 32
    crf: Annotated[int, Field(ge=0, le=51)] = 12
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Annotated[int, Field(ge=0)] = 0

    @field_validator("prompts", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Read each request by itself, so that what is said is what is wrong with it."""
        return [_request(item, place) for place, item in enumerate(value)] if isinstance(value, list) else value


def _request(value: Any, place: int) -> Any:
    if isinstance(value, dict):
        try:
            return SampleRequest.model_validate(value)
        except ValidationError as error:
            raise ValueError(f"{place}: {first_error(error)}") from error
    if not isinstance(value, str | SampleRequest):
        raise ValueError(f"{place}: a text or a request with a `prompt`, got {value!r}")
    return value


class SamplesConfig(SampleConfig):
    """Samples of the averaged weights that a training run makes as it goes, every so many steps and at its end.

    Keys and defaults are those of SampleConfig, but for `threads`: the run's are used. Ranks that share out a model in
    bf16 (`sharding: full`) make its samples in bf16, too.
    """

    every: Positive

    @model_validator(mode="after")
    def _some(self) -> SamplesConfig:
        if self.prompts in ([], ""):
            raise ValueError("samples: `prompts` is empty: say what to make")
        if self.threads:
            raise ValueError("samples: they are made with the run's own `train: threads`")
        return self


def read_requests(
    prompts: list[str | SampleRequest] | str, base: Path | None = None, key: str = "sample"
) -> list[SampleRequest]:
    """Return the requests of `SampleConfig.prompts`; a file's inputs are relative to it, inline ones to `base`.

    `key` is where the spec has them. Raises SpecError that names the file and the line, or the input that is not there.
    """
    if not isinstance(prompts, str):
        requests = [SampleRequest(prompt=p) if isinstance(p, str) else p for p in prompts]
        return [_resolved(request, base, f"{key}.prompts.{place}") for place, request in enumerate(requests)]
    path = Path(prompts) if base is None else base / prompts
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{key}.prompts: cannot read {path}: {error}") from error
    requests = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = SampleRequest.model_validate(json.loads(line))
        except (ValueError, ValidationError) as error:
            raise SpecError(f"{path}:{number}: {first_error(error)}") from error
        requests.append(_resolved(request, path.parent, f"{path}:{number}"))
    return requests


def _resolved(request: SampleRequest, base: Path | None, where: str) -> SampleRequest:
    """Make the paths of the inputs relative to `base`, and look that files are there before anything is made."""
    update: dict[str, Any] = {}
    for name in FILES:
        value = getattr(request, name)
        if value is None:
            continue
        path = Path(value) if base is None else base / value
        if not path.is_file():
            raise SpecError(f"{where}: {name}: there is no file {path}")
        update[name] = str(path)
    return request.model_copy(update=update)


def first_error(error: Exception) -> str:
    """Say what is wrong with a value that pydantic or json refused, in one line."""
    if isinstance(error, ValidationError):
        place, message = first_fault(error)
        where = ".".join(map(str, place))
        return f"{where + ': ' if where else ''}{message}"
    return f"not a JSON object ({error})"
