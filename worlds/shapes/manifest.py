"""The manifest of a shapes world: one JSON line a file, with the columns of a source, true captions and the truth."""

from __future__ import annotations

from typing import Any

from worlds.shapes.plan import PlannedFile

VERSION = 2  # raise it with any change to the pixels or the manifest: worlds made before are then made anew


def line(file: PlannedFile) -> dict[str, Any]:
    """One line: `path` is relative to the manifest, times are seconds from the start of the file.

    `original_caption` and `captions_dense` are lists of {start_s, end_s, text}, or for an image plain text.
    `truth` is for judges, not for models: shots with spans and attributes, what was planted, the original of a copy.
    """
    spans = file.spans_s()
    plants = [] if file.kind in ("plain", "image") else [f"near:{file.change}" if file.kind == "near" else file.kind]
    return {
        "path": file.path,
        "source_class": "in_house",
        "license": "CC0-1.0",
        "origin": "procedural world: shapes",
        "is_synthetic": True,
        "generator": f"worlds.shapes {VERSION}",
        "acquired_at": "2024-01-01T00:00:00Z",
        "original_caption": _captions(file, [shot.look.short() for shot in file.shots]),
        "captions_dense": _captions(file, [shot.look.dense() for shot in file.shots]),
        "truth": {
            "plants": plants,
            "duplicate_of": None if file.copy_of is None else f"media/{file.copy_of:06d}.mp4",
            "shots": [
                {
                    "start_s": start,
                    "end_s": end,
                    "attributes": shot.look.attributes(),
                    "blurred": number in file.blurred,
                    "marked": file.marked.get(number),
                    "still": len(set(map(tuple, shot.path().tolist()))) == 1,
                }
                for number, (shot, (start, end)) in enumerate(zip(file.shots, spans, strict=True))
            ],
        },
    }


def _captions(file: PlannedFile, texts: list[str]) -> str | list[dict[str, Any]]:
    if file.kind == "image":
        return texts[0]
    spans = file.spans_s()
    return [{"start_s": start, "end_s": end, "text": text} for (start, end), text in zip(spans, texts, strict=True)]
