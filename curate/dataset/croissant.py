"""croissant.json: a dataset in the words of MLCommons' Croissant 1.1, made from its card.

Every Parquet file is a FileObject with its sha256; each kind of rows is a FileSet over them and a RecordSet of its
columns. Nothing is made up: what nobody said (`export: about`) is not in it.
Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.dataset.receipts import canonical_json
from curate.durable import file_sha256

_CR = {
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
}  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"}, "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in sorted(_CR)},
}  # fmt: skip
KEYS = {"clips": "clip_id", "index": "clip_id", "mp4_index": "clip_id"}  # the others are texts
_JSON = "application/json"
_PARQUET = "application/x-parquet"


def croissant(root: Path, card: dict[str, Any], description: str) -> bytes:
    """Return the file's bytes. `root` holds the shards that the card names, dataset.json and receipt.json."""
    about = card.get("about", {})
    kinds = [kind for kind, shards in card["shards"].items() if shards]
    files = [_file(name, _JSON, file_sha256(root / name), (root / name).stat().st_size) for name in _DOCUMENTS]
    files += [
        _file(shard["path"], _PARQUET, shard["sha256"], shard["bytes"])
        for kind in kinds
        for shard in card["shards"][kind]
    ]
    sets = [_files(kind, _PARQUET, f"{kind}/*.parquet") for kind in kinds]
    if "mp4_index" in kinds:  # their sha256 stand in that index, a row each
        sets.append(_files("mp4", "video/mp4", "mp4/*.mp4"))
    said: dict[str, Any] = {
        "@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": about.get("title") or card.get("name", "dataset"), "description": description,
        "license": licenses(card), "distribution": [*files, *sets],
        "recordSet": [_records(root, kind, card["shards"][kind][0]["path"]) for kind in kinds],
    }  # fmt: skip
    for key, name in (("url", "url"), ("published", "datePublished"), ("version", "version"), ("citation", "citeAs")):
        if about.get(key):
            said[name] = about[key]
    if about.get("organization"):
        said["creator"] = {"@type": "sc:Organization", "name": about["organization"]}
    return canonical_json(said)


_DOCUMENTS = ("dataset.json", "receipt.json")


def licenses(card: dict[str, Any]) -> list[str]:
    """The licence that was said of the whole; else those of the clips, the commonest first."""
    said = card.get("about", {}).get("license")
    return [said] if said else list(card["of"]["license"]) or ["unknown"]


def _file(path: str, kind: str, sha256: str, size: int) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": path, "name": path.rpartition("/")[2], "contentUrl": path,
        "contentSize": f"{size} B", "encodingFormat": kind, "sha256": sha256,
    }  # fmt: skip


def _files(kind: str, encoding: str, pattern: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": f"{kind}-files", "encodingFormat": encoding, "includes": pattern}


def _records(root: Path, kind: str, first: str) -> dict[str, Any]:
    import pyarrow.parquet as pq

    return {
        "@type": "cr:RecordSet", "@id": kind, "name": kind, "key": {"@id": f"{kind}/{KEYS.get(kind, 'text_id')}"},
        "field": [_field(kind, field) for field in pq.read_schema(root / first)],
    }  # fmt: skip


def _field(kind: str, field: pa.Field) -> dict[str, Any]:
    many = pa.types.is_list(field.type)
    said = {
        "@type": "cr:Field", "@id": f"{kind}/{field.name}", "name": field.name, "description": meaning_of(field),
        "dataType": _type(field.type.value_type if many else field.type),
        "source": {"fileSet": {"@id": f"{kind}-files"}, "extract": {"column": field.name}},
    }  # fmt: skip
    return said | ({"isArray": True, "arrayShape": "-1"} if many else {})


def meaning_of(field: pa.Field) -> str:
    """What the column's metadata says it is, with its unit."""
    said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    meaning, unit = said.get("meaning") or field.name, said.get("unit")
    return f"{meaning} [{unit}]" if unit else meaning


def _type(kind: pa.DataType) -> str:
    """Croissant's word for an Arrow type. It has none for bytes; its readers hand texts out as bytes."""
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return f"cr:{'Int' if pa.types.is_signed_integer(kind) else 'UInt'}{kind.bit_width}"
    if pa.types.is_floating(kind):
        return f"cr:Float{kind.bit_width}"
    return "sc:Text"
