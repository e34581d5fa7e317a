"""A run's log, validations and sheets for TensorBoard: the extra `tensorboard`. The JSONL files say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from curate.errors import SpecError
from curate.extras import require
from trainer.durable import storing

_FLUSH_S = 30


class Board:
    """Writes into a folder that TensorBoard reads. Raises StorageError on the disk, SpecError without the extra."""

    def __init__(self, folder: Path, done: int) -> None:
        try:
            require("tensorboard", "tensorboard")
        except ModuleNotFoundError as error:
            raise SpecError(f"train.tensorboard: {error}") from error
        from torch.utils.tensorboard.writer import SummaryWriter

        self.folder = folder
        with storing(folder):
            # Steps that an earlier process has shown, and that are taken again, are purged by the reader.
            self._writer = SummaryWriter(str(folder), purge_step=done + 1, flush_secs=_FLUSH_S)

    def add(
        self, step: int, logged: dict[str, Any] | None, validated: dict[str, Any] | None, sheet: Path | None
    ) -> None:
        """Add what there is of a step: its log record, its validation (without its step), its sheet of samples."""
        values = {**_flat("train", logged or {}), **_flat("validation", validated or {})}
        with storing(self.folder):
            for name, value in values.items():
                if name != "train/step":
                    self._writer.add_scalar(name, value, step)
            if sheet is not None:
                picture = cv2.imread(str(sheet), cv2.IMREAD_COLOR)
                assert picture is not None
                self._writer.add_image("samples", picture[:, :, ::-1].copy(), step, dataformats="HWC")

    def flush(self) -> None:
        """Hand all that was added to the system."""
        with storing(self.folder):
            self._writer.flush()

    def close(self) -> None:
        """Flush, and end."""
        with storing(self.folder):
            self._writer.close()


def _flat(name: str, value: Any) -> dict[str, float]:
    """Return the numbers of a record under names with slashes; lists are left out, the curve's bands say the same."""
    if isinstance(value, dict):
        return {key: number for part in value for key, number in _flat(f"{name}/{part}", value[part]).items()}
    return {name: float(value)} if isinstance(value, int | float) else {}
