"""Whether captions fit their own clips: measured on a sample, once for a state of the captions, and held to a bound.

It runs in the driver, between captions and encoding: it makes no rows that a worker would commit, and looks at a few
hundred clips, whatever the size of the run. What it found stands in OUT/caption_match.json, with the key of what it is
about.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CaptionsMismatched, RushesError, StorageError
from curate.ledger import Ledger
from curate.models import folder_sha256
from curate.spec_captions import CaptionSpec, Match
from curate.store import write_atomic

if TYPE_CHECKING:
    from curate.run import Run

FILE = "caption_match.json"
STEP = "match"


def tested(run: Run, ledger: Ledger) -> RushesError | None:
    """Test the captions, unless these were tested; what keeps the run from going on, if anything does.

    Raises:
        SpecError: the model cannot be used.
    """
    spec = run.plan.stages.caption
    if spec is None or spec.match is None:
        return None
    from captioner import evaluation

    match, model = spec.match, run.plan.match_model
    chosen = evaluation.sample(run.plan, ledger, kinds_of(spec), match)
    key = evaluation.key(run.plan, chosen, model, match)
    record = recorded(run.out)
    if record is None or record["key"] != key:

        def told(done: int, total: int) -> None:
            run.progress(STEP, done, total)

        figures = evaluation.captions(run.plan, run.store, chosen, model, match, told)
        about = {"model": match.model, "weights": folder_sha256(model), "how": match.how}
        record = {"key": key, **about, **figures}
        write_atomic(run.out / FILE, (json.dumps(record, indent=1) + "\n").encode(), replace=True)
        run.computed[STEP] = len(chosen.clips)
    return refusal(record, match) if chosen.out_of else None


def kinds_of(spec: CaptionSpec) -> tuple[str, ...]:
    """The kinds of captions that are tested."""
    assert spec.match is not None
    return spec.match.kinds or spec.kinds


def recorded(out: Path) -> dict[str, Any] | None:
    """What was found last; None where nothing was tested.

    Raises:
        StorageError: the file is damaged.
    """
    path = out / FILE
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        return {**record, "key": str(record["key"]), "captions": dict(record["captions"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged ({error}); remove it: the captions are then tested again") from error


def refusal(record: dict[str, Any], match: Match) -> RushesError | None:
    """Why a run with these figures must not go on: a rate below the bound, or captions that have no rate.

    A kind that was to be tested and could not be is said: silence would pass for a test.
    """
    for kind, row in record["captions"].items():
        if row["match_rate"] is None:
            why = f"{row['lost']} of them have no readable frames" if row["lost"] else "all of them say the same"
            if row["n"] + row["lost"] < 2:
                why = f"there are {row['n'] + row['lost']} of them, and two are needed; see caption.match.kinds"
            return CaptionsMismatched(f"nobody can say whether the {kind} captions fit their clips: {why}")
        if row["match_rate"] is not None and row["match_rate"] < match.min_rate:
            worst = ", ".join(entry["clip"][:12] for entry in row["worst"])
            return CaptionsMismatched(
                f"{kind} captions fit their own clips better than others in {row['match_rate']:.1%} of "
                f"{row['comparisons']} comparisons, fewer than caption.match.min_rate = {match.min_rate:.1%}: they may "
                f"stand on the wrong clips, and nothing is exported. Worst: {worst}; `rushes explain` shows them"
            )
    return None
