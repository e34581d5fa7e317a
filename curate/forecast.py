"""What the training of a spec will take, from its dataset, else from the clips of its ledger (trainer/planning.py)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from curate import snapshots
from curate.captioning import BOX, WHOLE, box_of
from curate.errors import InputRejected, SpecError
from curate.launching import described, ranks_of
from curate.ledger import Ledger
from curate.planning import standing_ledger
from curate.registry import nearest
from curate.run import Run

# Columns that say what a stage of the training draws.
_DRAWN_BY = ("width", "height", "source_class", "origin", "is_synthetic", "weight")
_SIZED_BY = ("width", "height", "num_frames", "fps", "start_pts", "end_pts", "time_base")
# Of a text token of umT5-XXL, which Wan's models read: what is assumed of a text model before its first text.
_WIDE_FEATURES = 4096


def forecast_of(
    job: Run, gpus: int | None, gpu: str | None, peak_tflops: float | None, mfu: float | None,
    note: Callable[[str], None],
) -> dict[str, Any] | None:  # fmt: skip
    """Return the forecast of the spec's training, None where it has none, or {"missing": what it would need}.

    Either says how it will be started (`launch`). Unless `gpus` says how many, the forecast is for as many as that is
    on, or else for the most of 1, 2, 4 and 8 that can share a step's packs.

    Raises:
        SpecError: the GPU is not known, the number is none, or the trainer would refuse the exported dataset.
    """
    from trainer import planning

    if gpu is not None and gpu not in planning.GPUS and peak_tflops is None:
        raise SpecError(f"--gpu {gpu}: give its --peak-tflops; {nearest(gpu, tuple(planning.GPUS))}")
    share = planning.DEFAULT_MFU if mfu is None else mfu
    if not (0 < share <= 1 and (peak_tflops is None or 0 < peak_tflops < math.inf)):
        raise SpecError(f"--mfu {share} must be above 0 and at most 1, --peak-tflops above 0")
    if job.spec.train is None:
        return None
    resource = job.spec.engine.resources.get("train")
    on_gpus = resource is not None and resource.gpus
    usual = ranks_of(job.spec)[0] if on_gpus else math.gcd(job.spec.train.packs_per_step, planning.DEFAULT_GPUS)
    hardware = planning.Hardware.of(gpus or usual, gpu, peak_tflops, share)
    return {"launch": described(job.spec), **_foreseen(job, hardware, note)}


def _foreseen(job: Run, hardware: Any, note: Callable[[str], None]) -> dict[str, Any]:
    """The forecast itself, or what it would need."""
    from curate.stages.export import export_key
    from trainer import planning

    config = job.spec.train
    if not (job.out / "spec.yaml").exists():
        return {"missing": "clips: nothing was run yet; the sizes are known once `split` is through"}
    ledger = standing_ledger(job, note)
    # A dataset of an earlier spec says nothing of this one.
    exported = snapshots.finished(job.out).get("export") if job.plan.stages.export is not None else None
    if exported is not None and exported == export_key(job.plan, ledger):
        return planning.forecast(config, _exported(job), hardware)
    material = _expected(job, ledger)
    if not len(material.shapes_N4):
        return {"missing": "clips: the ledger has none that are kept or pending"}
    try:
        return planning.forecast(config, material, hardware)
    except SpecError as error:  # of clips that are not all there yet
        return {"missing": f"clips that the training could draw: {error}"}


def _exported(job: Run) -> Any:
    """What the exported dataset holds; latents are not read."""
    import numpy as np

    from curate.dataset.reader import Dataset
    from trainer.planning import Material

    path = job.out / "dataset"
    data = Dataset(path, text_encoder=job.spec.train.text_encoder, verify=False)
    if not len(data):
        raise SpecError(f"{path} has no clip")
    encoders = (
        Dataset(path, text_encoder=name, verify=False) for name in (None, *data.card.get("more_text_encoders", ()))
    )
    text_bytes = sum(2 * math.prod(shape) for each in encoders for shape in each.text_shapes)
    columns = {name: data.columns[name] for name in _DRAWN_BY if name in data.columns}
    return Material(
        "the exported dataset", np.array(data.columns["shape"], np.int64), columns, text_bytes, data.longest_text,
        data.text_shapes[0][1], data.text_encoder["name"] == "hashed",
    )  # fmt: skip


def _expected(job: Run, ledger: Ledger) -> Any:
    """What the clips of the ledger will be once they are encoded as the spec says."""
    import numpy as np

    from curate.stages.encode import expected_size
    from trainer.planning import Material

    plan, clips = job.plan, ledger.where("kept", "pending")
    shapes, columns, too_small = [], {name: [] for name in _DRAWN_BY}, 0  # type: ignore[var-annotated]
    codec, latents = plan.codec, plan.stages.encode.latents  # type: ignore[union-attr]
    # Of a ledger with a hundred columns a few are asked for.
    asked = {*_SIZED_BY, *_DRAWN_BY, *(BOX if plan.crops else ())}.intersection(clips.column_names)
    for row in clips.select(sorted(asked)).to_pylist():
        try:
            count, height, width = expected_size(
                row, latents, plan.multiple, codec.time_factor, box_of(row) if plan.crops else WHOLE
            )
        except InputRejected:
            too_small += 1
            continue
        factor = codec.space_factor
        shapes.append((codec.channels, 1 + (count - 1) // codec.time_factor, height // factor, width // factor))
        row |= {"width": width, "height": height}
        for name, values in columns.items():
            values.append(row.get(name))
    assumed = ["latents of the sizes that the ledger's clips will be encoded at"]
    waiting = sum(outcome == "pending" for outcome in clips["outcome"].to_pylist())
    if waiting:
        assumed.append(f"all {waiting} clips that are not decided yet are kept")
    if too_small:
        assumed.append(f"{too_small} clips are below one block, and will be quarantined")
    text_bytes, words, features, refined = _texts(job, assumed)
    return Material(
        "the ledger", np.array(shapes, np.int64).reshape(-1, 4), columns, text_bytes, words, features, refined, assumed
    )


def _texts(job: Run, assumed: list[str]) -> tuple[int | None, int | None, int, bool]:
    """Bytes of all texts that are encoded, words of the longest, features of a token, and whether they are refined.

    The last three are of the encoder that is trained on.
    """
    plan, wanted = job.plan, job.spec.train.text_encoder
    total, words, features = 0, None, None
    trained = next((stage for stage, text in plan.text_stages.items() if wanted in (None, text.label)), None)
    if trained is None:
        labels = tuple(text.label for text in plan.text_stages.values())
        raise SpecError(f"train: text_encoder: `encode: text` has no {wanted!r}; {nearest(wanted or '', labels)}")
    for stage in plan.text_stages:
        table = plan.tables[stage]
        shapes = [s for s in job.store.read(table.name, table.schema, ["text_id", "shape"])["shape"].to_pylist() if s]
        total += sum(2 * math.prod(shape) for shape in shapes)
        if stage == trained and shapes:
            words, features = max(shape[0] for shape in shapes), shapes[0][1]
    refined = plan.text_stages[trained].encoder == "hashed"
    if features is None:
        features = plan.text_encoders[trained].dim if refined else _WIDE_FEATURES
        if not refined:
            assumed.append(f"texts of {features} numbers a token, as umT5-XXL's")
    return total or None, words, features, refined


def lines_of(found: dict[str, Any]) -> list[str]:
    """A forecast as lines to read."""
    if "missing" in found:
        return ["", f"training: {found['launch']}; not foreseen for want of {found['missing']}"]
    disk, tokens = found["disk"], found["tokens"]
    spread = ", ".join(f"{name} {value}" for name, value in tokens["of_clips"].items())
    texts = "?" if disk["texts"] is None else _bytes(disk["texts"])
    writing = " and one being written" if disk["checkpoints"] > disk["checkpoints_kept"] * disk["checkpoint"] else ""
    lines = [
        "", f"training, by {found['source']}: {found['clips']} clips, {found['parameters']:,} parameters",
        f"launch    {found['launch']}",
        f"disk      latents {_bytes(disk['latents'])} and texts {texts}, in {disk['copies']} copies each (store, "
        f"dataset); checkpoints {_bytes(disk['checkpoints'])} ({_bytes(disk['checkpoint'])} each, "
        f"{disk['checkpoints_kept']} kept{writing}); model {_bytes(disk['model'])}",
        f"tokens    of a clip: {spread}; of the dataset {tokens['of_dataset']:,}; of the run {tokens['of_run']:,}",
        f"flops     {found['flops']:.3g}",
        *(f"hours     {_hours(hours)} on {found['gpus']} x {name} at mfu {found['mfu']}"
          for name, hours in found["hours"].items()),
    ]  # fmt: skip
    for number, stage in enumerate(found["stages"], 1):
        memory = stage["memory"]
        parts = ", ".join(f"{name} {_bytes(value)}" for name, value in memory.items() if name != "peak" and value)
        lines += [
            f"stage {number}   {stage['steps']} steps, {stage['epochs']:.2f} epochs of {stage['clips']} clips; a step: "
            f"{stage['clips_per_step']:.1f} clips, {stage['tokens_per_step']:,.0f} tokens",
            f"          memory of a rank: peak {_bytes(memory['peak'])} ({parts}; activations, casts and"
            " optimizer_work are estimates)",
        ]  # fmt: skip
    lines += [f"assumed:  {text}" for text in found["assumed"]]
    return lines + [f"warning:  {text}" for text in found["warnings"]]


def _hours(count: float) -> str:
    return "below 0.01" if 0 < count < 0.01 else f"{count:,.2f}" if count < 100 else f"{count:,.0f}"


def _bytes(count: int) -> str:
    """Bytes as people read them: 1 GB is 1e9."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
