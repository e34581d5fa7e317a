"""Lists of known material: trusted for good reasons only, and searched as if every pair were looked at."""

from __future__ import annotations

import hashlib
import resource
import time
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import SpecError
from filters._frame_hashes import PICTURES
from filters._hash_index import HashIndex
from filters._hash_lists import KINDS, LEAST_INFORMATION, PHASH_DISTANCE, Entry, Known, read_lists, write_list
from filters._pdq import LEAST_QUALITY, MAX_DISTANCE
from filters.dedup.phash import VIEWS
from filters.known_hashes import FrameHashes

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
