"""Sources: what a manifest says is kept, what it lacks is unknown, and equal bytes are one source."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import SpecError
from curate.sources import Location, merged_metadata, original_caption, scan
from curate.spec_file import parse
from tests.conftest import write_clip


def _scan(tmp_path, *sources):
    return scan(parse({"name": "t", "sources": list(sources), "output": str(tmp_path / "out")}), tmp_path / "out")


@pytest.fixture
def media(tmp_path):
    for name, seed in (("a.mp4", 1), ("sub/b.mp4", 2)):
        write_clip(tmp_path / "media" / name, (seed,), frames=2)
    (tmp_path / "media" / "notes.txt").write_text("not footage")
    return tmp_path / "media"


def test_folder_glob_and_file(tmp_path, media):
    folder = _scan(tmp_path, {"path": str(media)})
    assert [location.url.rsplit("/", 1)[1] for location in folder] == ["a.mp4", "b.mp4"]
    assert _scan(tmp_path, {"path": f"{media}/**/*.mp4"}) == folder
    assert _scan(tmp_path, {"path": str(media / "a.mp4")}) == folder[:1]


ROWS = [
    {"path": "a.mp4", "licence": "cc0", "text": "one", "source_class": "in_house"},
    {"path": "gone.mp4", "licence": None, "text": None, "source_class": None},
]


def _write_manifest(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_manifests_with_mapped_columns(tmp_path, media, suffix):
    rows = (
        ROWS if suffix != ".csv" else [{k: v if v is not None else "unknown" for k, v in row.items()} for row in ROWS]
    )
    _write_manifest(media / f"m{suffix}", rows)
    columns = {"license": "licence", "original_caption": "text"}
    a, gone = _scan(tmp_path, {"path": str(media / f"m{suffix}"), "columns": columns, "origin": "here"})
    assert (a.meta["license"], a.meta["original_caption"], a.meta["source_class"]) == ("cc0", "one", "in_house")
    assert a.meta["origin"] == "here"
    assert a.meta["generator"] == a.meta["is_synthetic"] == "unknown"
    assert (gone.fault, gone.source_id, gone.meta["license"]) == ("source:missing", "", "unknown")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda d: str(d / "nowhere"), "does not exist"),
        (lambda d: str(d / "texts"), "holds no video or image file; 1 other files there, such as a.txt"),
        (lambda d: str(d / "empty"), "holds no video or image file"),
        (lambda d: str(d / "*.mov"), "nothing matches"),
        (lambda d: str(d / "bad.jsonl"), "cannot be read"),
        (lambda d: str(d / "none.jsonl"), "has no rows"),
        (lambda d: str(d / "class.jsonl"), "row 1: unknown source_class 'stock'"),
        (lambda d: str(d / "nopath.jsonl"), "row 1: no column 'path'"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, make, says):
    for name in ("texts", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "none.jsonl").write_text("\n")
    (tmp_path / "class.jsonl").write_text('{"path": "a.mp4", "source_class": "stock"}\n')
    (tmp_path / "nopath.jsonl").write_text('{"file": "a.mp4"}\n')
    with pytest.raises(SpecError, match=says):
        _scan(tmp_path, {"path": make(tmp_path)})


def test_unchanged_files_are_not_hashed_again_and_changed_ones_are(tmp_path, media, monkeypatch):
    from curate import ids

    before = _scan(tmp_path, {"path": str(media)})
    hashed = []
    real = ids.source_id
    monkeypatch.setattr(ids, "source_id", lambda stream: hashed.append(1) or real(stream))
    assert _scan(tmp_path, {"path": str(media)}) == before
    assert hashed == []
    write_clip(media / "a.mp4", (9,), frames=3)
    after = _scan(tmp_path, {"path": str(media)})
    assert hashed == [1]
    assert [a.source_id == b.source_id for a, b in zip(after, before, strict=True)] == [False, True]


def test_the_strictest_class_and_licence_hold():
    def place(**meta):
        base = dict.fromkeys(("license", "is_synthetic", "origin", "acquired_at", "generator"), "x")
        return Location("u", {**base, "source_class": "in_house", "original_caption": None, **meta})

    assert merged_metadata([place(), place(source_class="public.crawl")])["source_class"] == "public.crawl"
    assert merged_metadata([place(license="cc0"), place(license="unknown")])["license"] == "unknown"
    assert merged_metadata([place(license="cc0"), place(license="mit")])["license"] == "conflict: cc0 | mit"
    assert merged_metadata([place(license="cc0"), place(license="cc0")])["license"] == "cc0"


TIMED = {"original_caption": [{"start_s": 0, "end_s": 2, "text": "a"}, {"start_s": 2, "end_s": 6, "text": "b"}]}


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [(0, 2, "a"), (2, 4, "b"), (1.5, 4, "b"), (0.5, 2.5, "a"), (5, 9, None), (5.5, 6.4, "b"), (7, 8, None)],
)
def test_a_clip_takes_the_caption_that_covers_most_of_it(start, end, text):
    assert original_caption(TIMED, start, end, whole=False) == text


@given(start=st.floats(0, 10), length=st.floats(0.1, 5))
def test_a_caption_of_the_whole_file_is_never_passed_off_as_a_part(start, length):
    meta = {"original_caption": "the file"}
    assert original_caption(meta, start, start + length, whole=False) is None
    assert original_caption(meta, start, start + length, whole=True) == "the file"
