"""What a dataset says of itself to people and to other tools: README.md (Hugging Face's layout) and croissant.json.

Both are made from the card, the receipt and the columns' metadata, and neither is sealed: a README may be edited.
Texts that came with footage (licences, above all) are quoted, never markup.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import yaml

from curate.dataset.croissant import croissant, licenses, meaning_of

_MOST = 120  # characters of a text that came with footage
_HUB_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def documents(root: Path, card: dict[str, Any], receipt: dict[str, Any]) -> dict[str, bytes]:
    """Return the files by name. `root` holds the shards that the card names, dataset.json and receipt.json."""
    counts = card["counts"]
    of = f"{counts['clips']} clips ({counts['hours']:.3g} hours) as latents of {card['codec']['name']}"
    plain = card.get("about", {}).get("description") or f"{of}, with captions as text features."
    readme = _front_matter(card) + _body(root, card, receipt, plain)
    return {"README.md": readme.encode(), "croissant.json": croissant(root, card, plain)}


def _front_matter(card: dict[str, Any]) -> str:
    about, clips = card.get("about", {}), card["counts"]["clips"]
    said: dict[str, Any] = {"pretty_name": about.get("title") or card.get("name", "dataset")}
    # The hub knows licences by a list of names; whatever else is said stands in the text.
    said |= {"license": "other", "license_name": " ".join(" | ".join(licenses(card))[:_MOST].split())}
    said |= {"task_categories": ["text-to-video"], "tags": ["video", "latents"]}
    said["size_categories"] = [next((name for most, name in _HUB_SIZES if clips < most), "n>1M")]
    said["configs"] = [
        {"config_name": kind, "data_files": [{"split": "train", "path": f"{kind}/*.parquet"}]}
        | ({"default": True} if kind == "clips" else {})
        for kind, shards in card["shards"].items()
        if shards
    ]
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=1000)}---\n\n"


def _body(root: Path, card: dict[str, Any], receipt: dict[str, Any], description: str) -> str:
    about, counts, codec = card.get("about", {}), card["counts"], card["codec"]
    encoders = {card["text_encoder"].get("label", card["text_encoder"]["name"]): card["text_encoder"]}
    encoders |= card.get("more_text_encoders", {})
    parts = [
        f"# {_quoted(about.get('title') or card.get('name', 'dataset'))}", _quoted(description, None),
        _table(("clips", "texts", "frames", "hours"), [[*(str(counts[k]) for k in ("clips", "texts", "frames")),
                                                       f"{counts['hours']:.4g}"]]),
        "## Files", _files(card), "## Reading it", _READING,
        "## Latents",
        f"Codec {_code(codec['name'])}, fingerprint {_code(codec['fingerprint'])}, parameters "
        f"{_code(_said(codec['params']))}. {_normalised(codec)} bfloat16, (channels, frames, height, width).",
        "## Texts",
        _table(("encoder", "kind", "fingerprint", "parameters"),
               [[_code(label), _code(e["name"]), _code(e["fingerprint"]), _code(_said(e["params"]))]
                for label, e in encoders.items()]),
        "Features are the encoder's output at a text's own tokens, without padding; the empty text is there once.",
        "## Columns of `clips`", _columns(root, card),
        "## Sources",
        *(f"{title}:\n\n{_counted(card['of'][name])}" for name, title in _OF.items() if card["of"][name]),
        "## Rules", _rules(card.get("rules") or {}),
        "## Screening", _screening(receipt),
    ]  # fmt: skip
    if about.get("citation"):
        parts += ["## Citation", _quoted(about["citation"], None)]
    return "\n\n".join(part for part in parts if part) + "\n"


_OF = {"license": "Licences of the clips", "source_class": "Classes of their sources", "is_synthetic": "Synthetic"}
_READING = """```python
datasets.load_dataset(FOLDER, "clips")            # or "texts", "index"
pandas.read_parquet("FOLDER/index")
duckdb.sql("select * from 'FOLDER/clips/*.parquet'")
mlcroissant.Dataset("FOLDER/croissant.json").records("clips")
numpy.frombuffer(row["latent"], "<u2")            # bfloat16: the upper half of a float32
```"""


def _files(card: dict[str, Any]) -> str:
    rows = [
        [_code(f"{kind}/"), str(len(shards)), str(sum(shard["rows"] for shard in shards)),
         f"{sum(shard['bytes'] for shard in shards) / 1e6:.3f} MB"]
        for kind, shards in card["shards"].items()
    ]  # fmt: skip
    said = "`dataset.json` is the card that software reads, with the sha256 of every file; `receipt.json` seals it."
    return f"{_table(('folder', 'files', 'rows', 'size'), rows)}\n\n{said}"


def _normalised(codec: dict[str, Any]) -> str:
    if "normalised" not in codec:
        return "As the codec gives them, not normalised:"
    return f"{'Normalised' if codec['normalised'] else 'Not normalised'}, the posterior's {codec.get('posterior')}:"


def _columns(root: Path, card: dict[str, Any]) -> str:
    import pyarrow.parquet as pq

    if not card["shards"]["clips"]:
        return "There are no clips."
    schema = pq.read_schema(root / card["shards"]["clips"][0]["path"])
    return _table(("column", "type", "meaning"), [[_code(f.name), str(f.type), meaning_of(f)] for f in schema])


def _rules(rules: dict[str, Any]) -> str:
    if not rules:
        return "No rule was asked of what was measured."
    return _table(("kept if", "is"), [[_code(name), _code(_said(rule))] for name, rule in rules.items()])


def _screening(receipt: dict[str, Any]) -> str:
    """Which screens saw the clips; the receipt says the rest."""
    categories = receipt.get("categories")
    rows = [
        [_code(name), ", ".join(map(_code, screens)) if isinstance(screens, list) else "**unscreened**",
         "yes" if (receipt.get("calibrated") or {}).get(name) is True else "no"]
        for name, screens in (categories if isinstance(categories, dict) else {}).items()
    ]  # fmt: skip
    return _table(("category", "screened by", "calibrated"), rows) if rows else "**Nothing was screened.**"


def _counted(counts: dict[str, int]) -> str:
    return _table(("", "clips"), [[_code(name), str(count)] for name, count in counts.items()])


def _said(value: dict[str, Any]) -> str:
    """Parameters as a text. Where a model lies on the machine that wrote this is nobody's business."""
    plain = {name: Path(item).name if str(item).startswith(("/", "~")) else item for name, item in value.items()}
    return ", ".join(f"{name}: {item}" for name, item in plain.items()) or "defaults"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """A text as code in a table's cell, on one line, whatever it holds."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "/")
    return f"`{plain if len(plain) <= _MOST else plain[:_MOST] + '...'}`"


def _quoted(text: str, most: int | None = _MOST) -> str:
    """A text that somebody wrote, on one line, without markup of its own."""
    plain = html.escape(" ".join(str(text).split()), quote=False)
    for mark in "\\`*_[]|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain if most is None else plain[:most]
