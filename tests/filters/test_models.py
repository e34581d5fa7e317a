"""Classifier and zero-shot: tiny models of the real architectures, saved and loaded through the real path."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from curate.errors import InputRejected
from curate.stage import Clip, measure_row
from filters._crops import crop_starts, crops
from filters.classifier import Classifier
from filters.zero_shot import ZeroShot
from tests.filters.pictures import texture

LABELS = {0: "fine", 1: "blood", 2: "fight"}
CLIP_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
FRAMES = np.stack([texture(seed, 64, 100) for seed in (1, 2, 3)])
INFO = Clip("c", 100, 64, 3, 1.0, (0.0, 0.5, 1.0))


@pytest.fixture(scope="module", params=["vit", "convnext"])
def classifier(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if request.param == "vit":
        config = transformers.ViTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
            patch_size=8, id2label=LABELS, label2id={v: k for k, v in LABELS.items()},
        )  # fmt: skip
        transformers.ViTForImageClassification(config).save_pretrained(folder)
        transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    else:
        config = transformers.ConvNextConfig(
            hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], image_size=32, id2label=LABELS,
            problem_type="multi_label_classification",
        )  # fmt: skip
        transformers.ConvNextForImageClassification(config).save_pretrained(folder)
        transformers.ConvNextImageProcessor(size={"shortest_edge": 384}).save_pretrained(folder)
    return folder


def test_the_classifier_gives_what_transformers_gives(classifier):
    screen = Classifier(("violence",), str(classifier), ["blood", "fight"])
    row = measure_row(screen, FRAMES, INFO)
    model = transformers.AutoModelForImageClassification.from_pretrained(classifier).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(classifier)
    side = 32 if "vit" in str(classifier) else 384
    worst = []
    for frame in FRAMES:
        batch = processor(images=list(crops(frame[None], side)[0]), return_tensors="pt")
        with torch.inference_mode():
            logits = model(**batch).logits
        found = logits.softmax(-1) if "vit" in str(classifier) else logits.sigmoid()
        worst.append(float(found[:, 1:].sum(-1).max()))
    assert row["violence_by_frame"] == pytest.approx(worst, abs=1e-5)
    assert row["violence"] == pytest.approx(max(worst), abs=1e-5)


def test_a_classifier_that_is_not_there_or_has_no_such_label(classifier, tmp_path):
    with pytest.raises(ValueError, match="has no label 'blod'; nearest: blood"):
        Classifier(("violence",), str(classifier), ["blod"])
    with pytest.raises(ValueError, match="say which labels mean violence"):
        Classifier(("violence",), str(classifier), [])
    with pytest.raises(ValueError, match="neither a folder nor a model that was downloaded"):
        Classifier(("violence",), str(tmp_path / "none"), ["blood"])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no"):
        Classifier(("violence",), str(tmp_path), ["blood"])


def _clip_folder(folder, seed=0, spoil=False):
    folder.mkdir(exist_ok=True)
    said = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP_CONFIG, "preprocess_cfg": said}))
    torch.manual_seed(seed)
    weights = {name: value.contiguous() for name, value in open_clip.CLIP(**CLIP_CONFIG).state_dict().items()}
    if spoil:
        weights["visual.proj"] = torch.full_like(weights["visual.proj"], float("nan"))
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def test_zero_shot_gives_what_open_clip_gives(tmp_path):
    folder = _clip_folder(tmp_path / "clip")
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("{neutral: [a photo of a house, a photo of a tree], hate: [a sign, a flag, a robe]}")
    screen = ZeroShot(("hate",), str(folder), str(prompts))
    row = measure_row(screen, FRAMES, INFO)
    model = open_clip.CLIP(**CLIP_CONFIG)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    texts = open_clip.get_tokenizer("ViT-B-32")(
        ["a photo of a house", "a photo of a tree", "a sign", "a flag", "a robe"]
    )
    mean, std = torch.tensor([0.48, 0.46, 0.41])[:, None, None], torch.tensor([0.27, 0.26, 0.28])[:, None, None]
    worst = []
    with torch.inference_mode():
        words = model.encode_text(texts, normalize=True)
        for frame in FRAMES:
            levels = torch.from_numpy(crops(frame[None], 32)[0]).permute(0, 3, 1, 2) / 255
            cosines = model.encode_image((levels - mean) / std, normalize=True) @ words.T
            best = torch.stack([cosines[:, :2].amax(1), cosines[:, 2:].amax(1)], 1) * model.logit_scale.exp()
            worst.append(float(best.softmax(1)[:, 1].max()))
    assert row["hate_by_frame"] == pytest.approx(worst, abs=1e-5)
    assert screen.calibration() is None


def test_zero_shot_depends_on_weights_and_prompts(tmp_path):
    one, two = (_clip_folder(tmp_path / str(seed), seed) for seed in (0, 1))
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("{neutral: [a house], hate: [a sign]}")
    names = [
        ZeroShot(("hate",), str(folder), said).identity() for folder in (one, two) for said in (None, str(prompts))
    ]
    assert len({json.dumps(name, sort_keys=True) for name in names}) == 4
    with pytest.raises(ValueError, match="no prompt says what violence is"):
        ZeroShot(("violence",), str(one), str(prompts))
    prompts.write_text("{hate: [a sign]}")
    with pytest.raises(ValueError, match="`neutral` among them"):
        ZeroShot(("hate",), str(one), str(prompts))


def test_weights_that_are_not_numbers_are_no_verdict(tmp_path):
    screen = ZeroShot(("hate",), str(_clip_folder(tmp_path / "clip", spoil=True)))
    with pytest.raises(InputRejected, match="score:not_finite"):
        measure_row(screen, FRAMES, INFO)


@pytest.mark.parametrize(
    ("size", "starts"), [((64, 200), (0, 68, 136)), ((200, 64), (0, 68, 136)), ((64, 65), (0, 0, 1)), ((64, 64), None)]
)
def test_crops_are_the_ends_and_the_middle(size, starts):
    height, width = size
    y, x = np.mgrid[:height, :width]
    frame = np.stack([y, x, y * 0], axis=-1).astype(np.uint8)
    found = crops(frame[None], 64)[0]
    if starts is None:
        assert found.shape == (1, 64, 64, 3)
        return
    assert crop_starts(max(size), 64) == starts
    axis = 0 if height > width else 1
    assert [int(cut[0, 0, axis]) for cut in found] == list(starts)
    assert int(found[-1, -1, -1, axis]) == max(size) - 1, "the far end is seen"


def test_crops_scale_the_short_side():
    assert crops(np.zeros((2, 128, 512, 3), np.uint8), 32).shape == (2, 3, 32, 32, 3)
    assert crops(np.zeros((1, 16, 16, 3), np.uint8), 32).shape == (1, 1, 32, 32, 3)
