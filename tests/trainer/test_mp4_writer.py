"""curate.media.writer: reproducible bytes, true pixels, metadata, and what it refuses."""

from __future__ import annotations

import json

import av
import cv2
import numpy as np
import pytest

from curate.errors import InputRejected
from curate.media.writer import write_image, write_mp4
from tests.codecs.footage import footage


def test_what_is_written_is_read_back(tmp_path):
    frames = footage(1, 1, frames=9, side=64)[0]
    write_mp4(tmp_path / "a.mp4", frames, 30000 / 1001, crf=10, metadata={"prompt": "a \u00e9", "seed": 1})
    write_mp4(tmp_path / "b.mp4", frames, 30000 / 1001, crf=10, metadata={"seed": 1, "prompt": "a \u00e9"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert str(stream.average_rate) == "30000/1001"
        assert stream.codec_context.name == "h264"
        assert json.loads(container.metadata["comment"]) == {"prompt": "a \u00e9", "seed": 1}
        back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_images_are_written_in_any_size(tmp_path):
    frame = footage(2, 1, frames=1, side=33)[0][0]
    write_image(tmp_path / "i.png", frame)
    assert np.array_equal(cv2.imread(str(tmp_path / "i.png"))[:, :, ::-1], frame)


@pytest.mark.parametrize(
    ("frames", "fps", "reason"),
    [
        (np.zeros((2, 17, 16, 3), np.uint8), 8.0, "write:odd_size"),
        (np.zeros((2, 16, 16, 3), np.float32), 8.0, "write:frames"),
        (np.zeros((0, 16, 16, 3), np.uint8), 8.0, "write:frames"),
        (np.zeros((2, 16, 16), np.uint8), 8.0, "write:frames"),
        (np.zeros((2, 16, 16, 3), np.uint8), 0.0, "write:fps"),
    ],
)
def test_what_cannot_be_written_is_rejected(tmp_path, frames, fps, reason):
    with pytest.raises(InputRejected) as error:
        write_mp4(tmp_path / "a.mp4", frames, fps)
    assert error.value.reason == reason
    assert not list(tmp_path.iterdir())
