"""Captions of a run, and its samples, beside their pictures: match rate and CLIP score by any model of open_clip.

Legend: T frames, H height, W width; N clips, D features.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from captioner.matching import Pairs, measured, order
from captioner.stored import opened, pictures
from curate import clip_model
from curate.captioning import Pictures, box_of
from curate.decisions import good_captions
from curate.errors import InputRejected, SpecError, StorageError
from curate.ids import fingerprint
from curate.ledger import Ledger
from curate.media.facts import Job
from curate.media.reader import Reader
from curate.models import folder_sha256
from curate.plan import ENCODED, Plan
from curate.planning import standing_ledger
from curate.spec_captions import Match
from curate.stage import PROXY
from curate.store import Store

VERSION = 1  # raise it with any change to what the figures are
Told = Callable[[int, int], None]  # clips looked at, of how many


@dataclass(frozen=True)
class Sample:
    """The clips that are looked at, in the order of a hash of seed and id, and by kind what is said of them."""

    clips: list[str]
    texts: dict[str, dict[str, str]]  # kind -> clip -> text
    boxes: list[tuple[float, ...]]  # the picture within its bars
    out_of: int  # clips that could have had one


def sample(plan: Plan, ledger: Ledger, kinds: Sequence[str], match: Match) -> Sample:
    """The first clips that have a caption of these kinds which training may use: what was kept, and what only its
    encoding keeps from that, so that captions can be tested before anything is encoded.
    """
    done = pc.equal(ledger.clips["outcome"], "kept")
    clips = ledger.clips.filter(pc.or_(done, pc.is_in(ledger.clips["stage"], value_set=pa.array(ENCODED))))
    good, names = good_captions(clips, plan), clips["clip_id"].to_pylist()
    said = {
        kind: {clip: text for clip, text in zip(names, good[kind], strict=True) if text is not None} for kind in kinds
    }
    chosen = order({clip for of_kind in said.values() for clip in of_kind}, match.seed)[: match.sample]
    columns = [name for name in clips.schema.names if name.startswith("borders.")]
    rows = dict(zip(names, clips.select(["clip_id", *columns]).to_pylist(), strict=True))
    texts = {kind: {clip: of_kind[clip] for clip in chosen if clip in of_kind} for kind, of_kind in said.items()}
    return Sample(chosen, texts, [box_of(rows[clip]) for clip in chosen], clips.num_rows)


def key(plan: Plan, chosen: Sample, model: Path, match: Match) -> str:
    """What the figures depend on: captions, frames, weights, settings; not on the bound that they are held to.

    The table of the proxies and a clip's id name its frames: rows of a table are functions of its key and their id.
    """
    frames = [plan.tables["frames"].name, chosen.clips, chosen.boxes]
    return fingerprint([VERSION, match.how, folder_sha256(model), frames, chosen.texts])


def captions(plan: Plan, store: Store, chosen: Sample, model: Path, match: Match, told: Told) -> dict[str, Any]:
    """The figures of each kind of caption, and the clips of which no frame can be read.

    Raises:
        SpecError: the model cannot be loaded, or gives no numbers.
    """
    found, lost = _features(model, _stored(plan, store, chosen.clips, match.frames), told, len(chosen.clips))
    lost += [clip for clip in chosen.clips if clip not in found and clip not in lost]  # of these there are no frames
    by_kind = {kind: _figures(model, chosen.clips, texts, found, match) for kind, texts in chosen.texts.items()}
    return {"clips": len(chosen.clips), "unreadable": sorted(lost), "captions": by_kind}


def of_run(
    out: Path, model: str, kinds: Sequence[str], count: int, seed: int, with_samples: bool, note: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of a finished run: those of each kind of caption that it has, and of its samples.

    Raises:
        SpecError: no run, no model, no clip with a caption of these kinds, or no samples.
    """
    run, folder, match = opened(out), clip_model.clip_folder(model), Match(model=model, sample=count, seed=seed)
    chosen = sample(run.plan, standing_ledger(run, note), kinds, match)
    if not chosen.clips:
        raise SpecError(f"captioner eval: no clip of {out} has a caption of these kinds: {', '.join(kinds)}")
    chosen = replace(chosen, texts={kind: texts for kind, texts in chosen.texts.items() if texts})
    figures = captions(run.plan, run.store, chosen, folder, match, lambda done, total: None)
    given = {"run": str(out), "model": model, "weights": folder_sha256(folder), "frames": match.frames,
             "neighbours": match.neighbours, "seed": seed}  # fmt: skip
    more = {"samples": samples(run.out / "samples", folder, match, lambda done, total: None)} if with_samples else {}
    return {**given, **figures, **more}


