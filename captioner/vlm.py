"""Captions from a vision-language model of transformers: Qwen2.5-VL, Qwen3-VL, SmolVLM2, LLaVA-OneVision, InternVL, ...

    caption: {with: vlm, model: Qwen/Qwen2.5-VL-7B-Instruct}

Frames are prepared by threads ahead of the model (captioner/_ahead.py); the model itself is in captioner/_vlm_model.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from captioner._ahead import ahead
from captioner._vlm_model import FRAMES, VlmModel
from captioner.prompting import load_prompts, refuse_other_prompt
from curate.captioning import BOX, KINDS, Alive, Answer, Ask, Pictures, Prompt
from curate.errors import InputRejected, StageCrashed
from curate.extras import require
from curate.models import folder_sha256, model_folder
from curate.registry import nearest

require("transformers", "vlm")
require("torchvision", "vlm")

_ROUNDS = 8  # batches that are handed over at once


class Vlm:
    """Runs a model of this machine; `batch`, `device` and `threads` are scheduling and never part of a key.

    model, adapter (of peft): a folder or a downloaded name; or one a kind, as {short: ..., dense: ...}.
    frames: `video` for models that take video, `images` for one picture a frame, `grid` for all frames in one picture,
    `auto` for video where the model has it and a grid where it does not. temperature 0 is greedy; otherwise words are
    drawn from `seed`, the same for a clip whatever is described beside it. dtype: `auto` is bf16 on CUDA, fp32 on CPU.
    device: `auto` is CUDA where there is one.
    """

    name: ClassVar[str] = "vlm"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = BOX
    reads_frames: ClassVar[bool] = True

    def __init__(
        self, model: str | Mapping[str, str], revision: str | None = None,
        adapter: str | Mapping[str, str] | None = None, prompts: Mapping[str, str] | None = None,
        max_new_tokens: int = 512, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0, frames: str = "auto",
        dtype: str = "auto", device: str = "auto", batch: int = 8, threads: int = 2,
    ) -> None:  # fmt: skip
        if frames not in FRAMES:
            raise ValueError(f"frames: unknown form {frames!r}; {nearest(frames, FRAMES)}")
        if dtype not in ("auto", "bf16", "fp32"):
            raise ValueError("dtype: auto, bf16 or fp32")
        if min(max_new_tokens, batch, threads) < 1 or temperature < 0 or not 0 < top_p <= 1:
            raise ValueError("max_new_tokens, batch and threads are at least 1, temperature at least 0, top_p 0 to 1")
        self.prompts: Mapping[str, Prompt] = load_prompts(prompts)
        self._folders = {kind: model_folder(name, revision) for kind, name in _by_kind(model, "model").items()}
        self._adapters = {kind: _adapter(name) for kind, name in _by_kind(adapter, "adapter").items()}
        self._names = _by_kind(model, "model")
        self.decoding = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        self._form = {"frames": frames, "dtype": dtype}
        self._device, self._batch, self._threads = device, batch, threads
        self.batch_rows = _ROUNDS * batch
        self._loaded: dict[tuple[Path, Path | None], VlmModel] = {}
        for kind, prompt in self.prompts.items():
            for folder in filter(None, (self._folders[kind], self._adapters.get(kind))):
                refuse_other_prompt(folder, prompt)

    def identity(self) -> Mapping[str, Any]:
        """Weights, adapters and decoding."""
        weights = {kind: self.about(kind)[1] for kind in KINDS}
        return {"weights": weights, **self.decoding, **self._form}

    def about(self, kind: str) -> tuple[str, str]:
        """The model's name, and the digest of its weights and adapter."""
        said = folder_sha256(self._folders[kind])[:16]
        adapter = self._adapters.get(kind)
        return self._names[kind], f"{said}+{folder_sha256(adapter)[:16]}" if adapter else said

    def ready(self) -> None:
        """Whether the files are there was asked when the plan was made."""

    def describe(self, asks: Sequence[Ask], alive: Alive) -> Iterator[Answer]:
        """Answers batch by batch: asks of the same kind, with as many frames of the same size."""
        for kind in dict.fromkeys(ask.prompt.kind for ask in asks):
            model = self._model(kind, alive)
            batches = _batches([ask for ask in asks if ask.prompt.kind == kind], self._batch)
            for batch, prepared, waited_s in ahead(batches, model.prepare, self._threads):
                if isinstance(prepared, Exception):
                    yield from self._one_by_one(model, batch, alive)
                    continue
                for answer in model.generate(batch, prepared, self.decoding, alive):
                    yield replace(answer, waited_s=waited_s / len(batch))

    def _one_by_one(self, model: VlmModel, batch: Sequence[Ask], alive: Alive) -> Iterator[Answer]:
        """A clip whose frames cannot be prepared costs its neighbours nothing. What is no clip's fault ends the run."""
        for ask in batch:
            try:
                prepared = model.prepare([ask])
            except InputRejected as error:
                yield Answer(ask.ref, fault=(error.reason, error.detail))
            except MemoryError:
                raise  # for the worker to judge
            except Exception as error:  # a processor may raise anything
                what = f"{type(error).__name__}: {error}"
                if not isinstance(error, ValueError) or not _prepares_plain(model, ask):
                    model_name = self._names[ask.prompt.kind]
                    raise StageCrashed("caption:prepare", f"the processor of {model_name}: {what}") from error
                yield Answer(ask.ref, fault=("caption:frames", what))
            else:
                yield from model.generate([ask], prepared, self.decoding, alive)

    def _model(self, kind: str, alive: Alive) -> VlmModel:
        key = self._folders[kind], self._adapters.get(kind)
        if key not in self._loaded:
            self._loaded[key] = VlmModel(*key, device=self._device, alive=alive, **self._form)
        return self._loaded[key]


