"""From a spec to stages with their keys; what can be wrong with a spec is found here, before a frame is read.

Keys are made in curate/tables.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pyarrow as pa

from curate.errors import SpecError
from curate.launching import ranks_of
from curate.policy import load_policy
from curate.registry import build, nearest, resolve
from curate.screening import calibrations, judges, known_lists, refuse_unscreened_to_leave
from curate.spec import Rule, Spec, Text
from curate.stage import PROXY, Score, Screen
from curate.tables import Table as Table
from curate.tables import key_of, tables_of

# Columns that every clip has, beside the scores: name -> what a rule may compare it with
CLIP_COLUMNS = {
    "duration_s": "number",
    "num_frames": "number",
    "width": "number",
    "height": "number",
    "fps": "number",
    "license": "text",
    "source_class": "text",
    "is_synthetic": "text",
    "origin": "text",
}
ENCODED = ("latent", "mp4")
CLIP_WORKS = ("caption", "check", *ENCODED)  # what is made of clips that nothing stopped, in this order
KNOWN_STAGE = "known_hashes"  # rides where a spec names lists of known material; the gate asks it frame by frame
_LEAST_MULTIPLE = 16  # what a transformer with patches of two takes, should one be trained on the dataset later
HASH_STAGE = "phash"  # perceptual deduplication reads it; it rides on the pass like a score


@contextmanager
def said_at(*key: str) -> Iterator[None]:
    """Note on a SpecError which key of the spec it is about, so that the file's line can be told."""
    try:
        yield
    except SpecError as error:
        error.key = error.key or key
        raise


