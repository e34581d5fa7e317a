"""The export in other people's hands: datasets, pandas, DuckDB and mlcroissant open it and read the same rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import yaml

from curate.codecs.bf16 import decode_bf16
from curate.dataset.croissant import CONTEXT
from curate.dataset.parquet import Sizes
from curate.dataset.reader import Dataset
from curate.dataset.receipts import verify_receipt
from curate.dataset.shards import write_dataset
from tests.dataset.test_shards import tree
from tests.dataset.tiny import ALLOW, UNSCREENED, clip_rows, header, text_rows

SHAPES = ((9, 32), (5, 16), (1, 32), (9, 16), (5, 24))
ABOUT = {
    "title": "Tiny | clips", "description": "A few *generated* clips.", "license": "https://spdx.org/licenses/CC0-1.0",
    "organization": "Nobody", "url": "https://example.org/tiny", "published": "2026-01-31", "version": "1.0.0",
    "citation": "Nobody: Tiny clips.",
}  # fmt: skip
EVIL = "cc0 | `<script>alert(1)</script>`\n---\n# [x](y)"


def written(path: Path, about: dict[str, str] = ABOUT, shapes=SHAPES, license=None) -> Path:
    """A dataset of two encoders and mp4 files, in several shards."""
    import pyarrow as pa

    clips = clip_rows(shapes)
    if license is not None:
        column = clips.schema.get_field_index("license")
        clips = clips.set_column(column, "license", pa.array([license] * len(clips), pa.string()))
    captions = sorted({*clips["caption_short"].to_pylist(), *clips["caption_original"].to_pylist()})
    data = [f"film {clip}".encode() for clip in clips["clip_id"].to_pylist()]
    files = pa.table({
        "clip_id": clips["clip_id"], "data": pa.array(data, pa.binary()), "how": ["encoded"] * len(data),
        "bytes": [len(film) for film in data], "sha256": [hashlib.sha256(film).hexdigest() for film in data],
    })  # fmt: skip
    head = {**header(), "name": "tiny", "about": about, "rules": {"motion": {"min": 0.1}}}
    head["more_text_encoders"] = {"small": {**head["text_encoder"], "label": "small"}}
    texts = text_rows(captions)
    return write_dataset(
        path, [clips], [texts], head, UNSCREENED, files=[files], more_texts={"small": [texts]},
        sizes=Sizes(shard_rows=3, row_group_rows=2),
    ).path  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("formats") / "tiny")


def rows_of(dataset: Path, kind: str) -> list[dict]:
    """The truth: rows in the order of the card's shards."""
    shards = json.loads((dataset / "dataset.json").read_bytes())["shards"][kind]
    return [row for shard in shards for row in pq.read_table(dataset / shard["path"]).to_pylist()]


def by_id(rows: list[dict], key: str) -> list[dict]:
    return sorted(rows, key=lambda row: row[key])


KINDS = {"clips": "clip_id", "texts": "text_id", "texts_small": "text_id", "index": "clip_id", "mp4_index": "clip_id"}


def test_hugging_face_datasets_opens_every_configuration(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    assert datasets.get_dataset_config_names(str(dataset)) == list(KINDS)
    for kind, key in KINDS.items():
        found = datasets.load_dataset(str(dataset), kind, split="train", cache_dir=str(tmp_path))
        assert by_id(found.to_list(), key) == by_id(rows_of(dataset, kind), key)
    plain = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))["train"]
    assert decode_bf16(plain[0]["latent"], tuple(plain[0]["shape"])).shape == tuple(plain[0]["shape"])
    streamed = datasets.load_dataset(str(dataset), "clips", split="train", streaming=True)
    assert by_id(list(streamed), "clip_id") == by_id(rows_of(dataset, "clips"), "clip_id")


def test_pandas_reads_rows_and_index(dataset):
    index = pandas.read_parquet(dataset / "index")
    clips = pandas.read_parquet(dataset / "clips").set_index("clip_id")
    assert set(index["clip_id"]) == set(clips.index)
    shapes = np.stack([clips.loc[clip, "shape"] for clip in index["clip_id"]])
    assert (shapes == index[["channels", "latent_frames", "latent_height", "latent_width"]].to_numpy()).all()
    assert (index["positions"] == shapes[:, 1:].prod(axis=1)).all()
    assert len(clips.loc[index["clip_id"][0], "latent"]) == 2 * shapes[0].prod()


