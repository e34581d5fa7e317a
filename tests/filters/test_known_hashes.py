"""Known material in frames: copies are found, nothing else is, and what has no content finds nothing."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import cv2
import numpy as np
import pytest

from curate.errors import SpecError
from curate.media.writer import write_image
from curate.registry import resolve
from filters._frame_hashes import picture_box
from filters._hash_entries import LOST, entries_of_pictures
from filters._hash_lists import Entry, read_lists, write_list
from filters._pdq import pdq_of_rgb
from filters.dedup.phash import hash_views
from filters.known_hashes import FrameHashes, KnownHashes, frame_hashes
from tests.filters.pictures import coded, row, scaled, texture

DAY = date(2026, 11, 1)


def _lists(folder, entries, name="example"):
    write_list(folder / f"{name}.txt", name, entries, DAY)
    return read_lists([folder / f"{name}.txt"], 30, DAY)


def _still(pictures, size=(320, 180)):
    return scaled(np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]), KnownHashes.frames)


def test_it_is_found_by_its_name_and_its_row_holds_the_hashes():
    assert resolve("score", "known_hashes") is KnownHashes
    frames = np.stack([texture(seed) for seed in range(5)])
    frames[3, :, :60], frames[3, :, -60:] = 0, 0
    stored = FrameHashes.from_row(row(KnownHashes(), frames))
    live = frame_hashes(scaled(frames, KnownHashes.frames))
    for name in ("pdq", "quality", "views", "information", "times_s"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(live, name))
    assert stored.information[3, 1].min() > 0  # the picture between the bars
    assert not stored.information[[0, 1, 2, 4], 1].any()


def test_a_row_that_was_cut_is_no_row():
    whole: dict[str, Any] = row(KnownHashes(), np.stack([texture(1)] * 2))
    with pytest.raises(ValueError, match="reshape"):
        FrameHashes.from_row({**whole, "views": whole["views"][:-1]})


def test_views_are_those_of_the_duplicate_search():
    gray = np.stack([texture(seed, 96, 170)[..., 1] for seed in range(4)])
    np.testing.assert_array_equal(frame_hashes(gray[..., None]).views[:, 0], hash_views(gray))


def test_bars_need_a_partner_and_leave_a_picture():
    gray = np.full((96, 170), 120, np.uint8)
    assert picture_box(gray) == (0, 96, 0, 170)
    gray[:, :30] = 5
    assert picture_box(gray) == (0, 96, 0, 170)
    gray[:, -28:] = 20
    assert picture_box(gray) == (0, 96, 30, 142)
    gray[:10], gray[-10:] = 0, 0
    assert picture_box(gray) == (10, 86, 30, 142)
    assert picture_box(np.zeros((96, 170), np.uint8)) == (0, 96, 0, 170)


def test_bars_are_cut_to_fractions_of_a_pixel():
    far = []
    for seed in range(12):
        picture = texture(seed, 480, 640)
        barred = np.pad(picture, [(31 + 7 * seed, 40 + 3 * seed), (0, 0), (0, 0)])
        hashes = frame_hashes(_still([barred], (barred.shape[1], barred.shape[0])))
        far.append(int(np.bitwise_count(hashes.pdq[0, 1] ^ np.frombuffer(pdq_of_rgb(picture)[0], np.uint8)).sum()))
    assert max(far) <= 14


def test_crops_are_in_the_list_and_each_entry_once():
    entries = entries_of_pictures([texture(1)])
    assert [e.kind for e in entries].count("pdq") == 1
    assert [e.kind for e in entries].count("phash") == len(LOST) ** 4
    assert len(set(entries)) == len(entries)


def test_entries_of_files(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, texture(1))
    entries = entries_of_pictures([path])
    assert entries[0] == Entry("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    assert entries[1:] == entries_of_pictures([texture(1)])
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(SpecError, match="no picture"):
        entries_of_pictures([tmp_path / "b.png"])
    with pytest.raises(SpecError, match="cannot be read"):
        entries_of_pictures([tmp_path / "c.png"])


COPIES = {
    "as it is": lambda p: p,
    "centre": lambda p: p[18:-18, 32:-32],
    "corner": lambda p: p[14:, :-25],
    "on the grid of crops": lambda p: p[7:-7, 13:-13],
    "between its points": lambda p: p[11:-4, 6:-19],
    "off centre": lambda p: p[3:-14, 20:-5],
    "narrower": lambda p: p[:, 25:-25],
    "dark": lambda p: (p * 0.9).astype(np.uint8),
    "bright": lambda p: np.clip(p * 1.1, 0, 255).astype(np.uint8),
    "pillars": lambda p: np.pad(p, [(0, 0), (60, 60), (0, 0)]),
    "all": lambda p: np.pad((p[3:-14, 20:-5] * 0.9).astype(np.uint8), [(30, 30), (0, 0), (0, 0)]),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_copies_in_footage_are_found_and_nothing_else(change, tmp_path):
    pictures = [texture(seed) for seed in range(6)]
    made = [entries_of_pictures([picture]) for picture in pictures]
    lists = _lists(tmp_path, [e for some in made for e in some])
    of = [number for number, some in enumerate(made) for _ in some]
    for number in (0, 5):
        copy = cv2.resize(change(pictures[number]), (320, 180), interpolation=cv2.INTER_AREA)
        frames = np.stack([texture(50), texture(51), copy, copy, texture(52)])
        match = lists.matches_frames(frame_hashes(_still(coded(frames, 4.0, 35, tmp_path))))
        assert match is not None
        assert of[match.entry] == number
        assert match.time_s in (0.5, 0.75)
    assert lists.matches_frames(frame_hashes(_still([texture(seed) for seed in range(100, 140)]))) is None


def test_a_list_of_pdq_alone_finds_what_is_not_cropped(tmp_path):
    pictures = [texture(seed, 360, 480) for seed in range(6)]
    lists = _lists(tmp_path, [e for e in entries_of_pictures(pictures) if e.kind == "pdq"])
    for change in ("as it is", "dark", "bright", "pillars"):
        copies = [cv2.resize(COPIES[change](p), (320, 180), interpolation=cv2.INTER_AREA) for p in pictures]
        for frame in coded(np.stack(copies), 4.0, 32, tmp_path):
            match = lists.matches_frames(frame_hashes(_still([frame])))
            assert match is not None
            assert match.kind == "pdq"


def _poor():
    y, x = np.mgrid[0:180, 0:320].astype(np.float32)
    shades = [x / 319, y / 179, (x + y) / 498, np.hypot(x - 160, y - 90) / 184, (x / 319) ** 2]
    pictures = [np.full((180, 320, 3), level, np.uint8) for level in (0, 16, 128, 255)]
    pictures += [np.repeat((255 * shade).astype(np.uint8)[..., None], 3, 2) for shade in shades]
    for lines in (["THE END"], ["A FILM BY", "Nobody At All"], ["Directed by", "Somebody", "1931"]):
        title = np.zeros((180, 320, 3), np.uint8)
        for number, line in enumerate(lines):
            place = 40, 90 + 36 * number - 18 * len(lines)
            cv2.putText(title, line, place, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255,) * 3, 2, cv2.LINE_AA)
        pictures.append(title)
    return pictures


def test_pictures_without_content_seal_nothing(tmp_path):
    lists = _lists(tmp_path, entries_of_pictures(_poor()))
    assert lists.counts[0]["pdq"] >= len(_poor())
    assert lists.matches_frames(frame_hashes(_still(_poor()))) is None
    assert lists.matches_frames(frame_hashes(_still(coded(np.stack(_poor()), 4.0, 35, tmp_path)))) is None
    # Nor do they where another maker's list trusts them blindly.
    blind = _lists(tmp_path, [e._replace(weight=None) for e in entries_of_pictures(_poor())], name="blind")
    assert blind.matches_frames(frame_hashes(_still(_poor()))) is None


def test_somebody_before_a_wall_has_content(tmp_path):
    picture = np.full((180, 320, 3), 235, np.uint8)
    picture[60:, 120:190] = texture(3, 120, 70) // 2  # a seventh of the picture
    lists = _lists(tmp_path, entries_of_pictures([picture]))
    match = lists.matches_frames(frame_hashes(_still(coded(np.stack([picture] * 2), 4.0, 32, tmp_path))))
    assert match is not None


def test_an_image_is_a_clip_of_one_frame(tmp_path):
    lists = _lists(tmp_path, entries_of_pictures([texture(1)]))
    match = lists.matches_frames(FrameHashes.from_row(row(KnownHashes(), texture(1)[None])))
    assert match is not None
    assert match.time_s == 0.0
