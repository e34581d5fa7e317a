"""Names to classes: `motion` is the one class in filters/motion.py that says `name = "motion"`.

A name is resolved when a spec uses it; nothing is imported before that. The folders are searched in order, so a new
file is all that a new score, captioner or detector needs.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from functools import cache
from typing import Any

from curate.errors import SpecError, nearest

# kind -> packages whose modules are named as the thing they hold
PACKAGES: dict[str, tuple[str, ...]] = {
    "score": ("filters",),
    "screen": ("filters",),
    "hash": ("filters.dedup",),
    "captioner": ("captioner",),
    "detector": ("curate.media.detectors",),
    "backend": ("curate.media.backends",),
    "codec": ("curate.codecs",),
    "text_encoder": ("curate.codecs",),
    "world": ("worlds",),
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """Module names that may hold a class of this kind (nothing is imported)."""
    found: set[str] = set()
    for package in PACKAGES[kind]:
        spec = importlib.util.find_spec(package)
        for place in spec.submodule_search_locations or () if spec else ():
            # A folder among filters groups modules of another kind; a world may be a folder.
            modules = [m for m in pkgutil.iter_modules([place]) if not m.ispkg or kind == "world"]
            found |= {m.name for m in modules if not m.name.startswith("_")}
    return tuple(sorted(found))


@cache
def resolve(kind: str, name: str) -> Any:
    """Return the class registered as `name`; a SpecError names the nearest three otherwise."""
    if name not in names(kind):
        raise SpecError(f"unknown {kind} {name!r}; {nearest(name, names(kind))}")
    for package in PACKAGES[kind]:
        if importlib.util.find_spec(f"{package}.{name}") is None:
            continue
        try:
            module = importlib.import_module(f"{package}.{name}")
        except Exception as error:
            # Whatever a module does when it is imported, the person at the spec can install what it lacks or mend it.
            what = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
            raise SpecError(f"{kind} {name!r}: {package}.{name} cannot be imported: {what}{error}") from error
        for _, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ == module.__name__ and member.__dict__.get("name") == name:
                return member
    raise SpecError(f"{name!r} is not a {kind}: its module has no class with name = {name!r}")


def build(kind: str, name: str, params: dict[str, Any], own: tuple[str, ...] = ()) -> Any:
    """Create the named class; wrong parameters are a SpecError that lists the right ones.

    `own` are the keys of the stage itself, which stand beside the parameters in the spec.
    """
    made = resolve(kind, name)
    known = [*own, *inspect.signature(made).parameters]
    for key in params:
        if key not in known:
            raise SpecError(f"{kind} {name}: unknown key {key!r}; {nearest(key, known)}")
    try:
        return made(**params)
    except TypeError as error:
        raise SpecError(f"{kind} {name}: {error}; its parameters: {', '.join(known) or 'none'}") from error
    except ValueError as error:
        raise SpecError(f"{kind} {name}: {error}") from error
