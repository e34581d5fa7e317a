"""Spec files: read, changed by `--set`, validated with errors that name file, line and key, and written back."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from curate.errors import SpecError, first_fault
from curate.files import absolute_path, is_local, local_path
from curate.spec import Spec
from curate.spec_screen import Screen


def load_spec(path: Path | str, overrides: list[str] | None = None) -> Spec:
    """Read a spec; `overrides` are `key.path=value` with a YAML value.

    Raises:
        SpecError: with the file, the line, the key and what to change.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read spec {path}: {error}") from error
    try:
        raw = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise SpecError(f"{path}{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(raw, dict):
        raise SpecError(f"{path}: a spec is a mapping of keys, such as `name: my-run`")
    for override in overrides or []:
        _override(raw, override)
    spec = parse(raw, str(path), node)
    _plan(spec, str(path), node)
    return spec


def _plan(spec: Spec, name: str, node: yaml.Node | None) -> None:
    """Find what only a plan can: unknown names, rules and parameters that do not fit. It says the file and line too."""
    from curate.plan import Plan

    try:
        Plan(spec)
    except SpecError as error:
        if not error.key:
            raise
        raise SpecError(f"{name}:{_line(node, error.key)}: {error}") from error


def parse(raw: dict[str, Any], name: str = "spec", node: yaml.Node | None = None) -> Spec:
    """Validate a spec that is loaded already."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        place, message = first_fault(error)
        line = _line(node, place)
        where = ".".join(str(part) for part in place)
        more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        raise SpecError(
            f"{name}{f':{line}' if line else ''}: {where + ': ' if where else ''}{message}{more}"
        ) from error


def dump(spec: Spec) -> dict[str, Any]:
    """The spec as plain values, such that `parse(dump(spec)) == spec`; fields that are null by default are left out."""
    raw = _plain(spec)
    raw["stages"] = [{name: stage} for name, stage in raw["stages"].items()]
    return raw


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        said = {}
        for name, field in type(value).model_fields.items():
            item = getattr(value, name)
            # Only a null that stands for "not said" may go: a null in a dictionary, or as a parameter, says something.
            if item is not None or field.default is not None:
                said[field.alias or name] = _plain(item)
        return said | {key: _plain(item) for key, item in (value.model_extra or {}).items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def absolute(spec: Spec) -> Spec:
    """The same spec with local source paths (globs too), files of screens, every model, first weights and the output
    absolute: the same from any folder.
    """
    sources = tuple(
        source.model_copy(update={"path": _anchored(source.path)})
        if source.path is not None and is_local(source.path)
        else source
        for source in spec.sources
    )
    stages = spec.stages
    if stages.screen is not None:
        stages = stages.model_copy(update={"screen": _anchored_screen(stages.screen)})
    caption, encode = stages.caption, stages.encode
    if caption is not None:
        if caption.with_ == "vlm":  # to others a model is a name
            caption = _with_models(caption)
        match = caption.match and caption.match.model_copy(update={"model": _here(caption.match.model)})
        stages = stages.model_copy(update={"caption": caption.model_copy(update={"match": match})})
    if encode is not None:
        said = {"latents": _with_models(encode.latents), "text": tuple(map(_with_models, encode.text))}
        stages = stages.model_copy(update={"encode": encode.model_copy(update=said)})
    train = spec.train
    if train is not None and train.init is not None:
        train = train.model_copy(update={"init": _here(train.init)})
    output = str(Path(spec.output).absolute())
    return spec.model_copy(update={"sources": sources, "stages": stages, "train": train, "output": output})


def _with_models(stage: Any) -> Any:
    """A stage whose models are absolute, where they are folders; a captioner may have one for each kind."""
    said = {name: (stage.model_extra or {}).get(name) for name in ("model", "adapter")}
    found = {
        name: {kind: _here(item) for kind, item in value.items()} if isinstance(value, dict) else _here(value)
        for name, value in said.items()
        if value is not None
    }
    return stage.model_copy(update=found)


# Parameters of screens that may name a file or a folder.
_FILES = frozenset({"file", "lists", "model", "prompts", "references"})


def _anchored_screen(screen: Screen) -> Screen:
    """The screens with every file and folder absolute."""
    said = {
        category: {
            name: {key: _here(value) if key in _FILES else value for key, value in params.items()}
            for name, params in screens.items()
        }
        for category, screens in screen.categories.items()
    }
    files = {name: _here(getattr(screen, name)) for name in ("known_hashes", "evaluation")}
    policy = _here(screen.policy) if screen.policy.endswith((".yaml", ".yml")) else screen.policy
    return screen.model_copy(update={**said, **files, "policy": policy})


def _here(value: Any) -> Any:
    """A text that names something in this folder as an absolute path, and those of a list."""
    if isinstance(value, list | tuple):
        return type(value)(_here(item) for item in value)
    return str(Path(value).absolute()) if isinstance(value, str) and value and os.path.exists(value) else value


def _anchored(path: str) -> str:
    plain, pattern = absolute_path(path), os.path.expanduser(local_path(path))
    if glob.has_magic(pattern) and not os.path.isabs(pattern) and not os.path.lexists(plain):
        return str(Path(glob.escape(os.getcwd())) / pattern)  # brackets in the name of this folder are no pattern
    return plain


def _override(raw: dict[str, Any], override: str) -> None:
    """Set one value by its dotted path; a stage is found by its name in the list of stages."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise SpecError(f"--set wants key=value, got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"--set {key}: {text!r} is not a YAML value") from error
    place: Any = raw
    *path, last = key.split(".")
    for part in path:
        place = _step(place, part, key)
    if isinstance(place, list):
        index = _index(place, last, key)
        place[index] = value if last.isdigit() else {last: value}
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise SpecError(f"--set {key}: there is nothing to set under {'.'.join(path)!r}")


def _step(place: Any, part: str, key: str) -> Any:
    if isinstance(place, dict):
        if place.get(part) is None:
            place[part] = {}
        return place[part]
    if isinstance(place, list):
        item = place[_index(place, part, key)]
        return item if part.isdigit() else item[part]
    raise SpecError(f"--set {key}: {part!r} is not there")


def _index(items: list[Any], part: str, key: str) -> int:
    if part.isdigit():
        if int(part) >= len(items):
            raise SpecError(f"--set {key}: there are only {len(items)} items")
        return int(part)
    for index, item in enumerate(items):
        if item == part:
            items[index] = {part: {}}
        if isinstance(items[index], dict) and part in items[index]:
            items[index][part] = {} if items[index][part] is None else items[index][part]
            return index
    raise SpecError(f"--set {key}: no stage {part!r} in the spec")


def _line(node: yaml.Node | None, path: tuple[int | str, ...]) -> int | None:
    """Line of the deepest node on the path (1-based)."""
    if node is None:
        return None
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode) and part == 0:
            continue  # one that was written without its list
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        if isinstance(node, yaml.SequenceNode) and isinstance(part, str):
            pairs = [pair for item in node.value if isinstance(item, yaml.MappingNode) for pair in item.value]
        for key, value in pairs:
            if key.value == str(part):
                found = (key, value)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line or node.start_mark.line + 1