def test_duckdb_reads_by_glob_and_joins(dataset):
    import duckdb

    with duckdb.connect() as session:
        found = session.sql(
            f"select count(*), sum(positions), count(distinct text) from '{dataset}/index/*.parquet' "
            f"join '{dataset}/clips/*.parquet' c using (clip_id) "
            f"join '{dataset}/texts/*.parquet' t on c.caption_short_text_id = t.text_id"
        ).fetchall()
    assert found == [(len(SHAPES), sum(row["positions"] for row in rows_of(dataset, "index")), 2)]


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")
def test_mlcroissant_accepts_the_file_and_reads_every_record_set(dataset, caplog):
    import mlcroissant

    opened = mlcroissant.Dataset(str(dataset / "croissant.json"))
    issues = opened.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    assert not [record for record in caplog.records if "not standard" in record.getMessage()]
    assert [record_set.id for record_set in opened.metadata.record_sets] == list(KINDS)
    for kind, key in KINDS.items():
        wanted = by_id(rows_of(dataset, kind), key)
        found = [
            {name.removeprefix(f"{kind}/"): _plain(value) for name, value in record.items()}
            for record in opened.records(kind)
        ]
        assert by_id(found, key) == [{name: _plain(value) for name, value in row.items()} for row in wanted]


def _plain(value):
    """Croissant's readers hand texts out as bytes, and numbers as numpy's."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or value != value:  # NaN stands for a missing number in pandas
        return None
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_the_context_is_the_standard_one():
    from mlcroissant import Metadata
    from mlcroissant._src.core.context import Context, CroissantVersion
    from mlcroissant._src.core.rdf import make_context

    assert Metadata is not None
    standard = make_context(Context(conforms_to=CroissantVersion.V_1_1))
    assert {**standard, "examples": CONTEXT["examples"]} == CONTEXT


def test_croissant_names_every_file_with_its_sha256(dataset):
    said = json.loads((dataset / "croissant.json").read_bytes())
    files = {part["contentUrl"]: part for part in said["distribution"] if part["@type"] == "cr:FileObject"}
    present = {str(path.relative_to(dataset)) for path in [*dataset.rglob("*.parquet"), *dataset.glob("[dr]*.json")]}
    assert set(files) == present
    for path, part in files.items():
        data = (dataset / path).read_bytes()
        assert part["sha256"] == hashlib.sha256(data).hexdigest()
        assert part["contentSize"] == f"{len(data)} B"
    assert said["datePublished"] == "2026-01-31"
    assert said["license"] == [ABOUT["license"]]


def test_equal_input_gives_equal_bytes_and_documents_are_not_sealed(dataset, tmp_path):
    again = written(tmp_path / "again")
    assert tree(again) == tree(dataset)
    verify_receipt(again, ALLOW)
    (again / "README.md").write_text("edited")
    (again / "croissant.json").unlink()
    verify_receipt(again, ALLOW)
    assert len(Dataset(again)) == len(SHAPES)


def test_the_index_says_where_a_clip_lies(dataset):
    for row in rows_of(dataset, "index"):
        with pq.ParquetFile(dataset / row["shard"]) as file:
            clip = file.read_row_group(row["row_group"]).slice(row["row"], 1).to_pylist()[0]
        assert {name: clip[name] for name in ("clip_id", "num_frames", "height", "width", "fps", "source_id")} == {
            name: row[name] for name in ("clip_id", "num_frames", "height", "width", "fps", "source_id")
        }


def test_nothing_is_made_up_and_texts_of_footage_are_no_markup(tmp_path):
    path = written(tmp_path / "plain", about={}, shapes=SHAPES[:1], license=EVIL)
    said = json.loads((path / "croissant.json").read_bytes())
    assert not {"datePublished", "creator", "url", "version", "citeAs"} & set(said)
    assert said["license"] == [EVIL]
    text = (path / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["license_name"] == " ".join(EVIL.split())
    assert "<script>" not in body.replace("`cc0 / '<script>alert(1)</script>' --- # [x](y)`", "")
    assert body.count("unscreened") == 3
    assert "| `motion` | `min: 0.1` |" in body


def test_a_dataset_without_clips_says_so(tmp_path):
    write_dataset(tmp_path / "d", [], [text_rows([])], header(), UNSCREENED)
    said = json.loads((tmp_path / "d" / "croissant.json").read_bytes())
    assert [part["@id"] for part in said["recordSet"]] == ["texts"]
    front = yaml.safe_load((tmp_path / "d" / "README.md").read_text().split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == ["texts"]
