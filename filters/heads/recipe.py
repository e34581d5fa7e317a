"""The recipe step by step, in one folder a head: new, label, train, calibrate, audit, promote.

DIR/head.json       category, run, encoder, seed, and the policy that defines the category
DIR/labels.parquet  who said what when
DIR/features.npz    features of the run's clips under the present encoder, made again when it changes
DIR/head.safetensors  the head as it was trained, and what was measured of it since
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import SpecError
from curate.ids import fingerprint
from curate.policy import Category, load_policy
from curate.registry import nearest
from curate.store import write_atomic
from filters._crops import crops
from filters._terms import load_lists
from filters.heads import cnn, loops
from filters.heads.artifact import Artifact, load, save
from filters.heads.calibrate import bias_for, measured
from filters.heads.clips import clip_features, clip_scores, training_rows
from filters.heads.cutpaste import augmented
from filters.heads.encoders import NAMES, Encoder, encoder, of_artifact
from filters.heads.fit import Head, Kind, fit
from filters.heads.labels import LabelStore
from filters.heads.pool import Pool

HELD_OUT = 3  # one labelled clip in so many calibrates the head and teaches it nothing
LEARNED = ("seed", "loop_a", "loop_b", "boundary", "random")


class Recipe:
    """A head's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.facts: dict[str, Any] = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SpecError(
                f"{folder} is no head's folder: `rushes head new CATEGORY --dir {folder}` makes one"
            ) from error
        self.labels = LabelStore(folder / "labels.parquet")
        self.policy = load_policy(self.facts["policy"])
        self.pool = Pool(Path(self.facts["run"]))

    @property
    def path(self) -> Path:
        """The head as it is now."""
        return self.folder / "head.safetensors"

    # -- labels ------------------------------------------------------------------------------------------------

    def add(self, given: Mapping[str, bool], who: str, origin: str) -> int:
        """Label clips, or all clips of a file; how many. Raises SpecError for what is no clip of the run."""
        known = self.labels.known()
        rows = [(item, label) for name, label in given.items() for item in self.pool.resolve(name)]
        if origin == "audit":
            old = [item for item, _ in rows if known.origin.get(item, "audit") != "audit"]
            if old:
                raise SpecError(f"an audit needs a fresh sample: {old[0]} was labelled for training before")
        return self.labels.add(rows, who, origin)

    def next_items(self, strategy: str, count: int) -> list[str]:
        """What to label next: a sample (`random`, `audit`), or where the head learns most (the loops, the boundary)."""
        known, items = self.labels.known(), self.pool.items
        taken = np.array([item in known.truth for item in items], bool)
        rng = np.random.default_rng([self.facts["seed"], len(known.truth)])
        if strategy in ("random", "audit"):
            return [items[i] for i in rng.permutation(np.flatnonzero(~taken))[:count]]
        artifact = load(self.path)
        features = self._features(of_artifact(artifact))
        scores = clip_scores(artifact.head, [features[item] for item in items])
        learned = self.labels.known(LEARNED)
        if strategy == "boundary":
            chosen = loops.propose_boundary(scores, taken, count)
        elif strategy == "loop_a":
            own = clip_scores(artifact.head, [features[item] for item, label in learned.truth.items() if label])
            chosen = loops.propose_a(scores, taken, own, count, self.facts["seed"])
        elif strategy == "loop_b":
            worst = np.stack([_worst(artifact.head, features[item]) for item in items])
            own = np.stack([_worst(artifact.head, features[item]) for item in learned.truth])
            chosen = loops.propose_b(
                own, np.array(list(learned.truth.values())), worst, taken, count, self.facts["seed"]
            )
        else:
            raise SpecError(f"unknown strategy {strategy!r}; {nearest(strategy, [*LEARNED[1:], 'audit'])}")
        return [items[i] for i in chosen]

    # -- the head ----------------------------------------------------------------------------------------------

    def train(self, kind: Kind) -> dict[str, Any]:
        """Fit a head on the labels, but for one in `HELD_OUT`; what it learned from."""
        known = self.labels.known(LEARNED)
        learned = [item for item in known.truth if not _held(item)]
        truth = np.array([known.truth[item] for item in learned], bool)
        if truth.all() or not truth.any():
            raise SpecError("label some positives and some negatives first: `rushes head label`")
        made, network = self._encoder(learned, truth)
        features = self._features(made, set(known.truth))
        clips = [features[item] for item in learned]
        head = fit(*training_rows(clips, truth, None), kind)
        head = fit(*training_rows(clips, truth, head), kind)  # once more, where the first one looked hardest
        facts = {
            "category": self.facts["category"], "labels": known.digest, "policy": self.policy.sha256,
            "encoder": {"name": made.name, "params": self.facts["encoder"]["params"], "fingerprint": made.fingerprint},
            "calibration": None, "audit": None, "promoted": False,
        }  # fmt: skip
        save(self.path, Artifact(head, facts, network))
        return {"positives": int(truth.sum()), "negatives": int((~truth).sum()), "conflicts": list(known.conflicts)}

    def calibrate(self, missed_share: float) -> dict[str, Any]:
        """Set the bias for a share of misses on the labelled clips that were held out."""
        artifact = load(self.path)
        known = self.labels.known(LEARNED)
        if known.digest != artifact.facts["labels"]:
            raise SpecError("labels were added since the head was trained: `rushes head train` first")
        scores, truth = self._scored(artifact, {item: label for item, label in known.truth.items() if _held(item)})
        bias = bias_for(scores, truth, missed_share)
        record = {**measured(scores + bias, truth), "target": missed_share, "on": known.digest}
        head = replace(artifact.head, bias=artifact.head.bias + bias)
        save(self.path, Artifact(head, {**artifact.facts, "calibration": record, "audit": None}, artifact.network))
        return record

    def audit(self) -> dict[str, Any]:
        """Measure the head on what was labelled for the audit, which it has never seen."""
        artifact = load(self.path)
        if artifact.facts["calibration"] is None:
            raise SpecError("a head is audited as it will decide: `rushes head calibrate` first")
        known = self.labels.known(("audit",))
        if not known.truth:
            raise SpecError("nothing was labelled for an audit: `rushes head label --strategy audit`")
        scores, truth = self._scored(artifact, known.truth)
        # Which head and which policy: `promote` wants those of today.
        record = {**measured(scores, truth), "on": known.digest, "head": artifact.sha256, "policy": self.policy.sha256}
        save(self.path, Artifact(artifact.head, {**artifact.facts, "audit": record}, artifact.network))
        return record

    def promote(self, out: Path) -> dict[str, Any]:
        """Write the head for the screen `head`; what stands in it.

        Raises:
            SpecError: it has no audit of this very head under this very policy.
        """
        artifact = load(self.path)
        audit = artifact.facts["audit"]
        if audit is None:
            raise SpecError("a head is promoted after an audit only: `rushes head audit`")
        if audit["head"] != artifact.sha256:
            raise SpecError("the audit is of another head: `rushes head audit` again")
        if audit["policy"] != self.policy.sha256 or artifact.facts["policy"] != self.policy.sha256:
            raise SpecError(
                "the policy has changed since the head was made or audited: train, calibrate and audit again"
            )
        facts = {**artifact.facts, "promoted": True}
        save(out, Artifact(artifact.head, facts, artifact.network))
        return {"file": str(out), "head": artifact.sha256, "calibration": facts["calibration"], "audit": audit}

    # -- features ----------------------------------------------------------------------------------------------

    def _encoder(self, learned: list[str], truth: np.ndarray) -> tuple[Encoder, dict[str, np.ndarray]]:
        """The encoder of the recipe; a `cnn` is trained on the labels, with cut-and-paste."""
        said = self.facts["encoder"]
        if said["name"] != "cnn":
            return encoder(said["name"], said["params"]), {}
        pictures, labels = [], []
        wanted = dict(zip(learned, truth, strict=True))
        for item, frames_THWC in self.pool.frames(set(learned)):
            cut = crops(frames_THWC, cnn.SIDE).reshape(-1, cnn.SIDE, cnn.SIDE, 3)
            pictures.append(cut)
            labels += [wanted[item]] * len(cut)
        x, y = augmented(np.concatenate(pictures), np.array(labels), self.facts["seed"], per_positive=1)
        weights = cnn.train(x, y, self.facts["seed"])
        return encoder("cnn", {}, weights), weights

    def _features(self, made: Encoder, wanted: set[str] | None = None) -> dict[str, np.ndarray]:
        """Features (T, K, D) of clips of the run (of all of them by default), kept until the encoder changes."""
        path = self.folder / "features.npz"
        have: dict[str, np.ndarray] = {}
        if path.exists():
            with np.load(path) as stored:
                if str(stored["encoder"]) == made.fingerprint:
                    have = {name: stored[name] for name in stored.files if name != "encoder"}
        missing = (wanted or set(self.pool.items)) - have.keys()
        if missing:
            have |= {item: clip_features(frames, made) for item, frames in self.pool.frames(missing)}
            np.savez(path, encoder=np.array(made.fingerprint), **have)  # type: ignore[arg-type]
        return have

    def _scored(self, artifact: Artifact, truth: Mapping[str, bool]) -> tuple[np.ndarray, np.ndarray]:
        features = self._features(of_artifact(artifact), set(truth))
        return clip_scores(artifact.head, [features[item] for item in truth]), np.array(list(truth.values()), bool)


