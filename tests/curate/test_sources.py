"""Sources: what a manifest says is kept, what it lacks is unknown, and equal bytes are one source."""

from __future__ import annotations

import io
import json
import os
import threading
import zipfile
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputRejected, SpecError, StorageError
from curate.files import is_local
from curate.sources import Location, merged_metadata, original_caption, scan
from curate.spec_file import absolute, parse
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
    _write_manifest(media / f"m{suffix}", ROWS)
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
        (lambda d: str(d / "emptypath.csv"), "row 2: 'path' must be the path of a file"),
        (lambda d: str(d / "cells.csv"), "cannot be read: row 1 has 3 cells for 2 columns"),
        (lambda d: str(d / "half.jsonl"), "cannot be read: row 2: "),
        (lambda d: str(d / "maybe.jsonl"), "maybe.jsonl row 2: is_synthetic is true or false .*'maybe'"),
        (lambda d: str(d / "nantime.jsonl"), "row 1: original_caption has a text from nan to 2.0 s"),
        (lambda d: str(d / "two.jsonl"), r"two.jsonl row 1 and .*two.jsonl row 3: two captions for the same path"),
        (lambda d: str(d / "mixed.jsonl"), r"mixed.jsonl row 1 and .*mixed.jsonl row 2: two captions"),
        (lambda d: "foo://bar/", r"sources.0.path: foo://bar/: Protocol not known: foo"),
        (lambda d: "s3://bucket/raw", r"sources.0.path: s3://bucket/raw: Install s3fs"),
        (lambda d: "memory://nowhere-at-all", r"sources.0.path: memory://nowhere-at-all does not exist"),
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
    (tmp_path / "emptypath.csv").write_text("path,license\na.mp4,cc0\n,cc0\n")
    (tmp_path / "cells.csv").write_text("path,original_caption\na.mp4,red, round\n")
    (tmp_path / "half.jsonl").write_text('{"path": "a.mp4"}\n{"path": \n')
    (tmp_path / "maybe.jsonl").write_text('{"path": "a"}\n{"path": "b", "is_synthetic": "maybe"}\n')
    timed = '{"path": "a", "original_caption": [{"start_s": %s, "end_s": 2, "text": "x"}]}\n'
    (tmp_path / "nantime.jsonl").write_text(timed % "NaN")
    plain = '{"path": "%s", "original_caption": "%s"}\n'
    (tmp_path / "two.jsonl").write_text(plain % ("a", "x") + plain % ("b", "x") + plain % ("./a", "y"))
    (tmp_path / "mixed.jsonl").write_text(plain % ("a", "x") + timed % "1")
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


def test_what_was_hashed_is_remembered_when_the_run_is_stopped(tmp_path, monkeypatch):
    from curate import hashing, ids

    for number in range(40):
        (tmp_path / f"{number}.mp4").write_bytes(b"%d" % number)
    real, calls = ids.source_id, []
    memory = tmp_path / "out" / "hashes.json"

    def counted(stream):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return real(stream)

    monkeypatch.setattr(ids, "source_id", counted)
    with pytest.raises(KeyboardInterrupt):
        _scan(tmp_path, {"path": str(tmp_path)})
    known = json.loads(memory.read_bytes())
    assert 26 <= len(known) < 40  # the 29 before it, but for those that another thread was reading
    monkeypatch.setattr(ids, "source_id", lambda stream: calls.append(1) or real(stream))
    calls.clear()
    assert all(location.source_id for location in _scan(tmp_path, {"path": str(tmp_path)}))
    assert len(calls) == 40 - len(known)
    memory.write_text("{")
    with pytest.raises(StorageError, match=r"hashes.json is damaged; remove it"):
        _scan(tmp_path, {"path": str(tmp_path)})
    assert hashing._SAVE_FILES == 256


@pytest.mark.parametrize("due", ["_SAVE_FILES", "_SAVE_SECONDS"])
def test_hashes_are_written_while_hashing_goes_on(tmp_path, monkeypatch, due):
    from curate import hashing, ids

    for number in range(40):
        (tmp_path / f"{number}.mp4").write_bytes(b"%d" % number)
    real, memory, seen = ids.source_id, tmp_path / "out" / "hashes.json", []
    written = threading.Event()

    def watching(stream):
        if len(seen) >= 20:  # the second half waits for the first to be on disk
            while not memory.exists() and not written.wait(0.01):
                pass
        seen.append(memory.exists())
        return real(stream)

    monkeypatch.setattr(ids, "source_id", watching)
    monkeypatch.setattr(hashing, due, 10 if due == "_SAVE_FILES" else 0.0)
    deadline = threading.Timer(20, written.set)
    deadline.start()
    _scan(tmp_path, {"path": str(tmp_path)})
    deadline.cancel()
    assert not written.is_set()
    assert any(seen)


