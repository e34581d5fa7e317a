"""`rushes submit`: the pipeline as a Ray job. The cluster runs `rushes run` on its engine; we follow its log."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from curate.errors import RushesError, SpecError
from curate.spec_file import load_spec

_POLL_S = 0.5


def submit(path: Path, overrides: list[str], address: str, until: str | None = None) -> int:
    """Submit, follow and return the exit code of the job's `rushes run`.

    Paths in the spec are the cluster's; a relative one is taken from the folder of this call, so it needs to be on
    storage that the cluster sees too.
    """
    load_spec(path, overrides)  # a wrong spec should fail here, not on the cluster
    from ray.job_submission import JobStatus, JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise SpecError(f"submit: no Ray job server at {address}: {error}") from error
    command = [sys.executable, "-m", "curate.cli", "run", str(path.absolute())]
    command += ["--set", "engine.kind=ray", "--set", "engine.address=auto"]
    if until is not None:
        command += ["--until", until]
    for override in overrides:
        command += ["--set", override]
    # The exit code is the last line of the log: a job's status only says that it failed.
    entrypoint = (
        f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(command)}; code=$?; echo rushes-exit-code=$code; exit $code"
    )
    try:
        job = client.submit_job(entrypoint=entrypoint)
    except RuntimeError as error:  # one that has just started has no agent for jobs yet, and says so
        raise RushesError(f"submit: {address} did not take the job: {str(error).strip()}") from error
    print(f"job {job} on {address}", file=sys.stderr, flush=True)
    return _follow(client, job, (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED))


def _follow(client: object, job: str, ended: tuple[object, ...]) -> int:
    shown, log = 0, ""
    try:
        while True:
            status = client.get_job_status(job)  # type: ignore[attr-defined]
            log = client.get_job_logs(job)  # type: ignore[attr-defined]
            sys.stderr.write(log[shown:])
            sys.stderr.flush()
            shown = len(log)
            if status in ended:
                break
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        client.stop_job(job)  # type: ignore[attr-defined]
        raise
    last = log.rstrip().rpartition("rushes-exit-code=")[2]
    if not last.isdigit():
        raise RushesError(f"job {job} ended without an exit code: {client.get_job_info(job).message}")  # type: ignore[attr-defined]
    return int(last)
