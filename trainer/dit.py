"""The video diffusion transformer: Wan's parameters, under diffusers' WanTransformer3DModel names.

Full attention over spacetime patches, factorised 3D rotary positions, RMSNorm of queries and keys across heads,
one shared time projection with a scale-shift table per block, cross-attention to text. No learned positions, no
pooled text, so open weights load and ours export; `tests/parity` holds it to diffusers' own.

Norms, rotations, time embedding and tables are computed in float32 under autocast too.
Legend: B clips, C channels, T latent frames, H, W; L video tokens, S text tokens, D width, N heads, K times.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trainer.attention import Attention, Segments
from trainer.rope import rotations

# Wan gives the model times of 0 to 1000.
TIME_SCALE = 1000.0
# Size of the constants that let a head prefer a neighbour, where a projected token's numbers are of size 1, and the
# gain of the normalised queries and keys. Chosen together, not ablated.
_NEIGHBOUR, _SHARPNESS = 4.0, 1.5


@dataclass(frozen=True)
class DitConfig:
    """Dimensions, named as in diffusers' config.json.

    `text_pad_to` is ours, 512 for Wan's own weights; diffusers' config has no place for it, so run.json says it.
    """

    patch_size: tuple[int, int, int] = (1, 2, 2)
    num_attention_heads: int = 8
    attention_head_dim: int = 32
    in_channels: int = 48
    out_channels: int = 48
    text_dim: int = 128
    freq_dim: int = 256
    ffn_dim: int = 1024
    num_layers: int = 4
    eps: float = 1e-6
    rope_max_seq_len: int = 1024
    text_pad_to: int = 0

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.num_attention_heads * self.attention_head_dim

    def diffusers_json(self) -> dict[str, Any]:
        """Return the config.json with which diffusers opens exported weights."""
        fields = asdict(self)
        fields.pop("text_pad_to")
        return {
            "_class_name": "WanTransformer3DModel", **fields, "patch_size": list(self.patch_size),
            "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "image_dim": None,
            "added_kv_proj_dim": None, "pos_embed_seq_len": None,
        }  # fmt: skip


class Gelu(nn.Module):
    """Linear and tanh-GELU; a module of its own because diffusers calls its weight `net.0.proj`."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """The block's MLP; `net.1` is diffusers' dropout, without parameters."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([Gelu(dim, hidden), nn.Identity(), nn.Linear(hidden, dim)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, the first and last modulated by time."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.eps = eps
        self.attn1 = Attention(dim, config.num_attention_heads, eps)
        self.attn2 = Attention(dim, config.num_attention_heads, eps)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.ffn = FeedForward(dim, config.ffn_dim)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def initialise(self, gain: float) -> None:
        """Scale the outputs of the three branches by `gain`, and open the gates."""
        for branch in (self.attn1.to_out[0], self.attn2.to_out[0], self.ffn.net[2]):
            branch.get_parameter("weight").data.mul_(gain)
        # Rows are shift, scale, gate of attention and of the MLP: gates start open. Chosen, not ablated.
        self.scale_shift_table.data.zero_()
        self.scale_shift_table.data[:, [2, 5]] = 1.0
        look_at_neighbours(self.attn1)

    def forward(
        self, x_BLD: Tensor, text_BSD: Tensor, bias_BS: Tensor | None, time_BK6D: Tensor, spread: Spread,
        positions: Tensor, pack: tuple[Segments, Segments] | None = None,
    ) -> Tensor:  # fmt: skip
        among_video, to_text = pack or (None, None)
        modulation = (self.scale_shift_table[:, None] + time_BK6D.float()).unbind(dim=2)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = modulation
        h = spread(plain_norm(x_BLD, self.eps), 1 + scale, shift)
        x_BLD = x_BLD + spread(self.attn1(h, h, positions, None, among_video).float(), gate)
        h = F.layer_norm(x_BLD.float(), x_BLD.shape[-1:], self.norm2.weight.float(), self.norm2.bias.float(), self.eps)
        x_BLD = x_BLD + self.attn2(h, text_BSD, None, bias_BS, to_text).float()
        h = spread(plain_norm(x_BLD, self.eps), 1 + mlp_scale, mlp_shift)
        return x_BLD + spread(self.ffn(h).float(), mlp_gate)


def plain_norm(x: Tensor, eps: float) -> Tensor:
    """Layer norm without weights, in float32."""
    return F.layer_norm(x.float(), x.shape[-1:], None, None, eps)