def _prepares_plain(model: VlmModel, ask: Ask) -> bool:
    """Whether the same question is prepared with plain pictures: then it is those of the clip that were refused."""
    from PIL import Image

    assert ask.pictures is not None
    file = BytesIO()
    Image.new("RGB", (224, 224), "gray").save(file, "JPEG")
    count = len(ask.pictures.jpeg)
    try:
        model.prepare([replace(ask, pictures=Pictures((file.getvalue(),) * count, ask.pictures.times_s))])
    except Exception:  # noqa: BLE001 whatever it is, it is not the clip's
        return False
    return True


def _by_kind(said: str | Mapping[str, str] | None, name: str) -> dict[str, str]:
    """One for every kind, or what is named for each. ValueError for a kind that there is not, or a model too few."""
    if said is None:
        return {}
    if isinstance(said, str):
        return dict.fromkeys(KINDS, said)
    for kind in said:
        if kind not in KINDS:
            raise ValueError(f"{name}: unknown kind {kind!r}; {nearest(kind, KINDS)}")
    if name == "model" and set(said) != set(KINDS):
        raise ValueError(f"model: name one for each of {', '.join(KINDS)}, or one for all")
    return dict(said)


def _adapter(name: str) -> Path:
    folder = Path(name).expanduser()
    if not (folder / "adapter_config.json").is_file():
        raise ValueError(f"adapter {name}: no folder with an adapter_config.json of peft")
    require("peft", "vlm")
    return model_folder(name)


def _batches(asks: Sequence[Ask], most: int) -> list[list[Ask]]:
    """Asks with as many frames of the same size, those of similar length together: some models take no others."""

    def shape(ask: Ask) -> tuple[int, tuple[int, int]]:
        assert ask.pictures is not None
        return len(ask.pictures.jpeg), ask.pictures.size

    batches = []
    for _, equal in groupby(sorted(asks, key=lambda ask: (*shape(ask), len(ask.text), ask.ref)), key=shape):
        rows = list(equal)
        batches += [rows[i : i + most] for i in range(0, len(rows), most)]
    return batches
