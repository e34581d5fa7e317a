"""The recipe for trained heads, on stand-in glyphs: what three rounds of labels, cut-and-paste, crops and loop B give.

    python -m benchmarks.heads [--part b|c|e] [--seed N] [--kits DIR] --json

b  glyphs at 2 % prevalence among hard negatives (a tenth of the rest: parts of the glyph, other signs of its colour,
   text in its colour, bare tiles); 200 + 200 first labels, three rounds of 120 labels
c  a glyph in a region of 20 % of the area, visible in one frame of eight: cut-and-paste x crops; the same at 5 %
e  a rare second kind of the class, 5 labelled and 100 in a pool of 5,000; 300 labels for loop A and for loop B

Encoders are named with every figure: `gist`, and `cnn`, which is trained on the labels at hand.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._heads_world import World, ground, kit, paste
from benchmarks.result import show
from curate.intervals import clopper_pearson
from filters._crops import crops
from filters.heads import cnn, loops
from filters.heads.calibrate import bias_for
from filters.heads.cutpaste import augmented
from filters.heads.encoders import Cnn, Encoder, Gist
from filters.heads.fit import Head, fit

SHARED = Path(__file__).parents[2] / "shared"
SIDE, FRAMES = 64, 3
FIRST, ROUNDS, EACH = 200, 3, 40  # labels of either kind at first; rounds; labels of loop A, loop B and the boundary
PREVALENCE, HARD_SHARE = 0.02, 0.1
POOL, TEST_POSITIVES, TEST_NEGATIVES = 4000, 400, 4000


def small(picture_HWC: np.ndarray) -> np.ndarray:
    """A picture at the encoders' size."""
    return cv2.resize(picture_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def clip(world: World, rng: np.random.Generator, what: str, glyph: str | None = None) -> np.ndarray:
    """Frames (T, 64, 64, 3) of one scene; what is to be seen is seen in one to all of them."""
    scene = ground(rng)
    shown = world.positive(rng, glyph) if what == "positive" else world.hard(rng) if what == "hard" else scene
    count = int(rng.integers(1, FRAMES + 1))
    frames = [shown if t < count else scene for t in range(FRAMES)]
    return np.stack([small(np.roll(frame, int(rng.integers(-3, 4)), axis=1)) for frame in frames])


def clips(world: World, rng: np.random.Generator, positives: int, negatives: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, T, 64, 64, 3) clips in a random order, and their labels."""
    hard = round(HARD_SHARE * negatives)
    kinds = ["positive"] * positives + ["hard"] * hard + ["plain"] * (negatives - hard)
    order = rng.permutation(len(kinds))
    made = np.stack([clip(world, rng, kinds[i]) for i in order])
    return made, np.array([kinds[i] == "positive" for i in order])


class Learner:
    """An encoder and a head that learn from pictures, and score clips by their worst frame."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.encoder: Encoder = Gist()
        self.head: Head | None = None
        self.bias = 0.0

    def learn(self, pictures: np.ndarray, labels: np.ndarray) -> None:
        """Train on three quarters; the rest of the positives sets the bias, which only ever favours recall."""
        rng = np.random.default_rng(self.seed)
        held = rng.permutation(len(labels)) % 4 == 0
        if self.name == "cnn":
            self.encoder = Cnn(cnn.train(pictures[~held], labels[~held], self.seed, epochs=25))
        self.head = fit(self.encoder.encode(pictures[~held]), labels[~held])
        self.bias = bias_for(self.head.decide(self.encoder.encode(pictures[held])), labels[held], 0.01)

    def features(self, made: np.ndarray) -> np.ndarray:
        """(N, T, D) of clips (N, T, H, W, 3)."""
        return self.encoder.encode(made.reshape(-1, *made.shape[2:])).reshape(*made.shape[:2], -1)

    def scores(self, features_NTD: np.ndarray) -> np.ndarray:
        """(N, T) scores of frames; 0 is the threshold."""
        assert self.head is not None
        flat = features_NTD.reshape(-1, features_NTD.shape[-1])
        return (self.head.decide(flat) + self.bias).reshape(features_NTD.shape[:2])


def judged(scores_N: np.ndarray, labels_N: np.ndarray, prevalence: float = PREVALENCE) -> dict[str, Any]:
    """Recall with its interval, the share of false alarms, and the precision at the pool's prevalence."""
    hits, positives = int((scores_N[labels_N] >= 0).sum()), int(labels_N.sum())
    alarms, negatives = int((scores_N[~labels_N] >= 0).sum()), int((~labels_N).sum())
    recall, false = hits / positives, alarms / negatives
    found = prevalence * recall
    precision = found / (found + (1 - prevalence) * false) if hits else 0.0
    low, high = (round(x, 4) for x in clopper_pearson(hits, positives))
    return {"recall": round(recall, 4), "recall_95": [low, high], "false_alarms": f"{alarms}/{negatives}",
            "false_95": [round(x, 4) for x in clopper_pearson(alarms, negatives)],
            "precision": round(precision, 4)}  # fmt: skip


# -- b -----------------------------------------------------------------------------------------------------------


def part_b(world: World, encoder: str, seed: int) -> list[dict[str, Any]]:
    """Figures on fresh clips after the first labels and after every round."""
    rng = np.random.default_rng([seed, 1])
    pool, truth = clips(world, rng, round(PREVALENCE * POOL), round((1 - PREVALENCE) * POOL))
    test, wanted = clips(world, rng, TEST_POSITIVES, TEST_NEGATIVES)
    taken = np.zeros(len(pool), bool)
    first = rng.choice(np.flatnonzero(~truth), FIRST, replace=False)  # negatives are drawn from the pool, as people do
    taken[first] = True
    pictures = [np.stack([small(world.positive(rng)) for _ in range(FIRST)]), pool[first, 0]]
    labels = [np.ones(FIRST, bool), np.zeros(FIRST, bool)]
    learner = Learner(encoder, seed)
    rows = []
    for turn in range(ROUNDS + 1):
        x, y = np.concatenate(pictures), np.concatenate(labels)
        learner.learn(x, y)
        rows.append(
            {"round": turn, "labels": len(y), **judged(learner.scores(learner.features(test)).max(axis=1), wanted)}
        )
        print("b", encoder, "seed", seed, rows[-1], file=sys.stderr)
        if turn == ROUNDS:
            break
        known = learner.features(pool)
        frames_NT = learner.scores(known)
        scores = frames_NT.max(axis=1)
        own = learner.encoder.encode(x)
        seen = learner.head.decide(own[y]) + learner.bias  # type: ignore[union-attr]
        chosen = list(loops.propose_a(scores, taken, seen, EACH, seed + turn))
        taken[chosen] = True
        worst = known[np.arange(len(pool)), frames_NT.argmax(axis=1)]
        more = [loops.propose_b(own, y, worst, taken, EACH, seed + turn)]
        taken[more[0]] = True
        more.append(loops.propose_boundary(scores, taken, 3 * EACH - len(chosen) - len(more[0])))
        taken[more[1]] = True
        chosen = np.concatenate([chosen, *more]).astype(int)
        pictures.append(pool[chosen, frames_NT[chosen].argmax(axis=1)])
        labels.append(truth[chosen])
    return rows


# -- c -----------------------------------------------------------------------------------------------------------

HIGH, WIDE, SEEN = 96, 170, 8  # wide frames, eight a clip: four seconds
TRAIN, TEST_C = 300, 300


def wide_clip(world: World, rng: np.random.Generator, area: float | None) -> np.ndarray:
    """(8, 96, 170, 3); with an area the glyph fills a region of it, in one frame."""
    scene = ground(rng, HIGH, WIDE)
    frames = np.stack([np.roll(scene, t, axis=1) for t in range(SEEN)])
    at = int(rng.integers(SEEN))
    if area is not None:  # a region of the frame's shape, in which the sign is as high as it goes
        side = round(HIGH * np.sqrt(area))
        tile = np.zeros((side, round(WIDE * np.sqrt(area)), 3), np.uint8)
        left = (tile.shape[1] - side) // 2
        tile[:, left : left + side] = world._draw(world.glyph, side)
        top, start = int(rng.integers(0, HIGH - side + 1)), int(rng.integers(0, WIDE - tile.shape[1] + 1))
        frames[at, top : top + side, start : start + tile.shape[1]] = tile
    elif rng.random() < 0.5:  # another picture in a region is no sign
        other = cv2.resize(ground(rng), (round(WIDE * 0.447), round(HIGH * 0.447)), interpolation=cv2.INTER_AREA)
        top, start = int(rng.integers(0, HIGH - len(other) + 1)), int(rng.integers(0, WIDE - other.shape[1] + 1))
        frames[at, top : top + len(other), start : start + other.shape[1]] = other
    return frames


def part_c(world: World, encoder: str, seed: int) -> list[dict[str, Any]]:
    """A table cut-and-paste x crops at 20 % and 5 % of the area."""
    rng = np.random.default_rng([seed, 2])
    full = [small(paste(ground(rng), world.tile(rng, world.glyph, (0.8, 1.0)), rng)) for _ in range(TRAIN)]
    clean = [small(ground(rng)) for _ in range(TRAIN)]
    x, y = np.stack([*full, *clean]), np.array([True] * TRAIN + [False] * TRAIN)
    test = {area: np.stack([wide_clip(world, rng, area) for _ in range(TEST_C)]) for area in (0.20, 0.05, None)}
    rows = []
    for pasted in (False, True):
        learner = Learner(encoder, seed)
        learner.learn(*(augmented(x, y, seed, per_positive=3) if pasted else (x, y)))
        for cut in (False, True):
            scores = {area: _wide_scores(learner, made, cut) for area, made in test.items()}
            for area in (0.20, 0.05):
                values = np.concatenate([scores[area], scores[None]])
                truth = np.arange(len(values)) < TEST_C
                rows.append({"cut_and_paste": pasted, "crops": cut, "area": area, **judged(values, truth)})
                print("c", encoder, "seed", seed, rows[-1], file=sys.stderr)
    return rows


def _wide_scores(learner: Learner, made: np.ndarray, cut: bool) -> np.ndarray:
    """(N,) scores of wide clips: over three crops of every frame, or over the whole frame made square."""
    found = []
    for frames in made:
        pictures = crops(frames, SIDE).reshape(-1, SIDE, SIDE, 3) if cut else np.stack([small(f) for f in frames])
        found.append(learner.scores(learner.encoder.encode(pictures)[None]).max())
    return np.array(found)


# -- e -----------------------------------------------------------------------------------------------------------

POOL_E, RARE, SEEDS_E, BUDGET, STEP = 5000, 100, 5, 300, 50


def part_e(world: World, encoder: str, seed: int) -> dict[str, Any]:
    """How many of the 100 rare ones each loop finds with 300 labels."""
    rng = np.random.default_rng([seed, 3])
    kinds = ["rare"] * RARE + ["positive"] * 50 + ["hard"] * 200 + ["plain"] * (POOL_E - RARE - 250)
    order = rng.permutation(POOL_E)
    rare = np.array([kinds[i] == "rare" for i in order])
    truth = np.array([kinds[i] in ("rare", "positive") for i in order])
    pool = np.stack([small(_picture(world, rng, kinds[i])) for i in order])
    start = [small(_picture(world, rng, kind)) for kind, count in (("positive", 195), ("rare", SEEDS_E), ("plain", 170),
             ("hard", 30)) for _ in range(count)]  # fmt: skip
    first = np.stack(start), np.array([True] * 200 + [False] * 200)
    found = {name: _hunt(encoder, seed, pool, truth, rare, first, name) for name in ("loop_a", "loop_b")}
    row = {
        "seed": seed,
        **found,
        **{f"{k}_95": [round(100 * b) for b in clopper_pearson(v, RARE)] for k, v in found.items()},
    }
    print("e", encoder, row, file=sys.stderr)
    return row


def _picture(world: World, rng: np.random.Generator, kind: str) -> np.ndarray:
    """The class as it mostly is (glyph A), its rare kind (glyph B), another sign (C or a part), or nothing."""
    if kind in ("positive", "rare"):
        return world.positive(rng, "A" if kind == "positive" else "B")
    if kind == "hard":
        return (
            world.positive(rng, "C")
            if rng.random() < 0.5
            else world.hard(rng, str(rng.choice(["part", "text", "tile"])))
        )
    return ground(rng)


def _hunt(
    encoder: str, seed: int, pool: np.ndarray, truth: np.ndarray, rare: np.ndarray,
    first: tuple[np.ndarray, np.ndarray], loop: str,
) -> int:  # fmt: skip
    """Spend the labels of one loop, a step at a time, on features that stay as they are; rare ones found."""
    learner = Learner(encoder, seed)
    learner.learn(*first)
    own, y = learner.encoder.encode(first[0]), first[1]
    known = learner.encoder.encode(pool)
    taken = np.zeros(len(pool), bool)
    while taken.sum() < BUDGET:
        head = fit(own, y)
        if loop == "loop_a":
            chosen = loops.propose_a(head.decide(known), taken, head.decide(own[y]), STEP, seed + int(taken.sum()))
        else:
            chosen = loops.propose_b(own, y, known, taken, STEP, seed + int(taken.sum()))
        if not len(chosen):
            break
        taken[chosen] = True
        own, y = np.concatenate([own, known[chosen]]), np.concatenate([y, truth[chosen]])
    return int((taken & rare).sum())


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("b", "c", "e"), action="append")
    parser.add_argument("--encoder", choices=("gist", "cnn"), action="append")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--kits", type=Path, default=SHARED / "kits")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.kits / "shapes").is_dir():
        print(f"skipped: the kit {args.kits / 'shapes'} is not there")
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    world = World(kit(args.kits))
    makers = {"b": part_b, "c": part_c, "e": part_e}
    rows = {
        f"{part} {encoder} seed {seed}": makers[part](world, encoder, seed)
        for part in args.part or "bce" for encoder in args.encoder or ("gist", "cnn") for seed in args.seed or (1, 2, 3)
    }  # fmt: skip
    last = [found[-1]["recall"] for name, found in rows.items() if name.startswith("b cnn")]
    show("heads", min(last, default=None), "recall of b after round 3, cnn, the worst seed", "0.99", rows=rows)


if __name__ == "__main__":
    main()
