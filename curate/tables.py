"""The tables of a plan and their keys.

A key is a hash of what a stage's rows depend on: its name, version and parameters, the reader that makes its pixels,
and the keys of the stages whose columns it reads. Rules and scheduling are not part of it, and neither is split's key:
a clip id is its span, so rows of a clip hold whichever split asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate import schema
from curate.ids import fingerprint
from curate.stage import PROXY, Score, Screen

if TYPE_CHECKING:
    from curate.captioning import Prompt
    from curate.plan import Plan

_KEY_LENGTH = 16


@dataclass(frozen=True)
class Table:
    """A stage's table in the store."""

    stage: str
    key: str
    schema: pa.Schema

    @property
    def name(self) -> str:
        """Folder of its parts."""
        return f"{self.stage}-{self.key}"


# Incidents hold whatever the spec says: their keys depend on nothing.
SEALED = Table("sealed", "1", schema.SEALED)
CLEARED = Table("cleared", "1", schema.CLEARED)


def key_of(stage: str, what: Any) -> str:
    """Key of a stage whose rows depend on `what`."""
    return fingerprint([stage, what])[:_KEY_LENGTH]


def tables_of(plan: Plan) -> dict[str, Table]:
    """Every table of a plan by stage, in the order in which they are made."""
    tables = _media(plan)
    if plan.stages.screen is not None and plan.stages.screen.sealed is not None:
        tables |= {SEALED.stage: SEALED}
    tables |= _captions(plan, tables)
    return tables | _encoded(plan, tables)


def _pixels(plan: Plan) -> dict[str, Any]:
    from curate.media import decode_pass, reader

    return {"reader": reader.VERSION, "pass": decode_pass.VERSION, "backend": _identity(plan.back_end)}


def _media(plan: Plan) -> dict[str, Table]:
    """What one pass over a source gives, and what is measured from its proxies."""
    from curate.media import reader

    pixels, split = _pixels(plan), plan.stages.split
    identities: dict[str, tuple[Any, pa.Schema]] = {
        "probe": ({"reader": reader.VERSION, "backend": _identity(plan.back_end)}, schema.PROBE),
        "split": (
            {
                **pixels,
                **_identity(plan.detector_class),
                "params": split.params,
                "min_s": split.min_s,
                "max_s": split.max_s,
                "truncated": split.truncated,
            },
            schema.SPLIT,
        ),
        "content": (pixels, schema.CONTENT),
        "frames": ({**pixels, "grid": repr(PROXY)}, schema.FRAMES),
    }
    if "edges" in plan.pass_stages():
        identities["edges"] = ({**pixels, "grid": repr(PROXY)}, schema.FRAMES)
    for name, score in plan.measures.items():
        identities[name] = (_measured(plan, name, score, pixels), schema.score_table(score))
    return {stage: Table(stage, key_of(stage, what), rows) for stage, (what, rows) in identities.items()}


def _measured(plan: Plan, name: str, score: Score, pixels: dict[str, Any]) -> dict[str, Any]:
    what = {
        **pixels,
        **_identity(type(score)),
        "grid": repr(score.frames),
        "reduce": score.reduce,
        "params": plan.stages.score.get(name, {}),
    }
    if score.reads == "proxies":
        what["reads"] = ["frames"]
    if isinstance(score, Screen):
        what |= {"reads": ["frames", "edges"], "categories": score.categories, "params": dict(score.identity())}
    return what


def _captions(plan: Plan, tables: dict[str, Table]) -> dict[str, Table]:
    if plan.captioner is None or plan.stages.caption is None:
        return {}
    from curate import captioning

    captioner, spec = plan.captioner, plan.stages.caption
    read = _stages_of(plan.caption_columns, tables) + (["frames"] if captioner.reads_frames else [])
    what = {
        **_identity(type(captioner)),
        "asking": captioning.VERSION,
        "asks": spec.model_dump(mode="json", include=set(type(spec).model_fields) - {"with_", "price", "match"}),
        "prompts": [_asked(captioner.prompts[kind]) for kind in spec.kinds],
        "params": dict(captioner.identity()),
        "reads": [tables[r].key for r in read],
    }
    made = {"caption": Table("caption", key_of("caption", what), schema.CAPTION)}
    # The checks are no part of its key: sharper ones judge what was written, and it stands.
    if plan.stages.check is not None:
        from captioner import checks

        seen = [tables[r].key for r in _stages_of(plan.check_columns, tables)]
        what = [checks.VERSION, made["caption"].key, seen, plan.stages.check.counts]
        made["check"] = Table("check", key_of("check", what), schema.CHECK)
    return made


def _stages_of(columns: list[str], tables: dict[str, Table]) -> list[str]:
    return sorted({name.partition(".")[0] for name in columns} & tables.keys())


def _asked(prompt: Prompt | None) -> list[str]:
    """The prompt, and those that it is followed by."""
    return [] if prompt is None else [prompt.sha256, *_asked(prompt.again)]


def _encoded(plan: Plan, tables: dict[str, Table]) -> dict[str, Table]:
    if plan.stages.encode is None:
        return {}
    from curate.stages import encode

    latents, pixels = plan.stages.encode.latents, _pixels(plan)
    what = {**pixels, "encode": encode.VERSION, "codec": plan.codec.fingerprint}
    # Another folder or device with the same weights makes the same latents.
    what["spec"] = {**latents.model_dump(mode="json", exclude=set(plan.codec.aside)), "multiple": plan.multiple}
    if plan.crops:
        what["reads"] = [tables["borders"].key]
    made = {"latent": Table("latent", key_of("latent", what), schema.LATENT)}
    if plan.stages.export is not None and plan.stages.export.clips == "mp4":
        from curate.media import cutting

        made["mp4"] = Table("mp4", key_of("mp4", {**pixels, "cutting": cutting.VERSION}), schema.MP4)
    for stage, encoder in plan.text_encoders.items():  # one that is listed elsewhere keeps its rows
        made[stage] = Table("text", key_of("text", encoder.fingerprint), schema.TEXT)
    return made


def _identity(made: type) -> dict[str, Any]:
    return {"name": made.name, "version": made.version}  # type: ignore[attr-defined]
