"""The Ray engine: each streaming segment is one Ray Data pipeline of actor pools over shard references.

An actor is a supervisor, as on the local engine: stage code runs in its child process, with the same threads and the
same limits, and writes parts to the same store. Ray moves references and restarts actors on lost nodes, nothing else;
its retries are finite, since a row that ends processes is the supervisor's business.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curate.engines import Shard
from curate.engines.supervisor import Supervisor
from curate.errors import RushesError, SpecError, StorageError
from curate.spec import Engine, Resource, Spec
from curate.spec_file import dump, parse
from curate.store import Part

# A node may be lost more than once in a long run, but an actor that dies this often has another illness.
_MAX_RESTARTS = 4


def connect(engine: Engine) -> bool:
    """Attach to the cluster that the spec or RAY_ADDRESS names, or start one; returns whether it is our own.

    Raises:
        SpecError: there is no cluster at that address.
    """
    where: dict[str, Any] = {"address": engine.address or os.environ.get("RAY_ADDRESS")}
    own = where["address"] is None
    if own:
        # A cluster of our own: on loopback only, without a dashboard unless the spec wants one.
        where = {"address": "local", "include_dashboard": engine.dashboard, "_node_ip_address": "127.0.0.1"}
        # Ray puts the machine's own address in the place of 127.0.0.1, unless it is told that this is no node of a
        # larger cluster; by its name that is for other systems, but it is read on all, when Ray is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to Ray's makers
    import ray

    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:
        raise SpecError(f"engine.address: no Ray cluster at {where['address']}: {error}") from error
    return own


class ShardActor:
    """Runs the works of one pool on shards. A shard travels as JSON: rows, the parts so far, an error."""

    def __init__(self, spec: dict[str, Any], out: str, works: list[str]) -> None:
        self._supervisor = Supervisor(parse(spec), Path(out))
        self._works = works

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run the shards of a batch (Ray Data gives one)."""
        return {"shard": [self._one(json.loads(str(text))) for text in batch["shard"]]}

    def _one(self, shard: dict[str, Any]) -> str:
        if not shard.get("error"):
            try:
                parts, rows = self._supervisor.run_chain(self._works, shard["rows"])
                shard = {**shard, "rows": rows, "parts": [*shard["parts"], *(asdict(part) for part in parts)]}
            except RushesError as error:  # Ray would wrap it beyond recognition
                shard = {**shard, "error": [type(error).__name__, str(error)]}
        return json.dumps(shard)


class RayEngine:
    """Embedded, attached to a cluster by address, or inside a submitted job: `ray.init` finds out which."""

    def __init__(self, spec: Spec, out: Path) -> None:
        self._spec, self._out = spec, out
        known = sys.modules.get("ray")  # not imported here: `connect` sets what it reads when it is
        self._owns = known is None or not known.is_initialized()
        if self._owns:
            connect(spec.engine)

    def run(self, works: Sequence[str], shards: Sequence[Shard]) -> Iterator[tuple[list[Part], int]]:
        """Stream the shards through one pool for each group of works with the same resources."""
        import ray.data

        # Ray Data sets its own level when it is imported; our progress says what a person needs.
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        items = [{"shard": json.dumps({"rows": shard, "count": len(shard), "parts": []})} for shard in shards]
        pipeline = ray.data.from_items(items, override_num_blocks=len(items))
        for resource, group in self._pools(works):
            pipeline = self._mapped(pipeline, resource, group)
        for row in pipeline.iter_rows():
            shard = json.loads(row["shard"])
            if shard.get("error"):
                name, message = shard["error"]
                raise StorageError(message) if name == "StorageError" else RushesError(message)
            yield [Part(**part) for part in shard["parts"]], shard["count"]

    def _mapped(self, pipeline: Any, resource: Resource, works: list[str]) -> Any:
        """Add one actor pool to the pipeline."""
        import ray.data

        with warnings.catch_warnings():
            # Retries are remote arguments, which Ray 2.64 removes without a substitute so far; hence our cap below it.
            warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
            return pipeline.map_batches(
                ShardActor,
                fn_constructor_kwargs={"spec": dump(self._spec), "out": str(self._out), "works": works},
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(min_size=resource.workers[0], max_size=resource.workers[1]),
                num_cpus=resource.cpus,
                num_gpus=resource.gpus or None,
                max_restarts=_MAX_RESTARTS,
                max_task_retries=_MAX_RESTARTS,
            )

    def _pools(self, works: Sequence[str]) -> list[tuple[Resource, list[str]]]:
        """Neighbouring works with equal resources share a pool: a shard stays where it is."""
        import ray

        whole = max(1, int(ray.cluster_resources().get("CPU", 1)))
        usual = Resource(workers=(1, self._spec.engine.workers or whole))
        pools: list[tuple[Resource, list[str]]] = []
        for work in works:
            resource = self._spec.engine.resources.get(work, usual)
            if pools and pools[-1][0] == resource:
                pools[-1][1].append(work)
            else:
                pools.append((resource, [work]))
        return pools

    def close(self) -> None:
        """Leave the cluster, and end it if it is ours."""
        import ray

        if self._owns and ray.is_initialized():
            ray.shutdown()
