"""What a shapes world consists of: the options that a spec or the command line may set."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from worlds.shapes.vocabulary import RADII, REACH, SPEEDS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Even = Annotated[int, Field(ge=32, multiple_of=2)]  # 4:2:0 video; below 32 pixels a star has no points left

# Seconds after which even a slow large shape would leave a square picture.
LONGEST_SHOT_S = (1.0 - 2 * REACH * max(RADII.values())) / SPEEDS["slow"]


class ShapesOptions(BaseModel):
    """A world of `files` files. The shares of files (duplicates, letterboxed, images) and of shots (static, blurred)
    become exact counts, drawn without replacement, so a small world has its plants too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int = Field(300, ge=1, description="files to write, all kinds together")
    shots_per_file: tuple[int, int] = Field((4, 8), description="fewest and most shots of a video file")
    seconds: tuple[float, float] = Field((2.0, 2.0), description="shortest and longest shot")
    size: tuple[Even, Even] = Field((96, 96), description="width and height in pixels")
    fps: float = Field(8.0, ge=4.0, le=60.0, description="frames per second")
    exact_duplicates: Share = Field(0.03, description="files that are byte copies of another")
    near_duplicates: Share = Field(0.05, description="files that are another one re-encoded, cropped or scaled")
    letterboxed: Share = Field(0.04, description="files with black bars above and below")
    images: Share = Field(0.04, description="files that are PNG images")
    static: Share = Field(0.1, description="shots in which the shape stands still")
    blurred: Share = Field(0.04, description="shots out of focus")
    marked: Share = Field(0.0, description="shots that hold a stand-in for what a screen must find")
    damaged: int = Field(1, ge=0, description="video files that are cut off before their index")

    @model_validator(mode="after")
    def _is_possible(self) -> ShapesOptions:
        for name, least in (("shots_per_file", 1), ("seconds", 0.75)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"{name} must be [from, to] with {least} <= from <= to, got [{low}, {high}]")
        if self.seconds[1] > LONGEST_SHOT_S:
            raise ValueError(f"seconds: even a slow shape crosses the picture in {LONGEST_SHOT_S:.1f} s")
        planted = self.exact_duplicates + self.near_duplicates + self.letterboxed + self.images
        if round(planted * self.files) + self.damaged >= self.files and self.files > 1:
            raise ValueError("the planted files leave no plain one; lower their shares or write more files")
        return self
