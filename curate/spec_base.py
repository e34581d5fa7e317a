"""What the models of the spec are made of: frozen, no unknown keys, no NaN; parameters are plain JSON values."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from curate.errors import known_keys


def no_switch(value: Any) -> Any:
    """Refuse true and false where parameters stand: `export: false` would read as a switch, and is none."""
    if isinstance(value, bool):
        said = str(value).lower()
        raise ValueError(f"`{said}` says nothing here: leave the key out, or give it `{{}}` for its defaults")
    return value


def plain(value: Any, where: str = "") -> Any:
    """Refuse what no parameter can be: keys and digests are made of JSON, which has no NaN, infinity or date."""
    prefix = f"{where}: " if where else ""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{prefix}must be a finite number, got {value}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{prefix}the key {key!r} must be a text; put it in quotes")
            plain(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            plain(item, f"{where}.{number}".lstrip("."))
    elif not (value is None or isinstance(value, str | int | float | BaseModel)):
        raise ValueError(f"{prefix}{value!r} is not a value that a spec can hold; put it in quotes to make it a text")
    return value


Params = Annotated[dict[str, Any], BeforeValidator(no_switch), AfterValidator(plain)]


class Model(BaseModel):
    """Base of all spec models: frozen, and an unknown key names its neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)
    open_keys: ClassVar[bool] = False  # True where other keys are the parameters of a named class

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if value is None:
            return {}
        no_switch(value)
        return value if cls.open_keys else known_keys(cls, value)


class OpenModel(Model):
    """A model whose unknown keys are parameters for the class that it names."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, allow_inf_nan=False)
    open_keys: ClassVar[bool] = True

    @property
    def params(self) -> dict[str, Any]:
        """The keys that are not the model's own."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _plain_params(self) -> OpenModel:
        plain(self.params)
        return self


def named(value: Any) -> Any:
    """`[motion, {sharpness: {...}}]` as `{motion: {}, sharpness: {...}}`; null is `{}`, that is, the defaults."""
    if isinstance(value, list):
        out: dict[str, Any] = {}
        for item in value:
            pair = {item: {}} if isinstance(item, str) else item
            if not isinstance(pair, dict) or len(pair) != 1:
                raise ValueError(f"expected a name or one `name: parameters`, got {item!r}")
            name, params = next(iter(pair.items()))
            if name in out:
                raise ValueError(f"{name!r} stands twice")
            out[name] = params
        value = out
    if not isinstance(value, dict):
        return no_switch(value)
    return {name: {} if params is None else params for name, params in value.items()}
