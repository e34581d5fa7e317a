"""The shapes world: footage of one coloured shape on a plain background, with everything known about it.

Real multi-shot H.264 files and PNG images, some of them duplicates, letterboxed, blurred, still or damaged, and a
manifest with true captions; so a first run needs no footage and the funnel has something to find.

    python -m worlds.shapes --out DIR --seed 1 --files 300
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ValidationError

from curate.errors import SpecError, StorageError
from curate.ids import fingerprint
from worlds.shapes.options import ShapesOptions
from worlds.shapes.vocabulary import DIRECTIONS, looks

__all__ = ["Shapes", "ShapesOptions", "prompts"]


class Shapes:
    """A world by its options (see `ShapesOptions`); a wrong one raises SpecError."""

    name: ClassVar[str] = "shapes"
    manifest: ClassVar[str] = "manifest.jsonl"
    marker: ClassVar[str] = "world.json"

    def __init__(self, **options: Any) -> None:
        try:
            self.options = ShapesOptions(**options)
        except ValidationError as error:
            lines = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors())
            raise SpecError(f"world shapes: {lines}") from error

    def write(self, out_dir: Path, seed: int) -> Path:
        """Write the world below `out_dir` and return its manifest; the same options and seed give the same pictures.

        A world that is complete is left alone, modification times included; one that is unfinished or was made with
        other options is made anew. The marker is written last. Raises StorageError when the disk does not take it.
        """
        from worlds.shapes.footage import write_file
        from worlds.shapes.manifest import VERSION, line
        from worlds.shapes.plan import plan

        out_dir = Path(out_dir)
        made_from = fingerprint([VERSION, self.options.model_dump(mode="json"), seed])
        manifest = out_dir / self.manifest
        try:
            if self._complete(out_dir, made_from):
                return manifest
            self._clear(out_dir)
            (out_dir / "media").mkdir(parents=True, exist_ok=True)
            files = plan(self.options, seed)
            for file in sorted(files, key=lambda file: file.kind == "exact"):  # copies after their originals
                write_file(out_dir, file)
            _publish(manifest, "".join(json.dumps(line(file)) + "\n" for file in files))
            sizes = {file.path: (out_dir / file.path).stat().st_size for file in files}
            _publish(out_dir / self.marker, json.dumps({"made_from": made_from, "files": sizes}, indent=1))
        except OSError as error:
            raise StorageError(f"cannot write the shapes world to {out_dir}: {error}") from error
        return manifest

    def _complete(self, out_dir: Path, made_from: str) -> bool:
        """Whether this very world is there, with every file at its full size."""
        marker = self._read_marker(out_dir)
        if marker.get("made_from") != made_from or not (out_dir / self.manifest).is_file():
            return False
        paths = {out_dir / path: size for path, size in marker["files"].items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def _clear(self, out_dir: Path) -> None:
        """Remove the files of an earlier world (those that its marker lists, nothing else), marker first."""
        files = self._read_marker(out_dir).get("files", {})
        for path in (self.marker, self.manifest, *files):
            (out_dir / path).unlink(missing_ok=True)

    def _read_marker(self, out_dir: Path) -> dict[str, Any]:
        try:
            return json.loads((out_dir / self.marker).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StorageError(f"{out_dir / self.marker} is damaged; remove the folder and run again") from error


def prompts(n: int, seed: int, still: bool = True) -> list[dict[str, Any]]:
    """Return n requests, `{"prompt", "attributes": {color, shape, direction}}`, spread evenly over the vocabulary.

    All combinations come once, in an order drawn from the seed, before any comes again. `still`: whether shapes that
    stand still are asked for (a run that drops shots without motion cannot teach them).
    """
    words = tuple(name for name in DIRECTIONS if still or name != "static")
    every = list(looks(words))
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(every)) for _ in range(-(-n // len(every)))])[:n] if n else []
    return [{"prompt": every[i].short(), "attributes": every[i].attributes()} for i in order]


def _publish(path: Path, text: str) -> None:
    """Write a text file so that it is whole and on disk, or not there."""
    unfinished = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