class Spread:
    """Applies numbers of each (clip, time) to the tokens at that time: x * scale + shift.

    Without an index, the L tokens are K equal runs in order (K = 1: one time a clip; K = T: one a latent frame;
    K = L: one a token), and nothing is copied. With `index_BL` the numbers are gathered.
    """

    def __init__(self, index_BL: Tensor | None) -> None:
        self.index_BL = index_BL

    def __call__(self, x_BLD: Tensor, scale_BKD: Tensor, shift_BKD: Tensor | None = None) -> Tensor:
        if self.index_BL is not None:
            index = self.index_BL[..., None].expand(-1, -1, x_BLD.shape[-1])
            out = x_BLD * scale_BKD.gather(1, index)
            return out if shift_BKD is None else out + shift_BKD.gather(1, index)
        runs = x_BLD.unflatten(1, (scale_BKD.shape[1], -1))
        out = (
            runs * scale_BKD[:, :, None]
            if shift_BKD is None
            else torch.addcmul(shift_BKD[:, :, None], runs, scale_BKD[:, :, None])
        )
        return out.flatten(1, 2)


class TwoLinears(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(in_dim, dim), nn.Linear(dim, dim)


class ConditionEmbedder(nn.Module):
    """Times and text to the width of the transformer."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.freq_dim = config.freq_dim
        self.time_embedder = TwoLinears(config.freq_dim, config.dim)
        self.time_proj = nn.Linear(config.dim, 6 * config.dim)
        self.text_embedder = TwoLinears(config.text_dim, config.dim)

    def time(self, timestep_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding (B, K, D) and the modulation (B, K, 6, D) of times in 0 to 1000, float32."""
        half = self.freq_dim // 2
        steps = torch.arange(half, dtype=torch.float32, device=timestep_BK.device)
        angle = timestep_BK.float()[..., None] * torch.exp(-math.log(10000.0) * steps / half)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        with torch.autocast(timestep_BK.device.type, enabled=False):
            hidden = F.silu(self.time_embedder.linear_1(waves))
            embedded_BKD = self.time_embedder.linear_2(hidden)
            modulation = self.time_proj(F.silu(embedded_BKD))
        return embedded_BKD, modulation.unflatten(2, (6, -1))

    def text(self, text_BSF: Tensor) -> Tensor:
        """Return text tokens of the transformer's width (B, S, D)."""
        embedder = self.text_embedder
        return embedder.linear_2(F.gelu(embedder.linear_1(text_BSF), approximate="tanh"))


class WanDit(nn.Module):
    """The transformer. Source: Wan (arXiv 2503.20314), DiT (arXiv 2212.09748), DESIGN section 10."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False  # whether the backward pass computes a block's activations again (not kept: less memory)
        self.patch_embedding = nn.Conv3d(config.in_channels, config.dim, config.patch_size, config.patch_size)
        self.condition_embedder = ConditionEmbedder(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        self.proj_out = nn.Linear(config.dim, config.out_channels * math.prod(config.patch_size))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)

    def forward(
        self, latent_BCTHW: Tensor, timestep: Tensor, text_BSF: Tensor, text_bias_BS: Tensor | None = None,
        time_index_BL: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the prediction, in the shape of the latent (out_channels), float32.

        `timestep` is (B,) or (B, K), in 0 to 1000. Without `time_index_BL` K must divide the number of tokens L,
        which are K equal runs in order of time, row, column; with it, token l has time index_BL[:, l].
        `text_bias_BS` is added to the text tokens' attention scores: 0, or -inf for padding.
        Raises ValueError when the latent cannot be cut into patches.
        """
        patches_BLP, grid = self.patches(latent_BCTHW)
        timestep_BK = timestep[:, None] if timestep.ndim == 1 else timestep
        text_BSF, text_bias_BS = self.padded_text(text_BSF, text_bias_BS)
        positions = rotations(grid, self.config.attention_head_dim, latent_BCTHW.device)
        predicted_BLP = self.through(patches_BLP, timestep_BK, text_BSF, text_bias_BS, Spread(time_index_BL), positions)
        return self.unpatched(predicted_BLP, grid)

    def through(
        self, patches_BLP: Tensor, timestep_BK: Tensor, text_BSF: Tensor, bias_BS: Tensor | None, spread: Spread,
        positions: Tensor, pack: tuple[Segments, Segments] | None = None,
    ) -> Tensor:  # fmt: skip
        """Take patches through the blocks; returns the predicted patches, channels last within each, float32.

        A `pack` is one sequence (B = 1) of clips laid end to end, and of their texts (packed.py).
        """
        weight_DP = self.patch_embedding.weight.flatten(1)
        x_BLD = F.linear(patches_BLP, weight_DP, self.patch_embedding.bias).float()
        embedded_BKD, modulation_BK6D = self.condition_embedder.time(timestep_BK)
        text_BSD = self.condition_embedder.text(text_BSF)
        for block in self.blocks:
            given = x_BLD, text_BSD, bias_BS, modulation_BK6D, spread, positions, pack
            if self.recompute and torch.is_grad_enabled():
                x_BLD = checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False)  # nothing is random
            else:
                x_BLD = block(*given)
        shift, scale = (self.scale_shift_table[:, None] + embedded_BKD[:, :, None]).unbind(dim=2)
        x_BLD = spread(plain_norm(x_BLD, self.config.eps), 1 + scale, shift)
        return self.proj_out(x_BLD).float()

    def patches(self, latent_BCTHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Cut the latent into patches (B, L, C * patch) in the order of the convolution's weight."""
        batch, channels, *sizes = latent_BCTHW.shape
        p_t, p_h, p_w = self.config.patch_size
        if any(size % patch for size, patch in zip(sizes, self.config.patch_size, strict=True)):
            raise ValueError(f"a latent of {tuple(sizes)} cannot be cut into patches of {self.config.patch_size}")
        frames, height, width = sizes[0] // p_t, sizes[1] // p_h, sizes[2] // p_w
        cut = latent_BCTHW.reshape(batch, channels, frames, p_t, height, p_h, width, p_w)
        return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3), (frames, height, width)

    def unpatched(self, patches_BLP: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Join predicted patches, whose channels are last within a patch, to (B, C, T, H, W)."""
        cut = patches_BLP.unflatten(1, grid).unflatten(4, (*self.config.patch_size, -1))
        joined = cut.permute(0, 7, 1, 4, 2, 5, 3, 6)
        return joined.flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def padded_text(self, text_BSF: Tensor, bias_BS: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Add what Wan sees as padding: n zero rows are one zero row whose score is raised by ln n."""
        if not self.config.text_pad_to:
            return text_BSF, bias_BS
        batch, words, _ = text_BSF.shape
        bias_BS = text_BSF.new_zeros(batch, words) if bias_BS is None else bias_BS
        padding = self.config.text_pad_to - torch.isfinite(bias_BS).sum(dim=1, keepdim=True)
        bias_BS = torch.cat([bias_BS, padding.clamp_min(0).to(bias_BS.dtype).log()], dim=1)
        return torch.cat([text_BSF, text_BSF.new_zeros(batch, 1, text_BSF.shape[2])], dim=1), bias_BS


def look_at_neighbours(attention: Attention) -> None:
    """Let each head of a self-attention start by preferring the token at one offset in (time, row, column).

    Positions enter only as rotations of queries and keys. With random weights and no bias those say nothing until
    training finds them. So queries get a constant in each axis's fastest pair, and keys the same constant turned back
    by the head's offset: their product is largest at that offset. The idea is ConViT's (d'Ascoli et al. 2021), in
    Wan's parameters. Chosen, not ablated.
    """
    heads, width = attention.heads, attention.to_q.out_features // attention.heads
    side = 2 * (width // 6)
    first_of_axis = (0, width - 2 * side, width - side)
    steps = (0, -1, 1)
    offsets = torch.tensor([(t, y, x) for t in steps for y in steps for x in steps])
    chosen = offsets[torch.randperm(len(offsets)).repeat(1 + heads // len(offsets))[:heads]]
    query, key = (layer.bias.data.view(heads, width) for layer in (attention.to_q, attention.to_k))
    for axis, pair in enumerate(first_of_axis):
        phase = 2 * math.pi * torch.rand(heads)
        # A rotary pair turns by one radian a token here, whatever the width.
        turned = phase - chosen[:, axis]
        query[:, pair], query[:, pair + 1] = _NEIGHBOUR * phase.cos(), _NEIGHBOUR * phase.sin()
        key[:, pair], key[:, pair + 1] = _NEIGHBOUR * turned.cos(), _NEIGHBOUR * turned.sin()
    for norm in (attention.norm_q, attention.norm_k):
        norm.weight.data.fill_(_SHARPNESS)


def initialise(model: WanDit) -> None:
    """Initialise for training from nothing: residual branches small, gates open, output zero.

    Draws from torch's global generator: seed it first.
    """
    depth = (2 * len(model.blocks)) ** -0.5
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(model.patch_embedding.weight.flatten(1))
    if model.patch_embedding.bias is not None:
        nn.init.zeros_(model.patch_embedding.bias)
    nn.init.normal_(model.condition_embedder.time_proj.weight, std=0.02)
    for block in model.modules():
        if isinstance(block, Block):
            block.initialise(depth)
    model.scale_shift_table.data.zero_()
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
