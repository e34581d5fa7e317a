"""Values as a person reads them: numbers, shares, lengths, names of files. All output is plain text, never markup."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from curate.files import is_local, local_path

_SIGNIFICANT = 3
_ID = re.compile(
    r"[0-9a-f]{32}"
)  # a clip's or source's; its first 12 digits are shown, and `rushes explain` takes them


def number(value: float | int | None) -> str:
    """Three significant digits, whole numbers whole, thousands apart; a dash for nothing."""
    if value is None or value != value:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    text = f"{value:.{_SIGNIFICANT}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return text


def rounded(value: float | int) -> str:
    """A number among others on a card: no more than three decimals."""
    return number(round(value, 3))


def share(part: float, whole: float) -> str:
    """A part of a whole in percent; `below 0.1 %` is never shown as nothing."""
    if not whole:
        return "0 %"
    percent = 100.0 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    # 99.96 % is not all of it, so it is not rounded to 100 %.
    text = f"{min(percent, 99.9) if part < whole else percent:.1f}"
    return f"{text.removesuffix('.0')} %"


def length(hours: float) -> str:
    """A length of footage, given in hours."""
    seconds = hours * 3600.0
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{hours:,.1f} h" if hours >= 10 else f"{hours:.2f} h"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 clip`, `2 clips`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def place(url: str | None) -> str:
    """Where a file lies, without the parts of a URL that may be secret (user, password, query)."""
    if not url:
        return "-"
    if is_local(url):  # a local name may hold #, ? and %, which mean nothing there
        return local_path(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    path = parts.path
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{path}"


def file_name(url: str | None) -> str:
    """The last part of a path or URL."""
    return place(url).rstrip("/").rpartition("/")[2] or place(url)


def evidence(text: str | None) -> str:
    """The evidence of a verdict (JSON in the ledger) as `value 0.01, min 0.3`."""
    try:
        facts: Any = json.loads(text or "{}")
    except ValueError:
        return text or ""
    if not isinstance(facts, dict):
        return str(facts)
    first = [(name, facts[name]) for name in ("value",) if name in facts]
    ordered = [*first, *(item for item in facts.items() if item[0] != "value")]
    return ", ".join(f"{name} {_fact(value)}" for name, value in ordered if value not in (None, ""))


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, list):
        return " | ".join(_fact(item) for item in value)
    return value[:12] if _ID.fullmatch(str(value)) else str(value)
