"""Known material seals its whole source before anything of it is written; two people may call a match false."""

from __future__ import annotations

import json
import stat
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.dataset.receipts import verify_receipt
from curate.errors import UnscreenedData
from curate.hashing import source_ids
from curate.media.writer import write_mp4
from curate.store import Store, read_columns
from filters._hash_entries import entries_of_pictures
from filters._hash_lists import Entry, write_list
from tests.conftest import rushes, spec_dict, write_clip, write_spec
from tests.filters.pictures import texture

TODAY = datetime.now(UTC).date()
SEALED = {"policy": "hold", "contact": "safety@example.org"}


def _picture(seed):
    """A picture with something to see, (96, 128, 3) uint8."""
    return texture(seed, 96, 128)


@pytest.fixture
def footage(tmp_path):
    """Two good files, and one of three scenes whose middle one shows a listed picture."""
    folder = tmp_path / "footage"
    write_clip(folder / "good.mp4", (1,), size=(96, 128))
    write_clip(folder / "other.mp4", (2,), size=(96, 128))
    scenes = [np.repeat(_picture(seed)[None], 16, axis=0) for seed in (40, 41, 42)]
    write_mp4(folder / "bad-name.mp4", np.concatenate(scenes), 8.0)
    return folder


def _list(path, entries, days=0, name="known"):
    write_list(path, name, entries, TODAY - timedelta(days=days))
    return str(path)


def _run(tmp_path, footage, known, *, sealed=SEALED, until="export", code=0, **screen):
    raw = spec_dict(footage, tmp_path / "out")
    asked = {"explicit": [], "violence": [], "hate": [], "known_hashes": known, "sealed": sealed, **screen}
    raw["stages"][3] = {"screen": {name: value for name, value in asked.items() if value is not None}}
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", until, "--json")
    assert done.returncode == code, done.stderr
    return done


def _outcomes(done):
    return {(row["outcome"], row["reason"]): row["rows"] for row in json.loads(done.stdout)["funnel"]}


def _traces(out, footage):
    """Whatever in the output tree could name the sealed source, but for what is locked away."""
    source = next(str(name) for url, name in source_ids([str(footage / "bad-name.mp4")], out / "x.json").items())
    (out / "x.json").unlink()
    found = []
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.relative_to(out).parts[0] not in ("sealed", "spec.yaml"):
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data = json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
            if b"bad-name" in data or (source.encode() in data and not path.parent.name.startswith("sealed-")):
                found.append(str(path.relative_to(out)))
    return found


@pytest.mark.parametrize("kind", ["sha256", "frame"])
def test_a_match_seals_the_whole_source_and_leaves_nothing(kind, footage, tmp_path):
    before = (footage / "bad-name.mp4").read_bytes()
    entries = entries_of_pictures([_picture(41)])
    if kind == "sha256":
        import hashlib

        entries = [Entry("sha256", hashlib.sha256(before).hexdigest())]
    done = _run(tmp_path, footage, _list(tmp_path / "known.txt", entries))
    assert _outcomes(done) == {("kept", ""): 2, ("sealed", "sealed:known"): 1}
    out = tmp_path / "out"
    assert _traces(out, footage) == []
    assert (footage / "bad-name.mp4").read_bytes() == before
    (note,) = (out / "sealed").iterdir()
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    said = json.loads(note.read_text())
    assert said["urls"] == [f"file://{footage / 'bad-name.mp4'}"]
    assert (said["contact"], said["policy"], said["why"]) == ("safety@example.org", "hold", "known")
    listed = json.loads(rushes("sealed", out, "--json").stdout)["sealed"]
    assert [row["incident"] for row in listed] == [said["incident"]]
    assert "bad-name" not in json.dumps(listed)
    again = _run(tmp_path, footage, str(tmp_path / "known.txt"))
    assert json.loads(again.stdout)["computed"] == {}


