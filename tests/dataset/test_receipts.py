"""The trainer refuses data without a valid screening receipt: each refusal with its sentence."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import date

import pyarrow as pa
import pytest

from curate.dataset.receipts import uncalibrated_categories, unscreened_categories, verify_receipt
from curate.dataset.shards import write_dataset
from curate.errors import SpecError, StorageError, UnscreenedData
from tests.dataset.tiny import ALLOW, SCREENED, clip_rows, header, text_rows, tiny_dataset

POLICY = {"name": "default", "profile": "standard", "sha256": "0123456789abcdef" * 4}


@pytest.fixture
def screened(tmp_path):
    return tiny_dataset(tmp_path / "d", receipt={**SCREENED, "policy": POLICY, "counts": {"explicit": 3}}).path


def test_screened_data_pass(screened):
    receipt = verify_receipt(screened)
    assert receipt["categories"] == SCREENED["categories"]
    assert receipt["counts"] == {"explicit": 3}


@pytest.mark.parametrize("category", ALLOW)
@pytest.mark.parametrize(
    "how",
    ["unscreened", [], None, [""], [" "], [None], {"x": 0}, {"nudenet": 1}, "none", "nudenet", ["unscreened"],
     ["nudenet", "unscreened"], ["nudenet", ""], ["nudenet", None], [["nudenet"]], True, 1],
)  # fmt: skip
def test_an_unscreened_category_is_refused_unless_named(tmp_path, category, how):
    categories = {**SCREENED["categories"], category: how}
    path = tiny_dataset(tmp_path / "d", receipt={**SCREENED, "categories": categories}).path
    with pytest.raises(UnscreenedData, match=f"not screened for {category}: .*allow_unscreened: .{category}"):
        verify_receipt(path, [c for c in ALLOW if c != category])
    verify_receipt(path, [category])


@pytest.mark.parametrize("receipt", [{}, {"categories": None}, {"categories": ALLOW}, {"categories": {}}])
def test_a_receipt_that_names_no_category_screens_nothing(tmp_path, receipt):
    path = tiny_dataset(tmp_path / "d", receipt=receipt).path
    assert unscreened_categories(verify_receipt(path, ALLOW)) == ALLOW
    with pytest.raises(UnscreenedData, match="not screened for explicit"):
        verify_receipt(path)


def test_no_receipt(screened):
    (screened / "receipt.json").unlink()
    with pytest.raises(UnscreenedData, match=r"has no receipt\.json: export it again"):
        verify_receipt(screened, ALLOW)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1}'])
def test_a_broken_receipt(screened, text):
    (screened / "receipt.json").write_text(text)
    with pytest.raises(UnscreenedData, match=r"receipt.json was changed after the export"):
        verify_receipt(screened, ALLOW)


def test_an_edited_receipt(screened):
    receipt = json.loads((screened / "receipt.json").read_bytes())
    receipt["categories"]["hate"] = ["everything"]
    (screened / "receipt.json").write_text(json.dumps(receipt))
    with pytest.raises(UnscreenedData, match=r"receipt.json was changed"):
        verify_receipt(screened, ALLOW)


def test_a_receipt_of_other_data(screened, tmp_path):
    other = tiny_dataset(tmp_path / "other", ((9, 32),), receipt=SCREENED).path
    shutil.copy(other / "receipt.json", screened / "receipt.json")
    with pytest.raises(UnscreenedData, match=r"dataset.json is not the one that the receipt was written for"):
        verify_receipt(screened)


@pytest.mark.parametrize("folder", ["clips", "texts"])
def test_an_edited_shard(screened, folder):
    shard = next((screened / folder).iterdir())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UnscreenedData, match=r"part-\w+.parquet was changed after the screening"):
        verify_receipt(screened)


def test_an_added_shard(screened):
    shard = next((screened / "clips").iterdir())
    shutil.copy(shard, screened / "clips" / "part-0.parquet")
    with pytest.raises(UnscreenedData, match=r"part-0.parquet was added after the screening"):
        verify_receipt(screened)


def test_swapped_shards(tmp_path):
    path = tiny_dataset(tmp_path / "d", receipt=SCREENED).path
    one, two = next((path / "clips").iterdir()), next((path / "texts").iterdir())
    held = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(held)
    with pytest.raises(UnscreenedData, match=r"holds what another shard held: they were swapped"):
        verify_receipt(path)


@pytest.mark.parametrize("category", ALLOW)
@pytest.mark.parametrize("said", [False, None, "yes", 1])
def test_an_uncalibrated_category_is_refused_unless_named(tmp_path, category, said):
    receipt = {**SCREENED, "calibrated": {**SCREENED["calibrated"], category: said}}
    path = tiny_dataset(tmp_path / "d", receipt=receipt).path
    with pytest.raises(UnscreenedData, match=f"for {category} by screens that nobody has calibrated: .*allow_uncal"):
        verify_receipt(path, ALLOW, allow_uncalibrated=[c for c in ALLOW if c != category])
    assert uncalibrated_categories(verify_receipt(path, allow_uncalibrated=[category])) == [category]


@pytest.mark.parametrize("wanted", ["strict", "default/strict", "0123", "fedcba98", "none"])
def test_another_policy_is_refused(screened, wanted):
    for accepted in ("default", "default/standard", "01234567", POLICY["sha256"]):
        verify_receipt(screened, require_policy=accepted)
    with pytest.raises(
        UnscreenedData, match=r"by the policy default/standard \(0123456789ab\), and .* wants " + wanted
    ):
        verify_receipt(screened, require_policy=wanted)


def test_a_list_that_went_stale_is_refused(tmp_path):
    known = tmp_path / "known.txt"
    known.write_text("sha256 00\n")
    said = {"name": "known", "path": str(known), "sha256": hashlib.sha256(known.read_bytes()).hexdigest(),
            "updated": "2026-01-01", "max_age_days": 30}  # fmt: skip
    path = tiny_dataset(tmp_path / "d", receipt={**SCREENED, "lists": [said]}).path
    verify_receipt(path, today=date(2026, 1, 31))
    with pytest.raises(UnscreenedData, match=r"list 'known' of known material, which was to be renewed by 2026-01-31"):
        verify_receipt(path, today=date(2026, 2, 1))
    known.write_text("sha256 00\nsha256 01\n")
    with pytest.raises(UnscreenedData, match=r"which has changed since: run the pipeline again"):
        verify_receipt(path, today=date(2026, 1, 31))


def test_a_revoked_receipt(screened):
    (screened / "receipt.json").write_text('{"revoked": "it holds material that was sealed since"}')
    with pytest.raises(UnscreenedData, match=r"was revoked: it holds material that was sealed since"):
        verify_receipt(screened, ALLOW)


def test_a_missing_shard(screened):
    next((screened / "texts").iterdir()).unlink()
    with pytest.raises(UnscreenedData, match=r"is missing: restore it"):
        verify_receipt(screened)


def test_a_dataset_on_another_file_system_is_checked_like_a_folder(tmp_path):
    """Of every byte, of what was added since the last look, and of the mp4 files: memory:// stands for s3://."""
    import fsspec

    memory, url = fsspec.filesystem("memory"), "memory://receipts/d"
    path = with_files(tmp_path / "d")
    shard = str(next((path / "clips").iterdir()).relative_to(path))

    def changed(name: str, data: bytes | None) -> None:
        if memory.exists("/receipts"):
            memory.rm("/receipts", recursive=True)
        memory.put(str(path), "/receipts/d", recursive=True)
        if data is None:
            memory.rm(f"/receipts/d/{name}")
        elif name:
            memory.pipe(f"/receipts/d/{name}", data)

    flipped = bytearray((path / shard).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (clip,) = (f"mp4/{file.name}" for file in (path / "mp4").iterdir())
    changed("", b"")
    try:
        assert verify_receipt(url) == verify_receipt(str(path)) == verify_receipt(path)
        for name, data, why in (
            (shard, bytes(flipped), f"{url}/{shard} was changed after"), (shard, None, f"{shard} is missing"),
            ("clips/part-0.parquet", b"x", "part-0.parquet was added after"), (clip, b"x", f"{clip} was changed"),
            (clip, None, f"{clip} is missing"), ("mp4/a/b.mp4", b"x", "mp4/a/b.mp4 was added"),
            ("dataset.json", b"{}", "is not the one that the receipt"), ("dataset.json", None, "has no dataset.json"),
            ("receipt.json", b"{}", "receipt.json was changed"), ("receipt.json", None, f"{url} has no receipt.json"),
        ):  # fmt: skip
            changed(name, data)
            with pytest.raises(UnscreenedData, match=re.escape(why)):
                verify_receipt(url)
        with pytest.raises(StorageError, match=r"nowhere://d/receipt\.json cannot be read"):
            verify_receipt("nowhere://d")
    finally:
        memory.rm("/receipts", recursive=True)


def with_files(path):
    """A screened dataset of one clip, its mp4 beside it."""
    clips = clip_rows(((1, 16),))
    data, name = b"no mp4, but bytes", clips["clip_id"][0].as_py()
    file = {"clip_id": name, "how": "copied", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files = pa.Table.from_pylist([{**file, "data": data}])
    return write_dataset(path, [clips], [text_rows(["a", "x a"])], header(), SCREENED, files=[files]).path


def test_the_refusal_is_a_spec_error_with_exit_code_2():
    assert issubclass(UnscreenedData, SpecError)
    assert UnscreenedData.exit_code == 2
