"""Term lists and how a text is held against them: word by word, in a normal form in which disguises are gone.

The normal form: compatibility forms unified (NFKC: full-width letters), case folded, accents and invisible characters
removed, Cyrillic and Greek look-alikes taken for the Latin letters that they look like. Beside it two more readings of
a text are tried: letters that stand apart (`s.p.a.c.e.d`) joined, and digits and signs that stand for letters (`l33t`)
taken for them. A term matches whole words only, whatever stands between them; an exemption shields the words inside it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from curate.errors import SpecError
from curate.registry import nearest

SHIPPED = Path(__file__).parent / "policy" / "terms"
_LOOKS = dict(zip("абвеёзкмнорстухіјѕԁԛԝαβγεικνορτυχ", "abbeezkmhopctyxijsdqwabyeikvoptux", strict=True))
_LOOKS |= {
    "\u0131": "i",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ß": "ss",
}  # a dotless i, and letters that have no accent to lose
_LOOK_ALIKE = str.maketrans(_LOOKS)
_LEET = str.maketrans("01345789@$!|", "oieastbgasii")
_ONE_I = str.maketrans("l", "i")  # 1 stands for both: in this reading they are one letter
_DISGUISED = re.compile(r"(?=\S*[^\W\d_])(?=\S*[0-9@$!|])\S+")
_WORD = re.compile(r"[^\W_]+")
_LEAST_JOINED = 3  # letters that stand apart


@dataclass(frozen=True)
class Hit:
    """A term that a text holds, the category and the list that it is of."""

    term: str
    category: str
    list: str
    language: str


@dataclass(frozen=True)
class _Term:
    words: tuple[str, ...]
    hit: Hit
    exempt: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class TermLists:
    """Lists, ready to be held against texts. sha256: of what they say."""

    names: tuple[str, ...]
    sha256: str
    _by_word: dict[str, list[_Term]] = field(repr=False)
    _folded: dict[str, list[_Term]] = field(repr=False)
    _unbounded: tuple[tuple[str, Hit], ...] = field(repr=False)

    def hits(self, text: str) -> list[Hit]:
        """What a text holds, each term once, in the order of the text."""
        form = normal(text)
        words = _WORD.findall(form)
        found = [*_found(words, self._by_word), *_found(_joined(words), self._by_word)]
        if _DISGUISED.search(form):
            # An underscore joins words, or parts one that begins with a sign from the next: both readings count.
            for reading in dict.fromkeys((form, form.replace("_", " "))):
                unmasked, masked = _unmasked(reading)
                found += _found(unmasked, self._folded, masked)
        found += [hit for part, hit in self._unbounded if part in form]
        return list(dict.fromkeys(found))

    def coverage(self) -> dict[str, list[str]]:
        """Terms by category: some, not all."""
        covered: dict[str, set[str]] = {}
        hits = [term.hit for terms in self._by_word.values() for term in terms]
        for hit in (*hits, *(hit for _, hit in self._unbounded)):
            covered.setdefault(hit.category, set()).add(hit.term)
        return {name: sorted(terms) for name, terms in sorted(covered.items())}


def normal(text: str) -> str:
    """The form of a text in which it is compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFD", folded)
    kept = "".join(c for c in apart if unicodedata.category(c) not in ("Mn", "Cf"))
    return unicodedata.normalize("NFC", kept).translate(_LOOK_ALIKE)


def load_lists(names: Sequence[str]) -> TermLists:
    """The lists of these names in `filters/policy/terms/`, or of these files.

    Raises:
        SpecError: there is no such list, or it is none; the sentence says what to change.
    """
    return _loaded(tuple(names))


