"""Models of screens and captioners: where their files lie and what they weigh, without loading any.

A model is a folder on this machine, or a name on a hub that was downloaded before. Only safetensors are read, and code
that comes with a model is never run.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

BATCH = 16  # pictures at once: enough to fill the vector units, small enough for any memory


def model_folder(model: str, revision: str | None = None) -> Path:
    """The folder of a transformers model. ValueError where it is not, with what to do."""
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
