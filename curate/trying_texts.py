"""`rushes try terms FILE...`: a text screen on files: texts as they are, and what stands in pictures and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.errors import InputRejected, SpecError
from curate.files import open_url, rejecting
from curate.stage import Screen

_TEXTS = frozenset({".txt", ".srt", ".vtt"})
_MOST = 1 << 22  # bytes of a text


def attempt_texts(screen: Screen, inputs: list[str]) -> list[dict[str, Any]]:
    """What a text screen finds in each input, in order.

    Raises:
        SpecError: a video is given and the extra `ocr`, which reads what stands in it, is not installed.
    """
    media = [url for url in inputs if Path(url).suffix.lower() not in _TEXTS]
    read = iter(_onscreen(media) if media else [])
    return [_found(screen, url, next(read) if url in media else _text(url)) for url in inputs]


def _text(url: str) -> dict[str, Any]:
    try:
        with rejecting(url), open_url(url) as file:
            return {"outcome": "ok", "text": file.read(_MOST).decode("utf-8", "replace")}
    except InputRejected as error:
        return {"outcome": "quarantined", "reason": error.reason, "detail": error.detail}


def _onscreen(media: list[str]) -> list[dict[str, Any]]:
    """What stands in pictures and videos, as the score `text_overlay` reads it."""
    from curate.trying import attempt

    try:
        found = attempt("text_overlay", media, [])["results"]
    except SpecError as error:
        raise SpecError(f"a text screen reads .txt files; for what stands in a video: {error}") from error
    return [{**row, "text": "\n".join(row["strings"])} if row["outcome"] == "ok" else row for row in found]


def _found(screen: Screen, url: str, read: dict[str, Any]) -> dict[str, Any]:
    if read["outcome"] != "ok":
        return {"input": url, **{key: read[key] for key in ("outcome", "reason", "detail")}}
    hits = screen.judge({"text": read["text"]})  # type: ignore[attr-defined] texts are what such a screen judges
    values = {category: float(bool(found)) for category, found in hits.items()}
    said = [{"term": h.term, "category": h.category, "list": h.list} for found in hits.values() for h in found]
    return {"input": url, "outcome": "ok", **values, "hits": said}
