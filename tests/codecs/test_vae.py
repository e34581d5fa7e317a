"""Video autoencoders of diffusers: our codec against the bare model, its laws, its memory, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import tiny_vaes
from curate.codecs import latent_codec
from curate.errors import InputRejected, SpecError, StageCrashed
from curate.stages.encode import lawful

WAN22 = {"patch_size": 2, "is_residual": True, "in_channels": 12, "out_channels": 12, "scale_factor_spatial": 16}
FACTORS = {"wan": (4, 4, 8), "wan22": (4, 4, 16), "ltx": (8, 8, 32), "ltx095": (8, 8, 32), "hunyuan": (4, 4, 8)}


@pytest.fixture(scope="module")
def vaes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny autoencoders."""
    root = tmp_path_factory.mktemp("vaes")
    return {
        "wan": tiny_vaes.wan(root / "wan"), "wan22": tiny_vaes.wan(root / "wan22", **WAN22),
        "ltx": tiny_vaes.ltx(root / "ltx"), "ltx095": tiny_vaes.ltx095(root / "ltx095"),
        "hunyuan": tiny_vaes.hunyuan(root / "hunyuan"),
    }  # fmt: skip


def pixels(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (1, 3, frames, height, width)).astype(np.float32)


def bare(folder: Path, name: str):
    import diffusers

    return getattr(diffusers, name).from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False).eval()


