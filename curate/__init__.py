"""Rushes: raw footage to a video model.

>>> from curate import Run, load_spec
>>> Run(load_spec("pipelines/quickstart.yaml")).go()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.captioning import Answer, Ask, Captioner, Pictures, Prompt
    from curate.errors import (
        InputRejected,
        Interrupted,
        RushesError,
        SpecError,
        StageCrashed,
        StorageError,
        UnscreenedData,
    )
    from curate.ledger import Ledger
    from curate.run import Outcome, Run
    from curate.spec import Spec
    from curate.spec_file import load_spec
    from curate.stage import Clip, Detector, Fault, Frames, Score, Screen, column
    from curate.store import Store

__all__ = [
    "Answer", "Ask", "Captioner", "Clip", "Detector", "Fault", "Frames", "InputRejected", "Interrupted", "Ledger",
    "Outcome", "Pictures", "Prompt", "Run", "RushesError", "Score", "Screen", "Spec", "SpecError", "StageCrashed",
    "StorageError", "Store", "UnscreenedData", "column", "load_spec",
]  # fmt: skip

_HOME = {
    "captioning": ("Answer", "Ask", "Captioner", "Pictures", "Prompt"),
    "errors": (
        "InputRejected",
        "Interrupted",
        "RushesError",
        "SpecError",
        "StageCrashed",
        "StorageError",
        "UnscreenedData",
    ),
    "ledger": ("Ledger",),
    "run": ("Outcome", "Run"),
    "spec": ("Spec",),
    "spec_file": ("load_spec",),
    "stage": ("Clip", "Detector", "Fault", "Frames", "Score", "Screen", "column"),
    "store": ("Store",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `rushes --help` should not load Arrow."""
    from importlib import import_module

    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"curate.{module}"), name)
    raise AttributeError(f"module 'curate' has no attribute {name!r}")
