"""Small text encoders of real architectures with random weights, saved with real tokenizers made on the spot.

They stand in for weights of a hub and are loaded through the same path.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

TEXTS = ("a red square moves left and then up", "two blue circles on a dark background, one of them turning slowly")


def umt5(folder: Path, texts: Iterable[str] = TEXTS, seed: int = 0, width: int = 32, pipeline: bool = False) -> Path:
    """umT5 with encoder and decoder, as Google's; with `pipeline` the encoder alone, as the pipeline of Wan has it."""
    from transformers import UMT5Config, UMT5EncoderModel, UMT5ForConditionalGeneration

    words = _unigram(texts)
    kind = UMT5EncoderModel if pipeline else UMT5ForConditionalGeneration
    config = UMT5Config(
        vocab_size=len(words), d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=2, num_heads=2,
        pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    return _saved(kind, config, words, folder, seed, pipeline)


def t5(folder: Path, texts: Iterable[str] = TEXTS, seed: int = 0, width: int = 32) -> Path:
    """T5's encoder."""
    from transformers import T5Config, T5EncoderModel

    words = _unigram(texts, model_max_length=512)
    config = T5Config(vocab_size=len(words), d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=2, num_heads=2)
    return _saved(T5EncoderModel, config, words, folder, seed, False)


def clip(folder: Path, texts: Iterable[str] = TEXTS, seed: int = 0, width: int = 32, whole: bool = False) -> Path:
    """CLIP's text model, 24 positions; `whole` with its pictures' half."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = CLIPTokenizer(*_byte_pairs(texts), model_max_length=24)
    said = {
        "vocab_size": len(words), "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 24, "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
    }  # fmt: skip
    if not whole:
        return _saved(CLIPTextModel, CLIPTextConfig(**said), words, folder, seed, False)
    seen = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    pictures = {**seen, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=said, vision_config=pictures, projection_dim=16)
    return _saved(CLIPModel, config, words, folder, seed, False)


def bert(folder: Path, texts: Iterable[str] = TEXTS, seed: int = 0, width: int = 32) -> Path:
    """BERT: an encoder that AutoModel gives, with positions of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        texts, trainers.WordPieceTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    words = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    config = BertConfig(
        vocab_size=len(words), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=40,
    )  # fmt: skip
    return _saved(BertModel, config, words, folder, seed, False)


def _unigram(texts: Iterable[str], **options: Any) -> Any:
    """A tokenizer of T5's kind, trained on these texts: pieces of words, and an end mark after each text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right", **options
    )


def _byte_pairs(texts: Iterable[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of CLIP's kind, trained on these texts."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700, end_of_word_suffix="</w>", show_progress=False,
        special_tokens=["<|startoftext|>", "<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    said = json.loads(made.to_str())["model"]
    return said["vocab"], [tuple(pair) for pair in said["merges"]]


def _saved(kind: Any, config: Any, words: Any, folder: Path, seed: int, pipeline: bool) -> Path:
    import torch

    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # spread enough that neighbours matter
                parameter.normal_(std=0.3)
    model.save_pretrained(folder / "text_encoder" if pipeline else folder)
    words.save_pretrained(folder / "tokenizer" if pipeline else folder)
    return folder
