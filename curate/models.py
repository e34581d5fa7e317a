"""Models of screens and captioners: where their files lie and what they weigh, without loading any.

A model is a folder on this machine, or a name on a hub that was downloaded before. Only safetensors are read, and code
that comes with a model is never run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

from curate.errors import StageCrashed

_LOAD_S = 1800.0  # a large model on a cold disk; whatever takes longer hangs
_BEAT_S = 5.0
BATCH = 16  # pictures at once: enough to fill the vector units, small enough for any memory


def model_folder(model: str, revision: str | None = None, part: str = "") -> Path:
    """The folder of a model. ValueError where it is not, with what to do.

    part: the folder of this name in it, where the model is a pipeline of several.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise ValueError(
                f"{model} is neither a folder nor a model that was downloaded: name a folder, or fetch it first with "
                f"`huggingface-cli download {model}`"
            ) from error
    if part and (folder / part).is_dir():
        folder = folder / part
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no *.safetensors, and no other weights are read")
    return folder


@cache
def folder_sha256(folder: Path) -> str:
    """Digest of a model's weights and settings: every *.safetensors and *.json of the folder, by name."""
    digest = sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def file_sha256(path: Path) -> str:
    """Digest of one file, read once a process."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def device_of(name: str, stage: str) -> str:
    """The torch device of this name; `auto` is CUDA where there is one. StageCrashed where it cannot be used."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise StageCrashed(f"{stage}:device", "no CUDA device can be used here")
    return name


@contextmanager
def beating(alive: Callable[[], None]) -> Iterator[None]:
    """Say that progress is made while a library loads; nobody else uses the pipe meanwhile."""
    stop = threading.Event()

    def beat() -> None:
        until = time.monotonic() + _LOAD_S
        while not stop.wait(_BEAT_S) and time.monotonic() < until:
            alive()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
