"""Every screen runs on files: `rushes try NAME FILE... --json`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from curate.media.writer import write_image
from tests.conftest import REPO, rushes, write_clip
from worlds.shapes.symbols import draw

REFERENCES = REPO / "worlds" / "shapes" / "references"


def _try(name, *arguments):
    done = rushes("try", name, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["name"] == name
    return found["results"]


def test_symbols(tmp_path):
    frame = np.full((200, 300, 3), 90, np.uint8)
    frame[40:140, 100:200] = draw("hate", 100)
    write_image(tmp_path / "sign.png", frame)
    plain = write_clip(tmp_path / "plain.mp4", (1,))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    asked = ("--set", f"references={REFERENCES}", "--set", "categories=[hate, violence]")
    sign, good, bad = _try("symbols", tmp_path / "sign.png", plain, broken, *asked)
    assert (sign["outcome"], sign["found"][0]) == ("ok", "steps")
    assert sign["hate"] >= 0.5 > sign["violence"]
    assert (good["hate"], good["violence"]) == (0.0, 0.0)
    assert (bad["outcome"], bad["input"]) == ("quarantined", str(broken))


def test_nudenet(tmp_path):
    (row,) = _try("nudenet", write_clip(tmp_path / "a.mp4", (1,)))
    assert row["outcome"] == "ok"
    assert 0.0 <= row["explicit"] < 0.5


def test_known_hashes(tmp_path):
    (row,) = _try("known_hashes", write_clip(tmp_path / "a.mp4", (1,)))
    assert (row["outcome"], row["count"]) == ("ok", 8)


@pytest.mark.parametrize("text", ["nothing of the kind", "a SNUFF film and a sw@stika"])
def test_terms_read_texts(text, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    asked = ("--set", "categories=[violence, hate]")
    found, missing = _try("terms", tmp_path / "a.txt", tmp_path / "none.txt", *asked)
    bad = "SNUFF" in text
    assert (found["violence"], found["hate"]) == (float(bad), float(bad))
    assert [hit["term"] for hit in found["hits"]] == (["snuff film", "swastika"] if bad else [])
    assert (missing["outcome"], missing["reason"]) == ("quarantined", "source:missing")


def test_terms_read_what_stands_in_a_picture(tmp_path):
    frame = np.full((240, 420, 3), 40, np.uint8)
    cv2.putText(frame, "SIEG HEIL", (40, 130), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (255, 255, 255), 3, cv2.LINE_AA)
    write_image(tmp_path / "a.png", frame)
    (row,) = _try("terms", tmp_path / "a.png", "--set", "categories=[hate]")
    assert row["hate"] == 1.0