def new(folder: Path, category: str, run: Path, policy: str, name: str, params: dict[str, Any], seed: int) -> None:
    """Begin a head.

    Raises:
        SpecError: the folder is taken, the policy has no such category, or nobody may train a head for it.
    """
    rules = load_policy(policy).categories
    if category not in rules:
        raise SpecError(f"the policy {policy} has no category {category!r}; {nearest(category, list(rules))}")
    if not rules[category].trainable or _combines(category, rules[category]):
        raise SpecError(f"no head is trained for {category}: its labels would bring minors and sexual content together")
    if name not in NAMES:
        raise SpecError(f"unknown encoder {name!r}; {nearest(name, NAMES)}")
    if (folder / "head.json").exists():
        raise SpecError(f"{folder} holds a head already; choose another folder")
    Pool(run)
    facts = {"category": category, "run": str(run.absolute()), "policy": policy, "seed": seed,
             "encoder": {"name": name, "params": params}}  # fmt: skip
    write_atomic(folder / "head.json", json.dumps(facts, indent=1).encode(), replace=False)


def _combines(name: str, rule: Category) -> bool:
    """Whether a category's own words speak of minors where it is about sexual content."""
    words = f"{name.replace('_', ' ')} {rule.definition} {' '.join(rule.includes)}"
    said = {hit.category for hit in load_lists(["minors", "explicit"]).hits(words)}
    return "minors" in said and (rule.sexual or "explicit" in said)


def _held(item: str) -> bool:
    """Whether a clip is held out for calibration: decided by its id, so that it stays so."""
    return int(fingerprint(["held out", item])[:8], 16) % HELD_OUT == 0


def _worst(head: Head, features_TKD: np.ndarray) -> np.ndarray:
    """Features of the frame and crop that a head holds worst."""
    flat_ND = features_TKD.reshape(-1, features_TKD.shape[-1])
    return flat_ND[int(head.decide(flat_ND).argmax())]
