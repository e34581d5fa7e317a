"""A vision-language model of transformers, loaded from a folder: questions to tensors, tensors to words.

Only safetensors are read, and code that comes with a model is never run. Legend: B clips, S tokens, V words.
"""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from captioner.answers import instruction
from captioner.frames import grid
from curate.beating import beating
from curate.captioning import Alive, Answer, Ask
from curate.errors import StageCrashed
from curate.models import device_of

FRAMES = ("auto", "video", "images", "grid")
_FPS = 2.0  # of proxies; what a clip of one frame is said to have


class VlmModel:
    """A model, its processor and its adapter."""

    def __init__(
        self, folder: Path, adapter: Path | None, *, frames: str, dtype: str, device: str, alive: Alive
    ) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.device = torch.device(device_of(device, "caption"))
        wanted = {"bf16": torch.bfloat16, "fp32": torch.float32}
        kind = wanted.get(dtype) or (torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        with beating(alive):
            # Said, not left out: transformers asks on a terminal whether code of a model may run.
            options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self.processor = AutoProcessor.from_pretrained(folder, **options)
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=kind, use_safetensors=True, **options)
            if adapter is not None:
                from peft import PeftModel

                with quiet_peft():
                    model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
            self.model: Any = model.eval()
            self.model.to(self.device)
        self._of_thread = threading.local()
        self.frames = self._form(frames, folder)

    def _form(self, frames: str, folder: Path) -> str:
        takes_video = getattr(self.processor, "video_processor", None) is not None and "video" in str(
            self.processor.chat_template
        )
        if frames == "video" and not takes_video:
            raise StageCrashed(
                "caption:frames", f"the processor of {folder} takes no video; use `frames: grid` or `images`"
            )
        return ("video" if takes_video else "grid") if frames == "auto" else frames

    # -- questions ---------------------------------------------------------------------------------------------

    def prepare(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """The tensors of a batch, padded on the left: input_ids (B, S), attention_mask (B, S), pixels of all clips."""
        chats, pictures, videos, shown = [], [], [], []
        for ask in asks:
            assert ask.pictures is not None
            frames_THWC, content = ask.pictures.decoded(), []
            if self.frames == "video" and len(frames_THWC) > 1:
                content = [{"type": "video"}]
                videos.append(frames_THWC)
                shown.append(_metadata(ask.pictures.times_s))
            else:
                sheets = [grid(frames_THWC)] if self.frames == "grid" else list(frames_THWC)
                content = [{"type": "image"} for _ in sheets]
                pictures.append(sheets)
            said = "\n".join(filter(None, (ask.text, instruction(ask.prompt))))
            chats.append([{"role": "user", "content": [*content, {"type": "text", "text": said}]}])
        processor = self._own_processor()
        texts = [processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
        given: dict[str, Any] = {"images": pictures} if pictures else {}
        if videos:
            given |= {"videos": videos, "video_metadata": shown, "do_sample_frames": False}
        made = processor(
            text=texts, **given, padding=True, padding_side="left", return_tensors="pt", add_special_tokens=False
        )
        made.pop("video_metadata", None)
        return dict(made)

    def _own_processor(self) -> Any:
        """A copy for each thread: tokenizers keep their padding as state."""
        if not hasattr(self._of_thread, "processor"):
            self._of_thread.processor = copy.deepcopy(self.processor)
        return self._of_thread.processor

    # -- answers -----------------------------------------------------------------------------------------------

    def generate(
        self, asks: Sequence[Ask], prepared: Mapping[str, Any], decoding: Mapping[str, Any], alive: Alive
    ) -> Iterator[Answer]:
        """The answers of a batch, in its order; each carries the ref of its ask."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        from captioner._sampling import Sampling

        begun = time.perf_counter()
        ends = self.model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        config = GenerationConfig(
            max_new_tokens=decoding["max_new_tokens"], do_sample=False, num_beams=1, eos_token_id=sorted(ends),
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )  # fmt: skip
        sampling = Sampling([ask.ref for ask in asks], decoding, alive)
        inputs = {name: self.placed(value) for name, value in prepared.items()}
        try:
            with torch.inference_mode():
                found_BS = self.model.generate(
                    **inputs, generation_config=config, logits_processor=LogitsProcessorList([sampling])
                )
        except torch.OutOfMemoryError as error:
            raise MemoryError(f"a batch of {len(asks)} does not fit: lower `batch` or `max_frames`") from error
        new_BS = found_BS[:, inputs["input_ids"].shape[1] :].cpu()
        read_B = inputs["attention_mask"].sum(dim=1).tolist()
        seconds = (time.perf_counter() - begun) / len(asks)
        for ask, new_S, read in zip(asks, new_BS.tolist(), read_B, strict=True):
            written = next((i for i, token in enumerate(new_S) if token in ends), len(new_S))
            text = self.processor.tokenizer.decode(new_S[:written], skip_special_tokens=True)
            cut = written == len(new_S)  # no end before the limit
            yield Answer(ask.ref, text.strip(), cut, read, min(written + 1, len(new_S)), seconds=seconds)

    def placed(self, value: Any) -> Any:
        """A tensor on the device, in the precision of the weights; anything else as it is."""
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        kind = self.model.dtype if value.is_floating_point() else value.dtype
        return value.to(self.device, kind, non_blocking=True)


def _metadata(times_s: Sequence[float]) -> Any:
    """What a processor wants to know of the time: rate and places of the frames."""
    from transformers.video_utils import VideoMetadata

    span = times_s[-1] - times_s[0]
    fps = (len(times_s) - 1) / span if span > 0 else _FPS
    count = len(times_s)
    return VideoMetadata(total_num_frames=count, fps=fps, frames_indices=list(range(count)), duration=count / fps)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """peft 0.21 asks transformers 5 for a name that 6 will not have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
