"""The training of `rushes run` alone, with its end: `python -m tests.learning.train_child SPEC DATASET RUN`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from curate.cli import _terminate
from curate.errors import Interrupted, RushesError
from curate.plan import Plan
from curate.spec_file import load_spec
from curate.stages import learn


def main(spec: Path, dataset: Path, run: Path) -> int:
    """Train as the spec says; an error is the last line, with its class."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        learn.train(Plan(load_spec(spec)), dataset, run)
    except KeyboardInterrupt as stop:
        return getattr(stop, "exit_code", Interrupted("").exit_code)
    except RushesError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
