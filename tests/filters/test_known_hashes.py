"""Known material: lists are trusted for good reasons only, copies are found, and what has no content finds nothing."""

from __future__ import annotations

import hashlib
import resource
import time
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import SpecError
from curate.media.writer import write_image
from curate.registry import resolve
from filters._frame_hashes import PICTURES, picture_box
from filters._hash_entries import LOST, entries_of_pictures
from filters._hash_index import HashIndex
from filters._hash_lists import (
    KINDS,
    LEAST_INFORMATION,
    PHASH_DISTANCE,
    Entry,
    Known,
    read_lists,
    write_list,
)
from filters._pdq import LEAST_QUALITY, MAX_DISTANCE
from filters.dedup.phash import VIEWS, hash_views
from filters.known_hashes import FrameHashes, KnownHashes, frame_hashes
from tests.filters.pictures import coded, row, scaled, texture

DAY = date(2026, 11, 1)


def _digits(seed):
    return hashlib.sha256(str(seed).encode()).hexdigest()


def _list(folder, entries, name="example", day=DAY):
    path = folder / f"{name}.txt"
    write_list(path, name, entries, day)
    return path


def _lists(folder, entries, **more):
    return read_lists([_list(folder, entries, **more)], 30, DAY)


def _hashes(count=1, seed=0, quality=100, information=100):
    """Random hashes with as much content as is said."""
    rng = np.random.default_rng(seed)
    return FrameHashes(
        pdq=rng.integers(0, 256, (count, PICTURES, 32), np.uint8),
        quality=np.full((count, PICTURES), quality, np.uint8),
        views=rng.integers(0, 256, (count, PICTURES, VIEWS, 32), np.uint8),
        information=np.full((count, PICTURES, VIEWS), information, np.uint8),
        times_s=np.arange(count) / 4,
    )


def _turned(bits_32, count):
    """A hash with `count` of its bits turned."""
    bits = np.unpackbits(bits_32)
    bits[np.random.default_rng(1).permutation(256)[:count]] ^= 1
    return np.packbits(bits).tobytes().hex()


# -- lists ---------------------------------------------------------------------------------------------------------