class Plan:
    """The stages of a spec. Creating it checks the spec; tables and keys are computed on first use."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.stages = spec.stages
        self.scores: dict[str, Score] = {}
        for name, params in spec.stages.score.items():
            with said_at("stages", "score", name):
                if issubclass(resolve("score", name), Screen):
                    raise SpecError(f"score: {name} is a screen; name it under `screen:`")
                self.scores[name] = build("score", name, params)
        with said_at("media", "backend"):
            self.back_end = resolve("backend", spec.media.backend)
        with said_at("stages", "split"):
            self.detector_class = resolve("detector", spec.stages.split.detector)
            self.detector()
            if spec.stages.split.max_s < spec.stages.split.min_s:
                raise SpecError("split: max_s is below min_s")
        with said_at("stages", "dedup"):
            self.dedup: Any = None
            if spec.stages.dedup:
                from filters.dedup.cluster import dedup_params

                self.dedup = dedup_params(spec.stages.dedup)
        if self.dedup is not None and self.dedup.perceptual is not None:
            self.scores.setdefault(HASH_STAGE, build("hash", HASH_STAGE, {}))
        with said_at("stages", "screen"):
            self._check_scores()
            screen = spec.stages.screen
            self.policy = load_policy(screen.policy) if screen is not None else None
            self.judges = judges(screen, self.policy)
            self.calibration = calibrations(screen, self.judges)
            self.known = known_lists(screen)
            if self.known is not None:
                self.scores.setdefault(KNOWN_STAGE, build("score", KNOWN_STAGE, {}))
        self.screens = {judge.stage: judge.screen for judge in self.judges if not judge.reads_texts}
        self.rules: dict[str, tuple[str, Rule]] = {}
        for name, rule in spec.stages.keep.items():
            with said_at("stages", "keep", name):
                self.rules[name] = self._check_rule(name, rule)
        with said_at("stages", "caption"):
            self.captioner = self._captioner()
        with said_at("stages", "caption", "match"):
            self.match_model = self._match_model()
        with said_at("stages", "check"):
            self._check_checks()
        with said_at("stages", "encode"):
            self._check_multiple()
            self._check_memory()
        with said_at("stages", "encode", "text"):
            self.text_encoders  # noqa: B018 models that are not there are found here
        with said_at("engine", "resources", "train"):
            ranks_of(spec)
        self.tables = tables_of(self)

    # -- parts of the check ------------------------------------------------------------------------------------

    def _check_scores(self) -> None:
        """A score of proxies is given those of one grid."""
        for name, score in self.scores.items():
            if score.reads == "proxies" and score.frames != PROXY:
                raise SpecError(f"score: {name} reads proxies, so its `frames` must be curate.stage.PROXY")

    def _check_rule(self, name: str, rule: Rule) -> tuple[str, Rule]:
        """Return the ledger column that a rule reads, and the rule."""
        if name in CLIP_COLUMNS:
            if CLIP_COLUMNS[name] == "number" and (rule.allow or rule.deny):
                raise SpecError(f"keep.{name}: a number takes min and max, not allow or deny")
            if CLIP_COLUMNS[name] == "text" and (rule.min is not None or rule.max is not None):
                raise SpecError(f"keep.{name}: a text takes allow and deny, not min or max")
            return name, rule
        stage, _, column = name.partition(".")
        if stage not in self.scores:
            if stage in {judge.name for judge in self.judges} | set(self.screens):
                raise SpecError(f"keep.{name}: {stage} is a screen; what it may not find says the policy alone")
            known = [*self.scores, *CLIP_COLUMNS]
            raise SpecError(f"keep.{name}: no score of that name is in the spec; {nearest(stage, known)}")
        score = self.scores[stage]
        names = [field.name for field in score.fields]
        if column and column not in names:
            raise SpecError(f"keep.{name}: {stage} has no column {column!r}; {nearest(column, names)}")
        is_text = pa.types.is_string(score.fields[names.index(column or names[0])].type)
        if is_text and (rule.min is not None or rule.max is not None):
            raise SpecError(f"keep.{name}: a text takes allow and deny, not min or max")
        if not is_text and (rule.allow or rule.deny):
            raise SpecError(f"keep.{name}: a number takes min and max, not allow or deny")
        if not column or column == names[0]:
            wrong = {"better": "max", "worse": "min"}.get(score.higher_is)
            if wrong and getattr(rule, wrong) is not None and getattr(rule, "min" if wrong == "max" else "max") is None:
                raise SpecError(
                    f"keep.{name}: `{wrong}` alone on a score where higher is {score.higher_is} keeps the bad ones; "
                    f"use `{'min' if wrong == 'max' else 'max'}`"
                )
        return f"{stage}.{column or names[0]}", rule

    @property
    def unit(self) -> tuple[int, int]:
        """Pixels that a (width, height) must be a multiple of: the codec's blocks, times the patches of the model."""
        train = self.spec.train
        _, rows, columns = train.dims.patch if train is not None else (1, 1, 1)
        return self.codec.space_factor * columns, self.codec.space_factor * rows

    @property
    def multiple(self) -> int:
        """What the sides of encoded frames are multiples of: as the spec says, or 16 and all units."""
        assert self.stages.encode is not None
        said = self.stages.encode.latents.multiple
        return math.lcm(_LEAST_MULTIPLE, *self.unit) if said is None else said

    def _check_multiple(self) -> None:
        if self.stages.encode is None:
            return
        for unit in self.unit:
            if self.multiple % unit:
                raise SpecError(
                    f"encode.latents.multiple: {self.multiple} is not a multiple of {unit}, the pixels of a "
                    f"{'token' if self.spec.train is not None else 'block'} of the latents"
                )

    def _check_memory(self) -> None:
        """A codec with a budget of memory must fit into the workers that it is given to, if those have a limit."""
        said = getattr(self.codec, "memory_gb", None) if self.stages.encode is not None else None
        limit = self.spec.engine.worker_memory_gib
        if said is not None and limit is not None and said * 1e9 > limit * 2**30:
            raise SpecError(
                f"encode.latents.memory_gb: {said:g} is more than a worker without a GPU may have: lower it below "
                f"a third of engine.limits.memory_gib ({limit:g}), raise that, or name `gpus` under "
                "engine.resources"
            )

    @property
    def measures(self) -> dict[str, Score]:
        """Scores and screens: everything that is measured clip by clip."""
        return {**self.scores, **self.screens}

    @property
    def riding(self) -> dict[str, Score]:
        """Measures that are taken while a source is decoded."""
        return {name: score for name, score in self.measures.items() if score.reads == "frames"}

    @property
    def proxied(self) -> dict[str, Score]:
        """Measures that are taken from stored proxies."""
        return {name: score for name, score in self.measures.items() if score.reads == "proxies"}

    def _captioner(self) -> Any:
        spec = self.stages.caption
        if spec is None:
            return None
        own = ("with", *(name for name in type(spec).model_fields if name != "with_"))
        captioner = build("captioner", spec.with_, spec.params, own=own)
        known = self._measured_columns()
        # Only what the bytes decide: metadata may change without the clip's id, and so without the caption's key.
        known |= {name for name, kind in CLIP_COLUMNS.items() if kind == "number"}
        try:
            from captioner.prompting import fact_columns

            self._facts = fact_columns(spec.facts)
        except ValueError as error:
            raise SpecError(f"caption: {error}") from error
        for need in (*captioner.needs, *self._facts):
            if need not in known:
                raise SpecError(f"caption: {captioner.name} reads {need!r}; add its score to `score:`")
        if captioner.name == "server":
            serves = "caption" in (resources := self.spec.engine.resources) and resources["caption"].serve is not None
            if serves == (captioner.url is not None):
                raise SpecError("caption: a `url`, or `engine.resources.caption.serve`: one of them, not both")
            if captioner.leaves_the_host:
                refuse_unscreened_to_leave(self.stages.screen)
        return captioner

    def _match_model(self) -> Any:
        """The folder of the model that tests captions, if one does."""
        match = self.stages.caption.match if self.stages.caption is not None else None
        if match is None:
            return None
        from curate.clip_model import clip_folder

        return clip_folder(match.model)

    def _check_checks(self) -> None:
        from captioner.checks import CODES

        check = self.stages.check
        known = self._measured_columns()
        for code in check.actions if check else ():
            if code not in CODES:
                raise SpecError(f"check.actions: unknown code {code!r}; {nearest(code, tuple(CODES))}")
        for noun, name in check.counts.items() if check else ():
            if name not in known:
                raise SpecError(f"check.counts.{noun}: no score of the spec has a column {name!r}")

    def _measured_columns(self) -> set[str]:
        return {f"{name}.{field.name}" for name, score in self.scores.items() for field in score.fields}

    @property
    def caption_columns(self) -> list[str]:
        """Columns that the captioner is given: those it needs, and of those it uses what is measured."""
        if self.captioner is None:
            return []
        measured = self._measured_columns()
        used = [name for name in self.captioner.uses if name in measured]
        return list(dict.fromkeys(["duration_s", *self.captioner.needs, *self._facts, *used]))

    @property
    def check_columns(self) -> list[str]:
        """Measured columns that a caption may contradict."""
        from captioner.evidence import COLUMNS

        check = self.stages.check
        if check is None:
            return []
        measured = self._measured_columns()
        return [*(name for name in COLUMNS if name in measured), *check.counts.values()]

    @property
    def crops(self) -> bool:
        """Whether latents leave the bars out that `borders` found."""
        encode = self.stages.encode
        return encode is not None and encode.latents.crop == "auto" and "borders" in self.scores

    @cached_property
    def codec(self) -> Any:
        """The latent codec of the spec."""
        from curate.codecs import latent_codec

        assert self.stages.encode is not None
        return latent_codec(self.stages.encode.latents.codec, **self.stages.encode.latents.params)

    @property
    def text_stages(self) -> dict[str, Text]:
        """The text encoders of the spec by the names of their tables: `text` for the first, then `text_NAME`."""
        texts = self.stages.encode.text if self.stages.encode is not None else ()
        return {"text" if place == 0 else f"text_{text.label}": text for place, text in enumerate(texts)}

    @cached_property
    def text_encoders(self) -> dict[str, Any]:
        """The text encoders, by the names of their tables."""
        from curate.codecs import text_encoder

        return {stage: text_encoder(text.encoder, **text.params) for stage, text in self.text_stages.items()}

    def detector(self) -> Any:
        """A fresh scene detector: one a source, since it keeps state."""
        return build(
            "detector",
            self.stages.split.detector,
            self.stages.split.params,
            own=tuple(type(self.stages.split).model_fields),
        )

    def pass_stages(self) -> list[str]:
        """Stages that ride on the decode pass, by clip."""
        screened = any(isinstance(score, Screen) for score in self.proxied.values())
        return ["content", "frames", *(["edges"] if screened else []), *self.riding]

    def measured_stages(self) -> list[str]:
        """Stages whose rows every clip has before anything is decided."""
        return [*self.pass_stages(), *self.proxied]

    def snapshot_key(self, stage: str, what: Any) -> str:
        """Key of a dataset-wide stage: what it is, and the digest of what it read."""
        return key_of(stage, what)