def bare_mean(model, pixels_BCTHW: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model.encode(torch.from_numpy(pixels_BCTHW)).latent_dist.mean.numpy()


@pytest.mark.parametrize("kind", FACTORS)
def test_shapes_there_and_back(vaes, kind):
    channels, time_factor, space_factor = FACTORS[kind]
    codec = latent_codec("vae", model=str(vaes[kind]))
    assert (codec.channels, codec.time_factor, codec.space_factor) == FACTORS[kind]
    for frames in (1, 1 + 2 * time_factor):
        clip = pixels(frames, 2 * space_factor, 3 * space_factor)
        latent = codec.encode(clip)
        assert latent.shape == (1, channels, 1 + (frames - 1) // time_factor, 2, 3)
        assert latent.dtype == np.float32
        back = codec.decode(latent)
        assert back.shape == clip.shape
        assert np.array_equal(back, codec.decode(latent))
    assert codec.how(frames, 2 * space_factor, 3 * space_factor) == "whole, fp32"


def test_raw_latents_are_those_of_the_bare_model_and_normalised_ones_its_pipelines(vaes):
    clip = pixels(9, 32, 64)
    wan, ltx = bare(vaes["wan"], "AutoencoderKLWan"), bare(vaes["ltx"], "AutoencoderKLLTXVideo")
    shape = (1, -1, 1, 1, 1)
    ways = (
        ("wan", wan, np.array(wan.config.latents_mean), np.array(wan.config.latents_std)),
        ("ltx", ltx, ltx.latents_mean.numpy(), ltx.latents_std.numpy() / 0.9),
    )
    for kind, model, mean, std in ways:
        raw, ours = (latent_codec("vae", model=str(vaes[kind]), normalise=on) for on in (False, True))
        expected = bare_mean(model, clip)
        assert np.array_equal(raw.encode(clip), expected)
        normal = ours.encode(clip)
        assert np.allclose(normal, (expected - mean.reshape(shape)) / std.reshape(shape), atol=1e-5)
        assert np.allclose(ours.decode(normal), raw.decode(expected), atol=1e-4)
        found_mean, found_std = raw.stats()
        assert np.allclose(found_mean, mean)
        assert np.allclose(found_std, std)
        assert np.array_equal(ours.stats(), [np.zeros(len(mean)), np.ones(len(mean))])
        assert (raw.described()["normalised"], ours.described()["normalised"]) == (False, True)


def test_two_clips_of_a_batch_are_what_each_is_alone(vaes):
    codec = latent_codec("vae", model=str(vaes["wan"]))
    one, two = pixels(5, 16, 16), pixels(5, 16, 16, seed=1)
    together = codec.encode(np.concatenate([one, two]))
    assert np.array_equal(together, np.concatenate([codec.encode(one), codec.encode(two)]))


@pytest.mark.parametrize("kind", ["wan", "wan22"])
def test_wans_walk_in_fours_is_its_whole(vaes, kind):
    """The rest of the clip in one step, with the same causal caches, gives the same numbers."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    clip = pixels(17, 64, 32)
    model = bare(vaes[kind], "AutoencoderKLWan")
    model.clear_cache()
    cut = patchify(torch.from_numpy(clip), model.config.patch_size or 1)
    parts = []
    with torch.no_grad():
        for part in (cut[:, :, :1], cut[:, :, 1:]):
            parts.append(model.encoder(part, feat_cache=model._enc_feat_map, feat_idx=[0]))
        whole = model.quant_conv(torch.cat(parts, 2)).chunk(2, dim=1)[0].numpy()
    assert np.allclose(latent_codec("vae", model=str(vaes[kind]), normalise=False).encode(clip), whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["wan", "wan22", "ltx", "ltx095"])
def test_what_comes_later_changes_no_earlier_latent(vaes, kind):
    """The trainer's known frames rest on it: a first frame alone has the latent that it has in its clip."""
    codec = latent_codec("vae", model=str(vaes[kind]))
    assert codec.described()["causal"]
    clip = pixels(1 + 2 * codec.time_factor, 64, 32)
    whole = codec.encode(clip)
    for latents in (1, 2):
        shorter = codec.encode(clip[:, :, : 1 + (latents - 1) * codec.time_factor])
        assert np.allclose(shorter, whole[:, :, :latents], atol=1e-5)


def budget(codec, share: float, *size: int) -> None:
    """Give a codec a share of what the whole clip needs."""
    memory = codec._loaded(None).memory
    codec.memory_gb = share * memory.needs("encode", *size, None) / 1e9
    memory._tiles.clear()


@pytest.mark.parametrize("kind", ["wan", "wan22"])
def test_a_clip_beyond_the_budget_is_tiled_as_its_class_does_it_and_says_so(vaes, kind):
    space, unit = FACTORS[kind][2], 2 if kind == "wan22" else 1
    size = (5, 5 * space, 9 * space)
    clip = pixels(*size)
    codec = latent_codec("vae", model=str(vaes[kind]), normalise=False)
    budget(codec, 1.0, *size)
    assert codec.how(*size) == "whole, fp32"
    exact = codec.encode(clip)
    budget(codec, 0.99, *size)
    found = re.fullmatch(r"tiles of (\d+) px every (\d+), fp32", codec.how(*size))
    assert found, codec.how(*size)
    side, stride = (int(number) // unit for number in found.groups())
    model = bare(vaes[kind], "AutoencoderKLWan")
    model.enable_tiling(side, side, stride, stride)
    latent = codec.encode(clip)
    assert np.array_equal(latent, bare_mean(model, clip))
    assert latent.shape == exact.shape
    assert not np.array_equal(latent, exact)
    budget(codec, 1.0, *size)
    assert np.array_equal(codec.encode(clip), exact)  # nothing is left of the tiles
    budget(codec, 0.05, *size)
    with pytest.raises(InputRejected, match=r"encode:memory: 5 frames of \d+x\d+ need .* GB, however small the tiles"):
        codec.encode(clip)


def test_ltx_takes_time_at_once_and_tiles_space(vaes):
    codec = latent_codec("vae", model=str(vaes["ltx"]))
    budget(codec, 0.95, 17, 128, 768)
    assert codec.how(17, 128, 768) == "tiles of 512 px every 448, fp32"
    calls = []
    codec._loaded(None)._model.encoder.register_forward_pre_hook(lambda _, given: calls.append(given[0].shape[2]))
    assert codec.encode(pixels(17, 128, 768)).shape == (1, 8, 3, 4, 24)
    assert calls == [17, 17]
    with pytest.raises(InputRejected, match="encode:memory: 257 frames of 768x128 need"):
        codec.encode(np.zeros((1, 3, 257, 128, 768), np.float32))


def test_memory_that_ends_is_the_clips_fault_and_other_errors_are_not(vaes):
    import torch

    codec = latent_codec("vae", model=str(vaes["wan"]))
    encoder = codec._loaded(None)._model.encoder
    hook = encoder.register_forward_pre_hook(lambda *_: torch.empty(1 << 50, dtype=torch.uint8) and None)
    with pytest.raises(InputRejected, match=r"encode:memory: memory ended before memory_gb \(2.5\) did: .*alloc"):
        codec.encode(pixels(1, 16, 16))
    hook.remove()
    hook = encoder.register_forward_pre_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        codec.encode(pixels(1, 16, 16))
    hook.remove()
    assert codec.encode(pixels(1, 16, 16)).shape == (1, 4, 1, 2, 2)


# Counting takes a second a tiling of Wan's: one is enough
TILED = {("wan22", "encode"), ("ltx", "encode"), ("ltx", "decode")}


@pytest.mark.parametrize("kind", ["wan", "wan22", "ltx"])
def test_memory_is_counted_as_it_is_used(vaes, kind):
    """The count, which looks at a few frames and two tiles, against the whole clip watched tensor by tensor."""
    import torch

    from curate.codecs._vae_memory import Tiles, peak_bytes, tiled

    model = latent_codec("vae", model=str(vaes[kind]))._loaded(None)
    channels, time_factor, space_factor = FACTORS[kind]
    frames, height, width = 1 + 3 * time_factor, 5 * space_factor, 9 * space_factor
    memory = model.memory
    memory.needs("encode", 1, space_factor, space_factor, None)  # which makes the model on the meta device
    weights = sum(part.numel() * 4 for part in model._model.parameters())
    for what in ("encode", "decode"):
        patch = 2 if kind == "wan22" and what == "encode" else 1
        shape = (1, 3, frames, height, width) if what == "encode" else (1, channels, 4, 5, 9)
        some = Tiles(4 * space_factor // patch, 3 * space_factor // patch, patch)
        for tiles in (None, some) if (kind, what) in TILED else (None,):
            with tiled(memory._meta, tiles):
                made = getattr(memory._meta, what)
                used = weights + peak_bytes(lambda: made(torch.empty(shape, device="meta")))  # noqa: B023
            counted = memory.needs(what, frames, height, width, tiles)
            assert used <= 1.02 * counted, (what, tiles, used, counted)
            assert counted <= 1.35 * used, (what, tiles, used, counted)
            if what == "encode" and tiles is None:  # where numbers are computed as much is held
                real = weights + peak_bytes(lambda: model.encode(pixels(frames, height, width)[0], None))
                assert abs(real - used) < 0.02 * used


def test_long_work_says_that_it_is_alive(vaes):
    for kind in ("wan", "ltx"):
        beats: list[int] = []
        codec = latent_codec("vae", model=str(vaes[kind]))
        codec.encode(pixels(9, 32, 32), lambda: beats.append(1))  # noqa: B023
        between = len(beats)
        assert between > 10
        codec.decode(codec.encode(pixels(9, 32, 32)), lambda: beats.append(1))  # noqa: B023
        assert len(beats) > between


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((3, 5, 16, 16), "encode:pixel_shape"), ((1, 4, 5, 16, 16), "encode:pixel_shape"),
        ((0, 3, 5, 16, 16), "encode:pixel_shape"), ((1, 3, 4, 16, 16), "encode:num_frames"),
        ((1, 3, 5, 12, 16), "encode:frame_size"), ((1, 3, 5, 16, 20), "encode:frame_size"),
    ],
)  # fmt: skip
def test_other_shapes_are_refused(vaes, shape, reason):
    codec = latent_codec("vae", model=str(vaes["wan"]))
    with pytest.raises(InputRejected) as refused:
        codec.encode(np.zeros(shape, np.float32))
    assert refused.value.reason == reason
    with pytest.raises(InputRejected, match="encode:latent_shape"):
        codec.decode(np.zeros((1, 5, 2, 2, 2), np.float32))


@pytest.fixture(scope="module")
def codecs(vaes):
    return {kind: latent_codec("vae", model=str(vaes[kind])) for kind in ("wan", "ltx")}


@settings(max_examples=12)
@given(frames=st.integers(1, 30), kind=st.sampled_from(["wan", "ltx"]))
def test_the_law_of_frames(codecs, frames, kind):
    """Of any number of frames as many are used as the codec takes, and the codec takes exactly those."""
    codec = codecs[kind]
    factor, side = codec.time_factor, codec.space_factor
    used = lawful(frames, factor)
    assert frames - factor < used <= frames
    assert (used - 1) % factor == 0
    clip = np.zeros((1, 3, frames, side, side), np.float32)
    if used != frames:
        with pytest.raises(InputRejected, match=f"encode:num_frames: {frames} frames are not 1 \\+ {factor}k"):
            codec.encode(clip)
    assert codec.encode(clip[:, :, :used]).shape[2] == 1 + (used - 1) // factor


def test_the_fingerprint_is_of_weights_config_and_what_is_asked(vaes, tmp_path):
    made = [
        latent_codec("vae", model=str(folder), **params).fingerprint
        for folder, params in (
            (vaes["wan"], {}), (vaes["wan"], {"dtype": "bf16"}),
            (vaes["wan"], {"normalise": False}), (vaes["wan22"], {}), (vaes["ltx"], {}),
            (tiny_vaes.wan(tmp_path / "weights", seed=1), {}),
            (tiny_vaes.wan(tmp_path / "config", latents_mean=[0.0] * 4), {}),
        )
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    moved = shutil.copytree(vaes["wan"], tmp_path / "pipeline" / "vae").parent
    elsewhere = latent_codec("vae", model=str(moved), device="cpu", memory_gb=1)
    assert elsewhere.fingerprint == made[0] == latent_codec("vae", model=str(moved), dtype="fp32").fingerprint
    assert elsewhere.folder == moved / "vae"


def test_auto_is_the_precision_of_the_weights_whatever_the_device(vaes, tmp_path):
    """A driver without a GPU plans for workers with one: what they compute in must be settled by the files alone."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(vaes["wan"], tmp_path / "half")
    (path,) = folder.glob("*.safetensors")
    save_file({name: part.to(torch.bfloat16) for name, part in load_file(path).items()}, path)
    made = {
        (dtype, device): latent_codec("vae", model=str(folder), dtype=dtype, device=device)
        for dtype in ("auto", "bf16") for device in ("auto", "cpu", "cuda")
    }  # fmt: skip
    assert len({codec.fingerprint for codec in made.values()}) == 1
    assert made["auto", "cpu"].how(1, 16, 16) == "whole, bf16"
    assert made["auto", "cpu"].described()["dtype"] == "bf16"
    path.write_bytes(b"\x10" + b"\0" * 20)
    with pytest.raises(SpecError, match="is no file of safetensors"):
        latent_codec("vae", model=str(folder))


def test_statistics_that_are_not_one_of_each_channel_are_refused_not_guessed(tmp_path):
    for name, said in (("frames", {"latents_mean": [0.0] * 8, "latents_std": [1.0] * 8}), ("shift", {})):
        folder = tiny_vaes.wan(tmp_path / name, **said)
        if name == "shift":
            config = json.loads((folder / "config.json").read_bytes())
            (folder / "config.json").write_text(json.dumps({**config, "shift_factor": 0.1}))
        with pytest.raises(StageCrashed, match="not one of each channel; say `normalise: false`"):
            latent_codec("vae", model=str(folder)).encode(pixels(1, 8, 8))
        assert latent_codec("vae", model=str(folder), normalise=False).encode(pixels(1, 8, 8)).shape[1] == 4


def test_models_that_it_cannot_use_are_refused_with_what_it_can(vaes, tmp_path):
    def changed(kind: str, name: str, **keys: object) -> str:
        folder = shutil.copytree(vaes[kind], tmp_path / name)
        config = json.loads((folder / "config.json").read_bytes())
        (folder / "config.json").write_text(json.dumps({**config, **keys}))
        return str(folder)

    other = changed("wan", "other", _class_name="AutoencoderKLMochi")
    bare_folder = tmp_path / "bare"
    bare_folder.mkdir()
    for params, says in (
        ({"model": other}, "AutoencoderKLMochi, which is not supported. These are: AutoencoderKLWan, AutoencoderKLLTX"),
        ({"model": changed("ltx", "ahead", encoder_causal=False)}, "not causal"),
        ({"model": changed("wan", "odd", z_dim="four")}, "whole numbers are needed"),
        ({"model": str(bare_folder)}, "holds no \\*.safetensors"),
        ({"model": str(tmp_path / "nowhere")}, "neither a folder nor a model that was downloaded"),
        ({}, "name a `model`"),
        ({"model": other, "dtype": "fp16"}, "dtype is auto, bf16 or fp32"),
        ({"model": other, "memory_gb": 0}, "memory_gb is 0"),
        ({"model": other, "tile": 4}, "unexpected keyword argument 'tile'"),
    ):
        with pytest.raises(SpecError, match=says):
            latent_codec("vae", **params)
    with pytest.raises(StageCrashed, match="encode:model"):  # weights of another width: nothing is made up
        latent_codec("vae", model=changed("wan", "wider", base_dim=16)).encode(pixels(1, 8, 8))
    with pytest.raises(StageCrashed, match="missing keys"):
        latent_codec("vae", model=changed("wan", "deeper", num_res_blocks=2)).encode(pixels(1, 8, 8))
    lied = latent_codec("vae", model=changed("wan", "lied", scale_factor_temporal=8))
    with pytest.raises(StageCrashed, match="encode:law"):
        lied.encode(pixels(9, 8, 8))


def test_a_model_that_was_not_seen_to_be_causal_says_so(vaes):
    """HunyuanVideo's norms look at all of a clip: its first latent is another one when more follows."""
    codec = latent_codec("vae", model=str(vaes["hunyuan"]))
    assert codec.described()["causal"] is False
    clip = pixels(9, 32, 32)
    whole = codec.encode(clip)
    assert np.abs(codec.encode(clip[:, :, :1]) - whole[:, :, :1]).max() > 0.1 * whole.std()


def test_a_decoder_that_draws_noise_draws_the_same_again(tmp_path):
    codec = latent_codec("vae", model=str(tiny_vaes.ltx(tmp_path / "noise", decoder_inject_noise=(True,) * 5)))
    model = codec._loaded(None)._model
    for name, part in model.named_parameters():
        if "per_channel_scale" in name:
            part.data += 1.0
    latent = np.zeros((1, 8, 2, 2, 2), np.float32)
    assert codec.decode(latent)[0, 0, 0].std() > 1e-3
    assert np.array_equal(codec.decode(latent), codec.decode(latent))


def test_a_name_that_was_downloaded_is_found(vaes, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo, commit = tmp_path / "models--org--pipeline", "0" * 40
    shutil.copytree(vaes["wan"], repo / "snapshots" / commit / "vae")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    found = latent_codec("vae", model="org/pipeline")
    assert found.folder == repo / "snapshots" / commit / "vae"
    assert found.fingerprint == latent_codec("vae", model=str(vaes["wan"])).fingerprint


def test_a_plan_knows_the_codec_without_torch_and_dct_never_needs_it(vaes):
    code = (
        "import sys, numpy as np\nfrom curate.codecs import latent_codec\n"
        f"codec = latent_codec('vae', model={str(vaes['ltx'])!r})\n"
        "assert codec.fingerprint and codec.described() and codec.space_factor == 32\n"
        "dct = latent_codec('dct')\ndct.encode(np.zeros((1, 3, 5, 16, 16), np.float32))\ndct.how(5, 16, 16)\n"
        "heavy = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