def test_reading_stops_at_the_next_block():
    from curate.hashing import _Stoppable

    stop = threading.Event()
    file = _Stoppable(io.BytesIO(b"abc"), stop)
    assert file.read(1) == b"a"
    stop.set()
    with pytest.raises(InputRejected, match="stopped"):
        file.read(1)


def test_the_strictest_class_and_licence_hold():
    def place(**meta):
        base = dict.fromkeys(("license", "is_synthetic", "origin", "acquired_at", "generator"), "x")
        return Location("u", {**base, "source_class": "in_house", "original_caption": None, **meta})

    assert merged_metadata([place(), place(source_class="public.crawl")])["source_class"] == "public.crawl"
    for name in ("license", "is_synthetic", "origin", "acquired_at", "generator"):
        both = [place(**{name: "unknown"}), place(**{name: "b"}), place(**{name: "a"}), place(**{name: "b"})]
        assert merged_metadata(both)[name] == "conflict: a | b | unknown"
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


# -- odd files and rows ------------------------------------------------------------------------------------------


def test_a_run_does_not_eat_its_own_output(tmp_path):
    out = tmp_path / "out"
    for name in ("a.mp4", "out/samples/s.mp4", "out/footage/0/f.mp4", "outside/b.mp4"):
        write_clip(tmp_path / name, (1,), frames=2)
    (tmp_path / "link").symlink_to(out / "samples")

    def names(path):
        return [location.url.removeprefix(f"file://{tmp_path}/") for location in _scan(tmp_path, {"path": path})]

    assert names(str(tmp_path)) == ["a.mp4", "out/footage/0/f.mp4", "outside/b.mp4"]
    assert names(f"{tmp_path}/**/*.mp4") == ["a.mp4", "out/footage/0/f.mp4", "outside/b.mp4"]
    assert names(str(out)) == ["out/footage/0/f.mp4"]
    for path in (out / "samples", out / "samples" / "*.mp4", tmp_path / "link"):
        with pytest.raises(SpecError, match="holds no video or image file"):
            names(str(path))


def test_links_are_followed_once(tmp_path):
    write_clip(tmp_path / "elsewhere" / "a.mp4", (1,), frames=2)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "media" / "loop").symlink_to(tmp_path / "media")
    (found,) = _scan(tmp_path, {"path": str(tmp_path / "media")})
    assert found.url == f"file://{tmp_path}/media/link/a.mp4"
    assert found.source_id


@pytest.mark.parametrize("name", ["zip:x::y::z.mp4", "#1 50% [x] ~.mp4", "a b?.mp4", "~.mp4", "r\u00e9.mp4"])
def test_any_local_name_works(tmp_path, monkeypatch, name):
    path = write_clip(tmp_path / "[odd] ::" / name, (1,), frames=2)
    manifest = path.parent / "m.jsonl"
    manifest.write_text(json.dumps({"path": path.name}) + "\n")
    wanted = _scan(tmp_path, {"path": str(path.parent)})
    assert [(location.url, bool(location.source_id)) for location in wanted] == [(f"file://{path}", True)]
    for place in (path, f"{tmp_path}/*/*.mp4", manifest, f"file://{path}"):
        assert _scan(tmp_path, {"path": str(place)}) == wanted
    monkeypatch.chdir(path.parent)
    assert _scan(tmp_path, {"path": "*.mp4"}) == wanted
    spec = absolute(parse({"name": "t", "sources": [{"path": "*.mp4"}], "output": str(tmp_path / "out")}))
    monkeypatch.chdir("/")
    assert scan(spec, tmp_path / "out") == wanted