def test_two_people_may_clear_a_match_and_nobody_else(footage, tmp_path):
    known = _list(tmp_path / "known.txt", entries_of_pictures([_picture(41)]))
    _run(tmp_path, footage, known)
    name = json.loads(rushes("sealed", tmp_path / "out", "--json").stdout)["sealed"][0]["incident"]
    assert rushes("sealed", tmp_path / "out", "--clear", name).returncode == 2
    assert rushes("sealed", tmp_path / "out", "--clear", "nothing", "--by", "ann").returncode == 2
    for _ in range(2):
        rushes("sealed", tmp_path / "out", "--clear", name, "--by", "Ann")
    assert ("sealed", "sealed:known") in _outcomes(_run(tmp_path, footage, known))
    rushes("sealed", tmp_path / "out", "--clear", name, "--by", "bob")
    assert not any(outcome == "sealed" for outcome, _ in _outcomes(_run(tmp_path, footage, known)))
    _list(tmp_path / "known.txt", entries_of_pictures([_picture(41), _picture(50)]))
    again = _run(tmp_path, footage, known)
    assert ("sealed", "sealed:known") in _outcomes(again), "a changed list asks again"
    assert "split" not in json.loads(again.stdout)["computed"]


@pytest.mark.parametrize("policy", ["hold", "purge", "command"])
def test_a_list_that_grows_seals_what_is_stored_without_decoding(policy, footage, tmp_path):
    _run(tmp_path, footage, _list(tmp_path / "known.txt", entries_of_pictures([_picture(50)])))
    out, taken = tmp_path / "out", tmp_path / "taken.json"
    verify_receipt(out / "dataset", ("explicit", "violence", "hate"))
    _list(tmp_path / "known.txt", entries_of_pictures([_picture(50), _picture(41)]))
    with pytest.raises(UnscreenedData, match="has changed since"):
        verify_receipt(out / "dataset", ("explicit", "violence", "hate"))
    hand = [sys.executable, "-c", f"import sys; open({str(taken)!r}, 'w').write(sys.stdin.read())"]
    sealed = {**SEALED, "policy": hand if policy == "command" else policy}
    done = _run(tmp_path, footage, str(tmp_path / "known.txt"), sealed=sealed, until="dedup")
    assert "split" not in json.loads(done.stdout)["computed"]
    assert _outcomes(done)["sealed", "sealed:known"] == 1
    with pytest.raises(UnscreenedData, match="was revoked"):
        verify_receipt(out / "dataset", ("explicit", "violence", "hate"))
    if policy == "purge":
        store = Store(out)
        left = [part for table in store.tables() for part in store.parts(table) if part.table.startswith("frames-")]
        clips = {c for part in left for c in read_columns(out / part.path, ["clip_id"])["clip_id"].to_pylist()}
        assert len(clips) == 2
        assert store.verify() == {}
    if policy == "command":
        assert json.loads(taken.read_text())["why"] == "known"


def test_a_command_that_fails_is_said_and_asked_again(footage, tmp_path):
    known = _list(tmp_path / "known.txt", entries_of_pictures([_picture(41)]))
    done = _run(tmp_path, footage, known, sealed={**SEALED, "policy": [sys.executable, "-c", "exit(7)"]}, code=1)
    assert "did not take incident" in done.stderr
    assert "bad-name" not in done.stderr
    assert _outcomes(_run(tmp_path, footage, known))["sealed", "sealed:known"] == 1


@pytest.mark.parametrize(
    ("make", "changes", "says"),
    [
        (lambda p: str(p / "none.txt"), {}, "does not exist"),
        (lambda p: _list(p / "l.txt", [Entry("sha256", "0" * 64)], days=200), {}, "200 days old"),
        (lambda p: _tampered(p), {}, "they were changed"),
        (lambda p: _list(p / "l.txt", [Entry("sha256", "0" * 64)]), {"sealed": None}, "there is no default"),
        (lambda p: _list(p / "l.txt", [Entry("sha256", "0" * 64)]), {"sealed": {"policy": "hold"}}, "contact"),
        (lambda p: _list(p / "l.txt", [Entry("sha256", "0" * 64)]), {"sealed": {"contact": "a@b"}}, "policy"),
    ],
    ids=["missing", "stale", "tampered", "no sealed", "no contact", "no policy"],
)
def test_a_run_that_cannot_be_answered_for_does_not_start(make, changes, says, footage, tmp_path):
    done = _run(tmp_path, footage, make(tmp_path), code=2, **changes)
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def _tampered(folder):
    path = folder / "l.txt"
    _list(path, [Entry("sha256", "0" * 64)])
    path.write_text(path.read_text().replace("sha256 0", "sha256 1"))
    return str(path)