@lru_cache(maxsize=8)
def _loaded(names: tuple[str, ...]) -> TermLists:
    raws = [_read(name) for name in names]
    by_word: dict[str, list[_Term]] = {}
    folded: dict[str, list[_Term]] = {}
    unbounded: list[tuple[str, Hit]] = []
    for raw in raws:
        for term, bounded in _terms(raw):
            if not bounded:
                unbounded.append(("".join(term.words), term.hit))
                continue
            by_word.setdefault(term.words[0], []).append(term)
            masked = _fold(term)
            folded.setdefault(masked.words[0], []).append(masked)
    digest = hashlib.sha256(json.dumps(raws, sort_keys=True).encode()).hexdigest()
    return TermLists(tuple(raw["name"] for raw in raws), digest, by_word, folded, tuple(unbounded))


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = [p.stem for p in SHIPPED.glob("*.yaml")]
        raise SpecError(f"terms: there is no list {name!r}; {nearest(name, known)}, or a file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"terms: {path} is not valid YAML: {error}") from error
    needs = ("name", "source", "language", "category", "entries")
    if not isinstance(raw, dict) or any(key not in raw for key in needs) or not isinstance(raw["entries"], list):
        raise SpecError(f"terms: {path} needs {', '.join(needs)}, the last one a list")
    for entry in raw["entries"]:
        if not isinstance(entry, dict) or not _WORD.search(normal(str(entry.get("term", "")))):
            raise SpecError(f"terms: {path}: an entry is `term: WORDS` and what else there is to say, not {entry!r}")
        if unknown := set(entry) - {"term", "category", "language", "source", "plural", "exempt", "boundary"}:
            raise SpecError(f"terms: {path}: unknown key {min(unknown)!r} of the entry {entry['term']!r}")
    return raw


def _terms(raw: dict[str, Any]) -> Iterator[tuple[_Term, bool]]:
    """Every entry with its plural forms; whether it must be a word of its own."""
    for entry in raw["entries"]:
        language, category = entry.get("language", raw["language"]), entry.get("category", raw["category"])
        hit = Hit(str(entry["term"]), category, raw["name"], language)
        words = tuple(_WORD.findall(normal(hit.term)))
        exempt = tuple(tuple(_WORD.findall(normal(phrase))) for phrase in entry.get("exempt", ()))
        for form in _forms(words, entry.get("plural", True)):
            yield _Term(form, hit, exempt), entry.get("boundary", True)


def _forms(words: tuple[str, ...], plural: bool | list[str]) -> list[tuple[str, ...]]:
    """A term and its plurals: by rule, as listed, or none."""
    *before, last = words
    if isinstance(plural, list):
        return [words, *(tuple(_WORD.findall(normal(form))) for form in plural)]
    if not plural or last.isdigit():
        return [words]
    ends = [f"{last}s", f"{last}es"] + ([f"{last[:-1]}ies"] if last.endswith("y") else [])
    return [words, *((*before, end) for end in ends)]


def _fold(term: _Term) -> _Term:
    """A term as it reads where signs are taken for letters; its numbers stay, since a text's do."""
    return _Term(_folded(term.words), term.hit, tuple(map(_folded, term.exempt)))


def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word if word.isdigit() else word.translate(_LEET).translate(_ONE_I) for word in words)


def _joined(words: list[str]) -> list[str]:
    """The words with runs of single letters made one word; nothing where there are none."""
    joined: list[str] = []
    run: list[str] = []
    for word in (*words, ""):
        if len(word) == 1:
            run.append(word)
            continue
        joined += ["".join(run)] if len(run) >= _LEAST_JOINED else run
        run = []
        joined.append(word)
    return joined[:-1] if len(joined) <= len(words) else []


def _unmasked(form: str) -> tuple[list[str], list[bool]]:
    """Words with digits and signs taken for letters, and which of them were disguised so."""
    words: list[str] = []
    masked: list[bool] = []
    for chunk in form.split():
        disguised = _DISGUISED.fullmatch(chunk) is not None
        core = chunk.rstrip("!|") if disguised else chunk  # a sentence may end in them
        plain = (core.translate(_LEET) if disguised else core).translate(_ONE_I)
        found = _WORD.findall(plain)
        words += found
        masked += [disguised and core.translate(_LEET) != core] * len(found)
    return words, masked


def _found(words: list[str], terms: dict[str, list[_Term]], flags: list[bool] | None = None) -> Iterator[Hit]:
    """Terms among the words that no exemption covers; with `flags`, those alone that hold a word flagged so."""
    for start, word in enumerate(words):
        for term in terms.get(word, ()):
            end = start + len(term.words)
            if tuple(words[start:end]) != term.words or (flags is not None and not any(flags[start:end])):
                continue
            if not any(_covers(words, phrase, start, end) for phrase in term.exempt):
                yield term.hit


def _covers(words: list[str], phrase: tuple[str, ...], start: int, end: int) -> bool:
    """Whether the phrase stands in the words such that it holds those from start to end."""
    first = max(0, end - len(phrase))
    return any(tuple(words[at : at + len(phrase)]) == phrase for at in range(first, start + 1))