def test_one_odd_file_stops_no_other(tmp_path):
    write_clip(tmp_path / "a.mp4", (1,), frames=2)
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_bytes(b"x")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = _scan(tmp_path, {"path": str(tmp_path)})
    assert {location.url.rpartition("/")[2]: location.fault for location in found} == {
        "a.mp4": "", "\\udcff.mp4": "source:name", "broken.mp4": "source:missing", "pipe.mp4": "source:not_a_file",
    }  # fmt: skip
    for location in found:
        location.url.encode("utf-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_quarantined(tmp_path):
    write_clip(tmp_path / "a.mp4", (1,), frames=2)
    (tmp_path / "shut").mkdir(mode=0)
    assert [location.fault for location in _scan(tmp_path, {"path": str(tmp_path)})] == ["", "source:unreadable"]


def test_one_odd_row_stops_no_other(tmp_path, media):
    rows = [
        {"path": "a.mp4", "original_caption": "one\u2028line, \ud800 half", "license": "\udfff"},
        *({"path": path} for path in ("foo://x", "s3://bucket/x.mp4", "a\0b.mp4", "\ud800.mp4", "sub")),
    ]
    lines = [json.dumps(row) for row in rows]
    lines[0] = lines[0].replace("\\u2028", "\u2028")
    data = "\r\n".join(lines).encode() + b'\n{"path": "\xe9.mp4", "origin": "\xe9"}\n'
    (media / "m.jsonl").write_bytes(data)
    found = {loc.url.removeprefix(f"file://{media}/"): loc for loc in _scan(tmp_path, {"path": str(media / "m.jsonl")})}
    assert {url: loc.fault for url, loc in found.items()} == {
        "a.mp4": "", "foo://x": "source:unreadable", "s3://bucket/x.mp4": "source:unreadable",
        "a\0b.mp4": "source:unreadable", "\\ud800.mp4": "source:name", "sub": "source:not_a_file",
        "\\udce9.mp4": "source:name",
    }  # fmt: skip
    assert found["foo://x"].detail == "Protocol not known: foo"
    assert "s3fs" in found["s3://bucket/x.mp4"].detail
    meta = found["a.mp4"].meta
    assert (meta["original_caption"], meta["license"]) == ("one\u2028line, \ufffd half", "\ufffd")
    assert found["\\udce9.mp4"].meta["origin"] == "\ufffd"


NOT_SAID = {"license": "", "origin": float("nan"), "source_class": None, "original_caption": " ", "is_synthetic": ""}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_empty_cells_and_nan_say_nothing(tmp_path, media, suffix):
    manifest = media / f"m{suffix}"
    rows = [{"path": "a.mp4", **NOT_SAID}, {"path": "sub/b.mp4", **NOT_SAID, "origin": 1.5}]
    _write_manifest(manifest, rows)
    says = {"license": "mit", "original_caption": "spec's", "is_synthetic": True, "source_class": "in_house"}
    for source, wanted in (({}, ("unknown", "unknown", "unknown", None, "unknown")),
                           (says, ("mit", "unknown", "in_house", "spec's", "true"))):  # fmt: skip
        a, b = _scan(tmp_path, {"path": str(manifest), **source})
        assert tuple(a.meta[name] for name in NOT_SAID) == wanted
        assert b.meta["origin"] == "1.5"


@pytest.mark.parametrize(("value", "means"), [
    (True, "true"), ("Yes", "true"), ("1", "true"), (1, "true"), (1.0, "true"), (" TRUE ", "true"),
    (False, "false"), ("no", "false"), ("0", "false"), (0, "false"), ("false", "false"),
    (None, "unknown"), (float("nan"), "unknown"), ("unknown", "unknown"),
])  # fmt: skip
def test_is_synthetic_is_yes_no_or_unknown(tmp_path, media, value, means):
    (media / "m.jsonl").write_text(json.dumps({"path": "a.mp4", "is_synthetic": value}))
    (found,) = _scan(tmp_path, {"path": str(media / "m.jsonl")})
    assert found.meta["is_synthetic"] == means


@pytest.mark.parametrize("value", ["2", 2, 0.5, "synthetic", ["true"]])
def test_is_synthetic_is_nothing_else(tmp_path, media, value):
    (media / "m.jsonl").write_text(json.dumps({"path": "a.mp4", "is_synthetic": value}))
    with pytest.raises(SpecError, match=r"m.jsonl row 1: is_synthetic"):
        _scan(tmp_path, {"path": str(media / "m.jsonl")})


@pytest.mark.parametrize(("value", "means"), [("0.5", 0.5), (2, 2.0), (0, 0.0), (None, 3.0), ("", 3.0), ("nan", 3.0)])
def test_weights_are_numbers_from_0_up(tmp_path, media, value, means):
    rows = [{"path": str(next(media.iterdir())), "loss_weight": value, "often": value}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = {"path": str(tmp_path / "m.jsonl"), "weight": 3, "loss_weight": 3.0, "columns": {"weight": "often"}}
    raw = {"name": "t", "sources": [source], "output": str(tmp_path / "out")}
    if value == "nan":  # of a CSV it is an empty cell, of JSON a text that is no number
        with pytest.raises(SpecError, match=r"m.jsonl row 1: weight is a number from 0 up, not 'nan'"):
            scan(parse(raw), tmp_path)
        return
    (location,) = scan(parse(raw), tmp_path)
    assert (location.meta["weight"], location.meta["loss_weight"]) == (means, means)
    other = {**location.meta, "weight": 1.5, "loss_weight": None}
    merged = merged_metadata([location, replace(location, meta=other)])
    assert (merged["weight"], merged["loss_weight"]) == (min(means, 1.5), means)


@pytest.mark.parametrize("value", [-1, "much", True, [1]])
def test_weights_are_nothing_else(tmp_path, media, value):
    (tmp_path / "m.jsonl").write_text(json.dumps({"path": str(next(media.iterdir())), "loss_weight": value}))
    raw = {"name": "t", "sources": [{"path": str(tmp_path / "m.jsonl")}], "output": str(tmp_path / "out")}
    with pytest.raises(SpecError, match=r"row 1: loss_weight is a number from 0 up.*columns: {NAME: null}"):
        scan(parse(raw), tmp_path)


def test_texts_of_a_csv_stay_texts(tmp_path, media):
    text = '\ufeffpath,license,acquired_at,original_caption\na.mp4,1.10,2024-05-01,"two\nlines, ""quoted"""\n'
    (media / "m.csv").write_text(text, encoding="utf-8")
    (found,) = _scan(tmp_path, {"path": str(media / "m.csv")})
    assert found.meta["license"] == "1.10"
    assert (found.meta["acquired_at"], found.meta["original_caption"]) == ("2024-05-01", 'two\nlines, "quoted"')


def test_rows_of_one_path_are_one_location_when_they_agree(tmp_path, media):
    def timed(*spans):
        return [{"start_s": float(a), "end_s": float(b), "text": text} for a, b, text in spans]

    rows = [
        {"path": "a.mp4", "original_caption": timed((0, 1, "x"))},
        {"path": "sub/b.mp4", "original_caption": "whole"},
        {"path": "./a.mp4"},
        {"path": "a.mp4", "original_caption": timed((0, 1, "x"), (1, 2, "y"))},
        {"path": "sub/b.mp4", "original_caption": "whole", "license": "cc0"},
        {"path": "sub/b.mp4"},
    ]
    _write_manifest(media / "m.jsonl", rows)
    a, *b = _scan(tmp_path, {"path": str(media / "m.jsonl"), "original_caption": "spec's"})
    assert a.meta["original_caption"] == timed((0, 1, "x"), (1, 2, "y"))
    assert [(place.meta["license"], place.meta["original_caption"]) for place in b] == [
        ("unknown", "whole"), ("cc0", "whole"),
    ]  # fmt: skip
    assert merged_metadata(b)["license"] == "conflict: cc0 | unknown"


def test_other_file_systems(tmp_path, media):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        {"/raw/a.mp4": b"1", "/raw/sub/b.mp4": b"22", "/raw/m.jsonl": b'{"path": "sub/b.mp4"}\n{"path": "no.mp4"}'}
    )
    try:
        folder = _scan(tmp_path, {"path": "memory://raw"})
        assert [location.url for location in folder] == ["memory:///raw/a.mp4", "memory:///raw/sub/b.mp4"]
        assert all(location.source_id for location in folder)
        assert _scan(tmp_path, {"path": "memory://raw/**/*.mp4"})[-1] == folder[-1]
        rows = _scan(tmp_path, {"path": "memory://raw/m.jsonl"})
        assert {location.url: location.fault for location in rows} == {
            "memory:///raw/sub/b.mp4": "", "memory:///raw/no.mp4": "source:missing",
        }  # fmt: skip
    finally:
        memory.rm("/raw", recursive=True)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(media / "a.mp4", "in/a.mp4")
    (inside,) = _scan(tmp_path, {"path": f"zip://in/*.mp4::file://{tmp_path}/z.zip"})
    (plain,) = _scan(tmp_path, {"path": str(media / "a.mp4")})
    assert inside.url == f"zip://in/a.mp4::file://{tmp_path}/z.zip"
    assert inside.source_id == plain.source_id


@pytest.mark.parametrize(("url", "local"), [
    ("/a/b.mp4", True), ("a::b", True), ("file:///x::y", True), ("/x/zip://y::z", True), ("c:/x", True),
    ("s3://b/k", False), ("simplecache::s3://b/k", False), ("zip://a::/b.zip", False), ("https://h/a", False),
])  # fmt: skip
def test_what_is_local(url, local):
    assert is_local(url) is local
