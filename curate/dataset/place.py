"""Where a dataset lies: a folder, or any fsspec URL of one. Its files by their names from there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from curate.errors import InputRejected, StorageError
from curate.files import is_local, local_path, open_url, rejecting, remote

_HASH_BLOCK = 1 << 20


class Place:
    """A dataset's folder. StorageError where a file, or the list of them, cannot be read."""

    def __init__(self, path: Path | str) -> None:
        said = str(path)
        self.local = is_local(said)
        self.root = (local_path(said) if self.local else said).rstrip("/") or "/"

    def path(self, name: str) -> str:
        """The path or URL of a file."""
        return f"{self.root}/{name}"

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None where it is missing."""
        try:
            with rejecting(self.path(name)), open_url(self.path(name)) as file:
                return file.read()
        except InputRejected as error:
            if error.reason == "source:missing":
                return None
            raise self._unreadable(name, error) from error

    def sha256(self, name: str) -> str:
        """A file's sha256 as hex, read in blocks."""
        digest = hashlib.sha256()
        try:
            with rejecting(self.path(name)), open_url(self.path(name)) as file:
                while block := file.read(_HASH_BLOCK):
                    digest.update(block)
        except InputRejected as error:
            raise self._unreadable(name, error) from error
        return digest.hexdigest()

    def names(self) -> set[str]:
        """Every file of the dataset, in folders too."""
        try:
            with rejecting(self.root):
                if self.local:
                    top = Path(self.root)
                    return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}
                file_system, plain = remote(self.root)
                file_system.invalidate_cache(plain)  # a list that was kept knows nothing of what was added since
                top = plain.rstrip("/") + "/"
                return {name.removeprefix(top) for name in file_system.find(plain)}
        except InputRejected as error:
            raise self._unreadable("", error) from error

    def _unreadable(self, name: str, error: InputRejected) -> StorageError:
        return StorageError(f"{self.path(name)} cannot be read: {error.detail}")
