"""Small vision-language models of real architectures with random weights, saved with their real processors.

They stand in for weights of a hub and are loaded through the same path. Words that the tokenizer does not know are cut
into bytes, so any text can be read and written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARKS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
)  # fmt: skip
_WIDE = 0.08  # spread of the weights that a model of this size learns from; 0.02 is for thousands of channels
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% elif part['type'] == 'video' %}VIDEO"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(texts: Iterable[str], image: str, video: str, words: int = 600, **names: str) -> Any:
    """A byte-level BPE tokenizer of its own, trained on these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=words, special_tokens=list(MARKS), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left",
        extra_special_tokens={"image_token": image, "video_token": video, **names},
    )  # fmt: skip


def qwen(
    folder: Path, texts: Iterable[str] = (), seed: int = 0, width: int = 64, layers: int = 2, spread: float = 4.0
) -> Path:
    """Qwen2.5-VL: video of its own, two frames a patch. spread 1.0 leaves the weights as they are for training."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer(texts, "<|image_pad|>", "<|video_pad|>")
    ids = {name: words.convert_tokens_to_ids(name) for name in MARKS}
    size = {"shortest_edge": 32 * 32, "longest_edge": 256 * 256}
    pictures = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": size}
    chat = CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**pictures), words, Qwen2VLVideoProcessor(**pictures),
        chat_template=chat.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>"),
    )  # fmt: skip
    heads = max(2, width // 32)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": width, "intermediate_size": 2 * width,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
            "max_position_embeddings": 4096, "bos_token_id": None, "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0,
                "mrope_section": [width // heads // 8, width // heads * 3 // 16, width // heads * 3 // 16],
            },
        },
        vision_config={
            "depth": layers, "hidden_size": width, "intermediate_size": 2 * width, "num_heads": heads,
            "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 64,
            "out_hidden_size": width, "fullatt_block_indexes": list(range(layers)), "tokens_per_second": 4,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(folder, Qwen2_5_VLForConditionalGeneration(config), processor, spread)


def qwen3(folder: Path, texts: Iterable[str] = (), seed: int = 0, spread: float = 4.0) -> Path:
    """Qwen3-VL: as `qwen`, with deep-stacked features and a time in words before each pair of frames.

    With spread 1.0 it is what benchmarks/caption_shapes.py trains from nothing: 0.8 million parameters, frames of at
    most 64 x 64 pixels, and weights so large that attention begins to look around within a few hundred steps.
    """
    import torch
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    words = tokenizer(texts, "<|image_pad|>", "<|video_pad|>")
    ids = {name: words.convert_tokens_to_ids(name) for name in MARKS}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**half, size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}), words,
        Qwen3VLVideoProcessor(
            **half, size={"shortest_edge": 512, "longest_edge": 131072}, cap_pixels_per_frame=True, max_video_tokens=16
        ),
        chat_template=CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>").replace(
            "VIDEO", "<|video_pad|>"
        ),
    )  # fmt: skip
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 2048,
            "initializer_range": _WIDE, "pad_token_id": ids["<|endoftext|>"], "tie_word_embeddings": True,
            "eos_token_id": ids["<|im_end|>"], "bos_token_id": None,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1000.0, "mrope_interleaved": True, "mrope_section": [6, 5, 5],
            },
        },
        vision_config={
            "depth": 4, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "patch_size": 8,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 128, "num_position_embeddings": 64,
            "deepstack_visual_indexes": [1], "initializer_range": _WIDE,
            "rope_parameters": {"rope_type": "axial", "rope_theta": 100.0},
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(folder, Qwen3VLForConditionalGeneration(config), processor, spread)


def _saved(folder: Path, model: Any, processor: Any, spread: float = 4.0) -> Path:
    """Save, with weights spread so far that other pictures give other words."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(spread)
            if spread != 1.0 and name.startswith("lm_head"):
                weight[: len(MARKS)] = 0.0  # hardly ever a mark
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llava_onevision(folder: Path, texts: Iterable[str] = (), seed: int = 0) -> Path:
    """LLaVA-OneVision: SigLIP, a projector and Qwen2; video as pooled frames."""
    import torch
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    words = tokenizer(texts, "<image>", "<video>")
    side = {"height": 32, "width": 32}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=[[32, 32]]), words,
        LlavaOnevisionVideoProcessor(size=side), num_image_tokens=16, vision_feature_select_strategy="full",
        chat_template=CHAT.replace("IMAGE", "<image>").replace("VIDEO", "<video>"),
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32,
            patch_size=8, vision_use_head=False,
        ),
        text_config=_qwen2(Qwen2Config, words), image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"), image_grid_pinpoints=[[32, 32]],
        vision_feature_layer=-1, vision_feature_select_strategy="full", tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(folder, LlavaOnevisionForConditionalGeneration(config), processor)


def internvl(folder: Path, texts: Iterable[str] = (), seed: int = 0) -> Path:
    """InternVL: its own vision tower, shuffled pixels and Qwen2; video as one picture a frame."""
    import torch
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        Qwen2Config,
    )

    words = tokenizer(
        texts, "<|image_pad|>", "<|video_pad|>", context_image_token="<|image_pad|>",
        start_image_token="<|vision_start|>", end_image_token="<|vision_end|>",
    )  # fmt: skip
    side = {"height": 32, "width": 32}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=side), words, InternVLVideoProcessor(size=side), image_seq_length=4,
        chat_template=CHAT.replace("IMAGE", "<|image_pad|>").replace("VIDEO", "<|video_pad|>"),
    )  # fmt: skip
    config = InternVLConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": [32, 32], "patch_size": [8, 8],
        },
        text_config=_qwen2(Qwen2Config, words), image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        image_seq_length=4, downsample_ratio=0.5, vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(folder, InternVLForConditionalGeneration(config), processor)


def smolvlm(folder: Path, texts: Iterable[str] = (), seed: int = 0) -> Path:
    """SmolVLM2: its own vision tower, shuffled pixels and Llama; video as frames with their times in words."""
    import torch
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    words = tokenizer(
        texts, "<image>", "<video>", fake_image_token="<fake_token_around_image>", global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )  # fmt: skip
    side = {"longest_edge": 32}
    sizes = {"size": side, "max_image_size": side}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**sizes, do_image_splitting=False), words,
        SmolVLMVideoProcessor(**sizes, video_sampling={"max_frames": 16, "fps": 2, "video_size": side}),
        image_seq_len=4, chat_template=CHAT.replace("IMAGE", "<image>").replace("VIDEO", "<video>"),
    )  # fmt: skip
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        text_config={
            "model_type": "llama", "vocab_size": len(words), "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "pad_token_id": words.pad_token_id, "eos_token_id": words.eos_token_id, "bos_token_id": None,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"), scale_factor=2, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(folder, SmolVLMForConditionalGeneration(config), processor)


def _qwen2(kind: Any, words: Any) -> Any:
    return kind(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=4096, pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
