"""How the training of a spec is started: one process, several on this machine, or the workers of Ray Train.

`engine: {resources: {train: ...}}` says so. The numbers of a run do not depend on it but for the order of sums, so it
is no part of a key, and a run may go on with another number of ranks.
"""

from __future__ import annotations

from curate.errors import SpecError
from curate.spec import Resource, Spec


def ranks_of(spec: Spec) -> list[int]:
    """Return how many ranks the training may have, the most first: those of fewest..most that share packs evenly.

    Raises:
        SpecError: no number does, or the resources are none that a rank can use.
    """
    resource = spec.engine.resources.get("train")
    if resource is None or spec.train is None:
        return [1]
    if resource.gpus not in (0, 1):
        raise SpecError(f"gpus: {resource.gpus:g} for a rank of the training, which has one or none")
    if not (resource.cpus or resource.gpus):
        raise SpecError("cpus: 0 and gpus: 0 leave a rank of the training nothing to run on")
    fewest, most = resource.workers
    packs = spec.train.packs_per_step
    found = [count for count in range(most, fewest - 1, -1) if packs % count == 0]
    if not found:
        named = f"{most} ranks" if fewest == most else f"no number of ranks from {fewest} to {most}"
        raise SpecError(
            f"workers: {named} {'cannot' if fewest == most else 'can'} share the {packs} packs of a step evenly: set "
            f"`train: {{packs_per_step: ...}}` to a multiple of the number of workers"
        )
    return found


def command(spec: Spec) -> list[str]:
    """Return the module that trains, with what it needs to know beside dataset, folder and config.

    All end as `trainer.train` does: the last line on stderr is the error, the exit code its kind.
    """
    resource, ranks = spec.engine.resources.get("train"), ranks_of(spec)
    if resource is not None and spec.engine.kind == "ray":
        counts = [str(count) for count in ranks]
        return ["-m", "curate.engines.training", "--engine", spec.engine.model_dump_json(), "--ranks", *counts]
    if resource is not None and ranks[0] > 1:
        return ["-m", "trainer.launch", "--ranks", str(ranks[0]), "--threads", str(_threads(resource))]
    return ["-m", "trainer.train"]


def described(spec: Spec) -> str:
    """Return a sentence on how the training will be started."""
    resource, ranks = spec.engine.resources.get("train"), ranks_of(spec)
    if resource is not None and spec.engine.kind == "ray":
        each = f"{resource.cpus:g} CPUs" + (f" and {resource.gpus:g} GPU" if resource.gpus else "")
        where = spec.engine.address or "RAY_ADDRESS, or one of its own on loopback"
        counts = " or ".join(str(count) for count in ranks) if len(ranks) < 4 else f"{ranks[0]} to {ranks[-1]}"
        return f"by Ray Train on {counts} workers with {each} each; cluster: {where}"
    if resource is not None and ranks[0] > 1:
        return f"by {ranks[0]} processes on this machine, with {_threads(resource)} threads or a GPU each"
    return "by one process on this machine"


def _threads(resource: Resource) -> int:
    return max(1, int(resource.cpus))
