"""Training and sampling as stages of a run: each in a process of its own, so that the driver never imports torch."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from curate import launching
from curate.dataset.receipts import LEAST_DIGITS
from curate.errors import Interrupted, RushesError, SpecError, StorageError, Terminated, UnscreenedData
from curate.extras import require
from curate.plan import Plan
from curate.policy import Policy
from curate.spec import REQUIRED_CATEGORIES
from curate.store import write_atomic

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
# glibc gives the memory of large tensors back to the kernel and faults it in again at the next step, which costs a
# small model several per cent of its time. What a trainer used once it will use again. 32 MiB is glibc's own limit.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**25)}

_ERROR = re.compile(r"(?:error: )?(rank \d+: )?(UnscreenedData: )?(.*)")


def train_key(plan: Plan, content: str) -> str:
    """Key of a training run: its data, and its configuration without what only schedules it."""
    from trainer.config import SCHEDULING, VERSION
    from trainer.provenance import init_sha256

    config = plan.spec.train.model_dump(mode="json", exclude=set(SCHEDULING))
    start = [] if plan.spec.train.init is None else [init_sha256(Path(plan.spec.train.init))]
    return plan.snapshot_key("train", [VERSION, content, config, *start])


def sample_key(plan: Plan, train: str, requests: Any) -> str:
    """Key of the samples: the run that makes them, what was asked, and the bytes of what was given."""
    from trainer.config import FILES

    given = [request[name] for request in requests for name in FILES if name in request]
    digests = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in given if Path(path).is_file()}
    config = plan.spec.sample.model_dump(mode="json", exclude={"threads", "prompts"})
    return plan.snapshot_key("sample", [train, config, requests, digests])


def refuse_unscreened(plan: Plan) -> None:
    """Refuse before the first hour is spent what the trainer would refuse after the last one.

    Raises:
        UnscreenedData: a required category has no screen, or none that anybody calibrated, and `train` does not accept
            that by name; or another policy is required.
    """
    train, policy, screen = plan.spec.train, plan.policy, plan.stages.screen
    names = {policy.name, f"{policy.name}/{screen.profile}"} if policy is not None and screen is not None else set()
    wanted = train.require_policy
    if wanted is not None and wanted not in names and not _begins(policy, wanted):
        raise UnscreenedData(
            f"train.require_policy wants {wanted}, and the spec screens by {min(names, default='none')}"
        )
    for category in REQUIRED_CATEGORIES:
        judges = [judge for judge in plan.judges if judge.category == category]
        if not judges and category not in train.allow_unscreened:
            raise UnscreenedData(
                f"{category} is not screened, so the trainer would refuse the dataset: name a screen under "
                f"`screen: {{{category}: [...]}}`, or accept it with `train: {{allow_unscreened: [{category}]}}`"
            )
        if judges and category not in train.allow_uncalibrated and category not in plan.calibration:
            raise UnscreenedData(
                f"nobody has calibrated {' or '.join(j.name for j in judges)} for {category}, so the trainer would "
                "refuse the dataset: add a head of `rushes head`, measure them with `rushes screen eval`, or accept it "
                f"with `train: {{allow_uncalibrated: [{category}]}}`"
            )


def _begins(policy: Policy | None, wanted: str) -> bool:
    """Whether a policy is named by the beginning of its sha256, as the trainer accepts it."""
    return policy is not None and len(wanted) >= LEAST_DIGITS and policy.sha256.startswith(wanted)


def train(plan: Plan, dataset: Path, run_dir: Path) -> None:
    """Train, or go on training, in a child process; it starts the ranks where there are several.

    Raises:
        UnscreenedData, SpecError: the trainer refused; its sentence is the message.
    """
    config = run_dir.with_suffix(".json")
    write_atomic(config, plan.spec.train.model_dump_json(indent=1).encode(), replace=True)
    given = ["--dataset", str(dataset), "--out", str(run_dir), "--config", str(config)]
    _run([*launching.command(plan.spec), *given], "train")


def sample(plan: Plan, run_dir: Path, out_dir: Path) -> None:
    """Make the samples that the spec asks for; `out_dir` is replaced as a whole, or not at all."""
    config, prompts = run_dir.parent / "sample.json", run_dir.parent / "prompts.jsonl"
    write_atomic(config, plan.spec.sample.model_dump_json(indent=1).encode(), replace=True)
    lines = "".join(json.dumps(request) + "\n" for request in requests_of(plan))
    write_atomic(prompts, lines.encode(), replace=True)
    paths = {"--run": run_dir, "--prompts": prompts, "--out": out_dir, "--config": config}
    _run(["-m", "trainer.sample", *(str(part) for pair in paths.items() for part in pair)], "sample")


def requests_of(plan: Plan) -> list[dict[str, Any]]:
    """What the spec asks to sample, as plain values; relative paths are taken from the folder of the call.

    Raises:
        SpecError: a prompts file cannot be read, or an image or video that a request names is not there.
    """
    return _requests(plan.spec.sample, "sample")


def _requests(sizes: Any, key: str) -> list[dict[str, Any]]:
    from trainer.config import read_requests

    requests = read_requests(sizes.prompts, Path.cwd(), key)
    return [json.loads(request.model_dump_json(exclude_none=True)) for request in requests]


def refuse_missing_weights(plan: Plan) -> None:
    """Refuse before the first hour is spent when the weights to start from are not there.

    Raises:
        SpecError: `train.init` names a folder without weights.
    """
    from trainer.provenance import init_files

    if plan.spec.train.init is not None:
        init_files(Path(plan.spec.train.init))


def refuse_unfit_requests(plan: Plan) -> None:
    """Refuse before the training what the sampler would refuse after it.

    Raises:
        SpecError: a size that is no multiple of the tokens, or a count of given frames that is no span of latents.
    """
    _refuse_unfit(plan, plan.spec.sample, "sample")


def refuse_unwatchable(plan: Plan) -> None:
    """Refuse before the first hour is spent what the training could not show while it runs.

    Raises:
        SpecError: `train.samples` asks for what cannot be made, or TensorBoard is not installed.
    """
    if plan.spec.train.samples is not None:
        _refuse_unfit(plan, plan.spec.train.samples, "train.samples")
    if plan.spec.train.tensorboard:
        try:
            require("tensorboard", "tensorboard")
        except ModuleNotFoundError as error:
            raise SpecError(f"train.tensorboard: {error}") from error


def _refuse_unfit(plan: Plan, sizes: Any, key: str) -> None:
    for place, request in enumerate(_requests(sizes, key)):
        for name, unit in zip(("width", "height"), plan.unit, strict=True):
            value = request.get(name) or getattr(sizes, name)
            if value and value % unit:
                raise SpecError(f"{key} {place}: {name} {value} is not a multiple of {unit} pixels")
        given, last, factor = request.get("given_frames"), request.get("given_last"), plan.codec.time_factor
        if request.get("direction") == "backward":
            given, last = None, given  # what is given stands at the end, where every latent frame is whole
        if given and (given - 1) % factor:
            raise SpecError(f"{key} {place}: given_frames is {given}, and must be 1 + {factor}k")
        if last and last % factor:
            raise SpecError(f"{key} {place}: {last} frames are given at the end, and must be {factor}k")


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(arguments: list[str], what: str) -> None:
    """Run a module; its log goes to our stderr, its last line there is the error.

    It has a session of its own: a terminal's Ctrl-C reaches us alone, and we pass it on once, since a second one would
    end it before its checkpoint is written.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_die_with_parent,
        env={**_KEEP_MEMORY, **os.environ},
    )
    try:
        last = _relay(process)
    except KeyboardInterrupt as stop:
        process.send_signal(signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
        _relay(process)  # it saves a checkpoint and goes
        process.wait()
        raise
    code = process.wait()
    if code == StorageError.exit_code:
        raise StorageError(last.removeprefix("error: "))
    if code == Interrupted("").exit_code:
        raise KeyboardInterrupt
    if code == SpecError.exit_code:
        # Where several ranks speak, the one that failed is named before: "error: rank 1: UnscreenedData: ...".
        rank, named, sentence = _ERROR.fullmatch(last).groups(default="")  # type: ignore[union-attr] it takes any line
        raise (UnscreenedData if named else SpecError)(rank + sentence)
    if code != 0:
        raise RushesError(
            f"{what} ended with exit code {code}: {last or 'no message'}; run again to go on from its last checkpoint"
        )


def _relay(process: subprocess.Popen[str]) -> str:
    """Pass a process's stderr on until it closes, but for an error at its end, which we raise; its last line."""
    assert process.stderr is not None
    last = held = ""
    for line in process.stderr:
        sys.stderr.write(held)
        held = line if line.startswith("error: ") else ""
        if not held:
            sys.stderr.write(line)
        last = line.strip() or last
    process.stderr.close()
    return last
