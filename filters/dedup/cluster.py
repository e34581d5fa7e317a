"""From matches to a decision: clusters, the clip of each that is kept, and a row for every other.

Which clip is kept depends on the clips alone, never on their order: most pixels, then a known licence, then longest,
then sharpest, then the smallest clip id (DESIGN 2, Q24).
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from curate.errors import SpecError
from curate.spec_base import Model
from curate.stage import column
from filters.dedup.exact import same_content
from filters.dedup.perceptual import Match, PerceptualParams, find_matches
from filters.dedup.prints import read_prints

# Columns read besides those of `phash`: `content.hash` if exact duplicates are asked for, `sharpness.score` if there.
NEEDS = ("clip_id", "width", "height", "duration_s", "license")

# Seconds by which one clip must be longer to count as longer: containers round the last frame's duration.
SAME_LENGTH_S = 0.1
# Steps of sharpness that count: a re-encode moves it by less.
SAME_SHARPNESS = 0.02

DUPLICATES = pa.schema(
    [
        column("clip_id", pa.string(), "", "a clip that is not kept"),
        column("duplicate_of", pa.string(), "", "the clip of its cluster that is kept"),
        column("kind", pa.string(), "", "exact:content or perceptual"),
        column("distance", pa.float32(), "bits of 256", "mean distance of matching frames"),
        column("matched_share", pa.float32(), "share", "of the shorter clip's frames that match in order"),
        column("chained", pa.bool_(), "", "true: distance and share are to `via`, not to the clip that is kept"),
        column("via", pa.string(), "", "the member of the cluster that it matches (the kept clip unless chained)"),
        column("cluster_id", pa.string(), "", "clip id of the kept clip, the same for the whole cluster"),
        column("cluster_size", pa.int32(), "clips", "members, the kept clip included"),
    ]
)


class ExactParams(Model):
    """Identical decoded content; there is nothing to set."""


class DedupParams(Model):
    """What counts as a duplicate; a kind that is left out (None) is not looked for."""

    exact: ExactParams | None = None
    perceptual: PerceptualParams | None = None


def dedup_params(given: dict[str, Any]) -> DedupParams:
    """What a spec says under `dedup`. Raises SpecError for what is wrong first."""
    try:
        return DedupParams.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"stages.dedup.{where}: {first['msg'].removeprefix('Value error, ')}") from error


def find_duplicates(clips: pa.Table, params: DedupParams, never: Set[str] = frozenset()) -> pa.Table:
    """Return one row of `DUPLICATES` for each clip that is not kept, sorted by clip id.

    clips: a row a clip with the columns of `NEEDS`, `content.hash` (nullable) for exact, `phash.*` for perceptual,
    and `sharpness.score` where measured. Clips of one source may be duplicates of each other. A clip that resembles
    the kept one only through others of its cluster is `chained`, and names the member that it matches.
    never: clips that are never the kept one while their cluster has another.

    Raises SpecError when a column is missing or a clip id occurs twice.
    """
    missing = [name for name in NEEDS if name not in clips.column_names]
    if params.exact is not None and "content.hash" not in clips.column_names:
        missing.append("content.hash")
    if missing:
        raise SpecError(f"dedup needs the columns {', '.join(missing)}")
    clips = clips.take(np.argsort(np.array(clips["clip_id"].to_pylist(), dtype=object), kind="stable"))
    ids: list[str] = clips["clip_id"].to_pylist()
    if len(set(ids)) < len(ids):
        raise SpecError("dedup was given a clip id twice")
    rank = keep_rank(clips)
    rank[[name in never for name in ids]] += len(ids)
    links: dict[tuple[int, int], tuple[str, Match]] = {}
    if params.perceptual is not None:
        for match in find_matches(read_prints(clips), params.perceptual):
            links[match.one, match.two] = ("perceptual", match)
    if params.exact is not None:
        for group in same_content(clips["content.hash"]):
            # A star is enough: if the cluster's best clip is in the group at all, it is the group's best.
            best = min(group, key=lambda clip: rank[clip])
            for clip in group:
                if clip != best:
                    one, two = min(clip, best), max(clip, best)
                    links[one, two] = ("exact:content", Match(one, two, 0.0, 1.0))
    return _decide(ids, rank, links)


def keep_rank(clips: pa.Table) -> np.ndarray:
    """Rank (N,) of every clip by the keep-best policy of this module, 0 is the best."""
    pixels = np.array(clips["width"].to_pylist(), np.int64) * np.array(clips["height"].to_pylist(), np.int64)
    unknown = np.array([name in (None, "", "unknown") for name in clips["license"].to_pylist()])
    length = np.round(np.array(clips["duration_s"].to_pylist(), np.float64) / SAME_LENGTH_S)
    sharp = np.zeros(len(clips))
    if "sharpness.score" in clips.column_names:
        scores = [-1.0 if score is None else score for score in clips["sharpness.score"].to_pylist()]
        sharp = np.round(np.array(scores, np.float64) / SAME_SHARPNESS)
    ids = np.array(clips["clip_id"].to_pylist(), dtype=str)
    order = np.lexsort((ids, -sharp, -length, unknown, -pixels))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _decide(ids: list[str], rank: np.ndarray, links: dict[tuple[int, int], tuple[str, Match]]) -> pa.Table:
    """Rows for the clips that are not kept; links join clips by row number, the smaller one first."""
    beside: dict[int, list[int]] = {}
    for one, two in links:
        beside.setdefault(one, []).append(two)
        beside.setdefault(two, []).append(one)
    rows = []
    for members in _clusters(len(ids), links):
        kept = min(members, key=lambda clip: rank[clip])
        for clip in members:
            if clip == kept:
                continue
            direct = (min(clip, kept), max(clip, kept)) in links
            # A chained clip names its best match: exact first, then the largest share, then the least distance.
            via = kept if direct else min(beside[clip], key=lambda other: _strength(links, clip, other, rank))
            kind, match = links[min(clip, via), max(clip, via)]
            rows.append(
                {
                    "clip_id": ids[clip],
                    "duplicate_of": ids[kept],
                    "kind": kind,
                    "distance": match.distance,
                    "matched_share": match.share,
                    "chained": not direct,
                    "via": ids[via],
                    "cluster_id": ids[kept],
                    "cluster_size": len(members),
                }
            )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["clip_id"]), schema=DUPLICATES)


def _strength(
    links: dict[tuple[int, int], tuple[str, Match]], clip: int, other: int, rank: np.ndarray
) -> tuple[bool, float, float, int]:
    kind, match = links[min(clip, other), max(clip, other)]
    return kind == "perceptual", -match.share, match.distance, int(rank[other])


def _clusters(count: int, links: dict[tuple[int, int], tuple[str, Match]]) -> list[list[int]]:
    """Connected groups of two and more by union-find, members in order."""
    parent = list(range(count))

    def root(clip: int) -> int:
        while parent[clip] != clip:
            parent[clip] = parent[parent[clip]]
            clip = parent[clip]
        return clip

    for one, two in links:
        one, two = root(one), root(two)
        parent[max(one, two)] = min(one, two)
    groups: dict[int, list[int]] = {}
    for clip in sorted({clip for pair in links for clip in pair}):
        groups.setdefault(root(clip), []).append(clip)
    return list(groups.values())
