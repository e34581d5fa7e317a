"""Terms: captions, titles, transcripts, on-screen text and the captions that a model wrote, against term lists.

Texts are not frames: they are judged where they stand, in the ledger, so a text that arrives later is judged when it is
there, and a changed list measures nothing anew. Which lists: `lists`, names of `filters/policy/terms/` or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.stage import Screen
from filters._terms import Hit, load_lists

# The list that ships for each category; a category without one needs `lists`.
SHIPPED = {"explicit": "explicit", "violence": "violence", "gore": "violence", "hate": "hate",
           "self_harm": "self_harm", "minors": "minors"}  # fmt: skip


class Terms(Screen):
    """1 where a text holds a listed term, 0 where it does not."""

    name = "terms"
    reads = "texts"

    def __init__(self, categories: Sequence[str], lists: Sequence[str] | None = None) -> None:
        """Take the lists that ship for these categories, or the given ones; ValueError where a category has no term."""
        super().__init__(categories)
        names = lists if lists is not None else sorted({SHIPPED[name] for name in categories if name in SHIPPED})
        self.lists = load_lists(names)
        for category in categories:
            if category not in self.lists.coverage():
                raise ValueError(f"no list has a term for {category}; name one with `lists: [FILE]`")

    def judge(self, texts: Mapping[str, str]) -> dict[str, list[Hit]]:
        """The terms that the texts hold, by category."""
        found: dict[str, list[Hit]] = {name: [] for name in self.categories}
        for hit in (hit for text in texts.values() for hit in self.lists.hits(text)):
            if hit.category in found:
                found[hit.category].append(hit)
        return found

    def covers(self, category: str) -> list[str]:
        """The terms that stand for a category."""
        return self.lists.coverage()[category]

    def identity(self) -> Mapping[str, Any]:
        """The lists, and what they say."""
        return {"lists": list(self.lists.names), "sha256": self.lists.sha256}
