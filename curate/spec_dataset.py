"""What the spec says of texts, and of the dataset that is exported."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator

from curate.spec_base import Model, OpenModel


def listed(value: Any) -> Any:
    """One of a kind as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


class Text(OpenModel):
    """A text encoder. `name` tells several apart, the encoder's own where none is said. Other keys are parameters."""

    encoder: str = "hashed"
    name: str | None = Field(default=None, pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")  # of folders, too

    @property
    def label(self) -> str:
        """What this encoder is called in the run and in the dataset."""
        return self.name or self.encoder


class About(Model):
    """What only a person can say of a dataset, for its README.md and croissant.json; what is not said is not there.

    license: of the whole; without it those of the clips are listed. published: a date, 2026-01-31. version: 1.2.3.
    """

    title: str | None = None
    description: str | None = None
    license: str | None = None
    organization: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    published: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$")
    version: str | None = Field(default=None, pattern=r"^\d+\.\d+\.\d+$")
    citation: str | None = None

    @field_validator("published", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # YAML makes a date of 2026-01-31


class Export(Model):
    """Shape of the exported dataset. clips: `mp4` puts every kept clip beside its latents as a file of its own.

    Files and row groups end at so many rows, or at so many MiB of texts and bytes, whatever comes first.
    """

    clips: Literal["none", "mp4"] = "none"
    shard_rows: int = Field(default=4096, ge=1)
    shard_mib: int = Field(default=1024, ge=1)
    row_group_rows: int = Field(default=64, ge=1)
    row_group_mib: int = Field(default=64, ge=1)
    about: About = About()