digits = st.binary(min_size=32, max_size=32).map(bytes.hex)
entry = st.one_of(
    st.builds(Entry, st.just("sha256"), digits, st.none()),
    st.builds(Entry, st.sampled_from(["pdq", "phash"]), digits, st.none() | st.integers(0, 100)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(entry, max_size=12), st.from_regex(r"[a-z][a-z0-9 ._-]{0,20}", fullmatch=True), st.integers(0, 30))
def test_what_is_written_is_read(tmp_path_factory, entries, name, age):
    path = tmp_path_factory.mktemp("lists") / "a.txt"
    write_list(path, name, entries, DAY - timedelta(days=age))
    lists = read_lists([path], 30, DAY)
    assert lists.names == (name,)
    assert lists.updated == (DAY - timedelta(days=age),)
    assert lists.sha256 == (hashlib.sha256(path.read_bytes()).hexdigest(),)
    assert lists.counts == ({kind: sum(e.kind == kind for e in entries) for kind in KINDS},)
    for one in entries:
        if one.kind == "sha256":
            assert lists.matches_file(one.text) is not None


def test_the_file_is_as_its_format_says(tmp_path):
    entries = [Entry("sha256", _digits(1)), Entry("pdq", _digits(2), 87), Entry("phash", _digits(3))]
    body = f"sha256 {_digits(1)}\npdq {_digits(2)} 87\nphash {_digits(3)}\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    head = f"# rushes hash list 1\n# name: example\n# updated: 2026-11-01\n# entries: 3\n# digest: {digest}\n"
    assert _list(tmp_path, entries).read_text() == head + body


def _edit(old, new):
    return lambda text: text.replace(old, new, 1)


def _with_digest(text):
    """A text whose digest and count fit again: what is wrong is only what the edit did."""
    head, lines = text.split("\n")[:5], text.split("\n")[5:]
    head[3] = f"# entries: {len(lines) - 1}"
    head[4] = "# digest: " + hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return "\n".join([*head, *lines])


REFUSED = {
    "empty": (lambda text: "", "is empty"),
    "another format": (_edit("hash list 1", "hash list 2"), "does not begin with"),
    "html": (lambda text: "<html>\n" + text, "does not begin with"),
    "no name": (_edit("# name: example\n", ""), "line 2 .* `# name: ...`"),
    "empty name": (_edit("# name: example", "# name: "), "line 2"),
    "bad name": (_edit("# name: example", "# name: a\tb"), "line 2 .* a name is"),
    "no date": (_edit("2026-11-01", "soon"), "line 3 .* date"),
    "no header after the name": (lambda text: "\n".join(text.split("\n")[:2]), "line 3"),
    "unknown kind": (lambda text: _with_digest(text.replace("\nphash ", "\nmd5 ")), "line 8 .* no kind among"),
    "short hash": (lambda text: _with_digest(text.replace(_digits(2), _digits(2)[:-1])), "line 7 .* 64 hex digits"),
    "upper case": (lambda text: _with_digest(text.replace(_digits(2), _digits(2).upper())), "line 7 .* 64 hex digits"),
    "too good": (lambda text: _with_digest(text.replace(" 87", " 101")), "line 7 .* from 0 to 100"),
    "sha256 with a number": (lambda text: _with_digest(text.replace(_digits(1), _digits(1) + " 5")), "nothing follows"),
    "blank line": (lambda text: _with_digest(text.replace("\npdq", "\n\npdq")), "line 7"),
    "windows lines": (lambda text: _with_digest(text.replace("87\n", "87\r\n")), "line 7"),
    "not ASCII": (lambda text: text.replace("phash", "phäsh"), "line 8"),
    "cut off": (lambda text: text[:-10], "ends within a line"),
    "a line lost": (_edit(f"sha256 {_digits(1)}\n", ""), "has 2 entries and says 3"),
    "a line more": (lambda text: text + f"sha256 {_digits(9)}\n", "has 4 entries and says 3"),
    "a digit changed": (_edit(_digits(2), _digits(7)), "digest .* does not fit"),
    "a quality changed": (_edit(" 87", " 12"), "digest .* does not fit"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_trusted_is_refused(change, sentence, tmp_path):
    entries = [Entry("sha256", _digits(1)), Entry("pdq", _digits(2), 87), Entry("phash", _digits(3))]
    path = _list(tmp_path, entries)
    path.write_bytes(change(path.read_text()).encode())
    with pytest.raises(SpecError, match=sentence) as caught:
        read_lists([path], 30, DAY)
    assert str(path) in str(caught.value)
    for seed in (1, 2, 3, 7, 9):  # a log must not carry the list along
        assert _digits(seed)[:12] not in str(caught.value).lower()


def test_age_and_absence_are_refused(tmp_path):
    path = _list(tmp_path, [])
    assert read_lists([path], 30, DAY + timedelta(days=30)).counts == ({"sha256": 0, "pdq": 0, "phash": 0},)
    with pytest.raises(SpecError, match=r"31 days old, at most 30 .* get a newer one"):
        read_lists([path], 30, DAY + timedelta(days=31))
    with pytest.raises(SpecError, match="after 2026-10-31"):
        read_lists([path], 30, DAY - timedelta(days=1))
    with pytest.raises(SpecError, match="does not exist"):
        read_lists([path, tmp_path / "other.txt"], 30, DAY)
    with pytest.raises(SpecError, match="cannot be read"):
        read_lists([tmp_path], 30, DAY)


@pytest.mark.parametrize(
    "bad", [Entry("md5", _digits(1)), Entry("pdq", "ab"), Entry("pdq", _digits(1), 101), Entry("sha256", _digits(1), 5)]
)
def test_what_would_be_refused_is_not_written(bad, tmp_path):
    with pytest.raises(SpecError):
        write_list(tmp_path / "a.txt", "example", [bad], DAY)
    with pytest.raises(SpecError, match="names no hash list"):
        write_list(tmp_path / "a.txt", "a\nb", [], DAY)
    assert not list(tmp_path.iterdir())


# -- matching ------------------------------------------------------------------------------------------------------


def test_files_are_found_by_sha256_and_by_source_id(tmp_path):
    paths = [
        _list(tmp_path, [Entry("pdq", _digits(5)), Entry("sha256", _digits(1))], name="one"),
        _list(tmp_path, [Entry("sha256", _digits(2))], name="two"),
    ]
    lists = read_lists(paths, 30, DAY)
    for text in (_digits(1), _digits(1)[:32], _digits(1).upper()):
        match = lists.matches_file(text)
        assert match is not None
        assert (match.kind, match.list_name, match.entry, match.distance) == ("sha256", "one", 1, 0)
    second = lists.matches_file(_digits(2)[:32])
    assert second is not None
    assert second.list_name == "two"
    assert lists.matches_file(_digits(3)) is None
    assert lists.matches_file(_digits(1)[:63] + "xy"[_digits(1)[63] == "x"]) is None  # the rest counts too
    assert lists.matches_file(_digits(5)) is None  # a hash of another kind
    with pytest.raises(ValueError, match="32"):
        lists.matches_file(_digits(1)[:31])


@pytest.mark.parametrize(("kind", "limit"), [("pdq", MAX_DISTANCE), ("phash", PHASH_DISTANCE)])
def test_distances_up_to_the_limit_match(kind, limit, tmp_path):
    hashes = _hashes(3)
    mine = hashes.pdq[2, 1] if kind == "pdq" else hashes.views[2, 1, 3]
    for bits in (0, 1, limit):
        lists = _lists(tmp_path, [Entry(kind, _digits(1), 100), Entry(kind, _turned(mine, bits), 100)])
        match = lists.matches_frames(hashes)
        assert match is not None
        assert (match.kind, match.distance, match.entry, match.time_s) == (kind, bits, 1, 0.5)
    assert _lists(tmp_path, [Entry(kind, _turned(mine, limit + 1), 100)]).matches_frames(hashes) is None


@pytest.mark.parametrize(("kind", "least"), [("pdq", LEAST_QUALITY), ("phash", LEAST_INFORMATION)])
def test_both_sides_need_content(kind, least, tmp_path):
    hashes = _hashes()
    text = (hashes.pdq[0, 0] if kind == "pdq" else hashes.views[0, 0, 0]).tobytes().hex()
    for weight, found in ((least - 1, False), (least, True), (None, True), (0, False)):
        lists = _lists(tmp_path, [Entry(kind, text, weight)])
        assert (lists.matches_frames(hashes) is not None) == found
        assert lists.counts[0][kind] == 1  # it is listed all the same
    lists = _lists(tmp_path, [Entry(kind, text)])
    assert lists.matches_frames(replace(hashes, information=hashes.information * 0 + LEAST_INFORMATION - 1)) is None
    poor = lists.matches_frames(replace(hashes, quality=hashes.quality * 0 + LEAST_QUALITY - 1))
    assert (poor is None) == (kind == "pdq")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 30), st.integers(1, 200), st.integers(0, 130), st.integers(0, 24))
def test_the_search_is_as_good_as_looking_at_every_pair(seed, rows, known, limit, step):
    rng = np.random.default_rng(seed)
    asked = np.unpackbits(rng.integers(0, 256, (1, 32), np.uint8), axis=1).repeat(rows, axis=0)
    for place in range(1, rows):  # frames that drift
        asked[place] = asked[place - 1]
        asked[place, rng.permutation(256)[:step]] ^= 1
    asked = np.packbits(asked, axis=1)
    have = rng.integers(0, 256, (known, 32), np.uint8)
    have[rng.integers(known)] = asked[rng.integers(rows)]
    have[rng.integers(known)] = ~asked[rng.integers(rows)]
    apart = np.bitwise_count(asked[:, None] ^ have).sum(axis=-1, dtype=int)
    found = HashIndex(have).nearest(asked, limit)
    least = int(apart.min())
    assert (found is None) == (least > limit)
    if found is not None:
        assert found.distance == least == apart[found.row, found.known]


def test_the_nearest_of_all_is_told(tmp_path):
    hashes = _hashes(2)
    entries = [
        Entry("pdq", _turned(hashes.pdq[0, 0], 20)),
        Entry("phash", _turned(hashes.views[0, 0, 0], 50)),
        Entry("pdq", _turned(hashes.pdq[1, 0], 3)),
        Entry("pdq", _turned(hashes.pdq[1, 0], 9)),
    ]
    match = _lists(tmp_path, entries).matches_frames(hashes)
    assert match is not None
    assert (match.entry, match.distance, match.time_s) == (2, 3, 0.25)


def test_no_text_of_a_match_holds_the_hash(tmp_path):
    hashes = _hashes()
    text = hashes.pdq[0, 0].tobytes().hex()
    lists = _lists(tmp_path, [Entry("pdq", text), Entry("sha256", _digits(1))])
    for shown in (lists.matches_frames(hashes), lists.matches_file(_digits(1)), lists):
        assert shown is not None
        assert text[:12] not in repr(shown) + str(shown)
        assert _digits(1)[:12] not in repr(shown) + str(shown)


def test_a_million_entries_take_bounded_time_and_memory(tmp_path):
    hashes = _hashes(20)
    lists = _lists(tmp_path, [Entry("pdq", hashes.pdq[7, 0].tobytes().hex(), 100)])
    known = np.random.default_rng(7).integers(0, 256, (1_000_000, 32), np.uint8)
    known[999_999] = hashes.pdq[7, 0]
    many = Known(HashIndex(known), np.stack([np.zeros(len(known), int), np.arange(len(known))], axis=1))
    big = replace(lists, _known={"pdq": many, "phash": lists._known["phash"]})
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    match = big.matches_frames(hashes)
    assert match is not None
    assert (match.entry, match.distance, match.time_s) == (999_999, 0, 1.75)
    assert time.process_time() - begun < 5.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.slow
def test_a_list_of_a_million_entries_is_read(tmp_path):
    rng = np.random.default_rng(0)
    entries = [Entry("phash", rng.bytes(32).hex(), 90) for _ in range(1_000_000)]
    path = _list(tmp_path, entries)
    begun = time.process_time()
    assert read_lists([path], 30, DAY).counts[0]["phash"] == len(entries)
    assert time.process_time() - begun < 20.0


# -- frames --------------------------------------------------------------------------------------------------------


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