def samples(folder: Path, model: Path, match: Match, told: Told) -> dict[str, Any]:
    """The figures of the clips in OUT/samples against their prompts.

    Raises:
        SpecError: there are none, or as for captions. StorageError: prompts.jsonl is damaged.
    """
    try:
        lines = (folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
        asked = {str(row["path"]): str(row.get("prompt") or "") for row in map(json.loads, lines)}
    except OSError as error:
        raise SpecError(f"{folder} holds no samples ({error.strerror}); `rushes sample` makes them") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / 'prompts.jsonl'} cannot be read ({error}); run again to make it") from error
    names = order((name for name, prompt in asked.items() if prompt), match.seed)[: match.sample]
    found, lost = _features(model, _sampled(folder, names, match.frames), told, len(names))
    figures = _figures(model, names, {name: asked[name] for name in names}, found, match)
    return {**figures, "unreadable": sorted(lost), "without_prompt": sum(not prompt for prompt in asked.values())}


def _stored(plan: Plan, store: Store, clips: list[str], most: int) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    for clip, given in pictures(plan, store, set(clips)):
        few: Pictures = given.between(0.0, float("inf"), most)
        yield clip, few.decoded


def _sampled(folder: Path, names: list[str], most: int) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Frames of files on the grid of the proxies, as those of clips."""
    reader = Reader()
    for name in names:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise StorageError(f"{folder / 'prompts.jsonl'} names {name!r}, outside of its folder")

        def frames(path: Path = path) -> np.ndarray:
            job = Job(quality="full", views=(PROXY,))
            seen = [frame.views[PROXY] for frame in reader.frames(str(path), job) if PROXY in frame.views]
            return np.stack([seen[i] for i in np.linspace(0, len(seen) - 1, min(most, len(seen))).round().astype(int)])

        yield name, frames


def _features(
    model: Path, clips: Iterable[tuple[str, Callable[[], np.ndarray]]], told: Told, total: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """By clip the mean (D,) of its frames' features; and the clips whose frames cannot be decoded."""
    found: dict[str, np.ndarray] = {}
    lost: list[str] = []
    told(0, total)
    clip_model.load(model)
    for clip, read in clips:
        try:
            frames_THWC = read()
        except InputRejected:
            lost.append(clip)
        else:
            found[clip] = _numbers(clip_model.picture_features, model, frames_THWC).mean(axis=0)
        told(len(found) + len(lost), total)
    told(total, total)
    return found, lost


def _figures(
    model: Path, ring: list[str], texts: dict[str, str], found: dict[str, np.ndarray], match: Match
) -> dict[str, Any]:
    """What is measured of texts (by clip) whose clips have features, and how many texts have none or are cut."""
    clips = [clip for clip in ring if clip in texts and clip in found]
    said = [texts[clip] for clip in clips]
    if not clips:
        return {**measured(Pairs([], [], np.zeros((0, 1)), np.zeros((0, 1))), 1), "lost": len(texts), "cut": 0}
    words_ND = _numbers(clip_model.text_features, model, said)
    figures = measured(Pairs(clips, said, np.stack([found[clip] for clip in clips]), words_ND), match.neighbours)
    cut = sum(clip_model.is_cut(model, text) for text in said)
    return {**figures, "lost": len(texts) - len(clips), "cut": cut}


def _numbers(of: Callable[[Path, Any], np.ndarray], model: Path, given: Any) -> np.ndarray:
    """Features, finite. SpecError where they are not: that says nothing of a caption."""
    features = of(model, given)
    if not np.isfinite(features).all():
        raise SpecError(f"the CLIP model {model} gives features that are no numbers: its weights are damaged")
    return features
