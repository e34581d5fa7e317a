"""Models of screens and captioners: where their files lie and what they weigh, without loading any.

A model is a folder on this machine, or a name on a hub that was downloaded before. Only safetensors are read, and code
that comes with a model is never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from curate import durable
from curate.errors import StageCrashed

BATCH = 16  # pictures at once: enough to fill the vector units, small enough for any memory
_READ = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "tokenizer*", "vocab*", "merges*")
_Stamp = tuple[str, int, int]  # path, bytes, nanoseconds of the last change
_DIGESTS: dict[_Stamp, str] = {}


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
            if isinstance(error, HFValidationError):  # no name of a hub, such as a path
                raise ValueError(
                    f"{model} is neither a folder nor a model that was downloaded, nor is it a hub's name"
                ) from error
            raise ValueError(
                f"{model} is neither a folder nor a model that was downloaded: name a folder, or fetch it first with "
                f"`hf download {model}`"
            ) from error
    if part and (folder / part).is_dir():
        folder = folder / part
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no *.safetensors, and no other weights are read")
    return folder


def weights_dtype(folder: Path) -> str:
    """`bf16` where most bytes of a model's weights are bfloat16, else `fp32`: the same on every machine.

    ValueError where a file is no safetensors.
    """
    size: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                tensors = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), path.stat().st_size)))
            for name, said in tensors.items():
                if name != "__metadata__":
                    begin, end = said["data_offsets"]
                    size[said["dtype"]] = size.get(said["dtype"], 0) + end - begin
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no file of safetensors ({type(error).__name__}: {error})") from error
    return "bf16" if 2 * size.get("BF16", 0) > sum(size.values()) else "fp32"


@cache
def folder_sha256(folder: Path) -> str:
    """Digest of a model's weights, settings, tokenizer and templates: the files of the folder that _READ names."""
    digest = sha256()
    for path in sorted({path for pattern in _READ for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Digest of one file, read once as long as its size and its time of change stay the same."""
    stamp = _stamp(path)
    if stamp not in _DIGESTS:
        _DIGESTS[stamp] = durable.file_sha256(path)
    return _DIGESTS[stamp]


def _stamp(path: Path) -> _Stamp:
    said = path.stat()
    return str(path.resolve()), said.st_size, said.st_mtime_ns


def digests() -> list[tuple[_Stamp, str]]:
    """What this process has read, for its workers: 140 GB of weights are not read again by each of them."""
    return list(_DIGESTS.items())


def trust(known: Iterable[tuple[Sequence[Any], str]]) -> None:
    """Take digests from the driver; a file of another size or time of change is read all the same."""
    for (path, size, changed), digest in known:
        _DIGESTS[str(path), int(size), int(changed)] = digest


def device_of(name: str, stage: str) -> str:
    """The torch device of this name; `auto` is CUDA where there is one. StageCrashed where it cannot be used."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise StageCrashed(f"{stage}:device", "no CUDA device can be used here")
    return name
