"""Precision written into the network itself: the exported graph says every type and nobody infers one.

What fills a GPU's matrix units runs in 16 bits: linear layers, the product of attention with its values
and, in float16, convolutions (ONNX has Conv in bfloat16 from opset 22 only, which TensorRT 10.3 of JetPack
6 does not read). The residual stream, normalisation, attention scores and softmax stay float32. Source:
DINOv3's attention scores reach 2.5e6 where float16 ends at 65,504, and a DINOv3 all in bfloat16 keeps a
cosine of 0.99957, which is an error of 0.03 of the norm; in this form it lost 0.002 with random weights
(docs/export.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers import Mlp
from torch import nn
from torch.nn import functional as F

from efiqa.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection

# The graph's own arithmetic; int8 starts from float32 and is quantised afterwards (quantise.py).
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.float32}

_IN_HALF: dict[torch.dtype, tuple[type[nn.Module], ...]] = {
    torch.float32: (),
    torch.bfloat16: (nn.Linear,),
    torch.float16: (nn.Linear, nn.Conv2d),
}


def apply_precision(network: nn.Module, precision: str, keep: Collection[nn.Module] = ()) -> None:
    """Rewrite ``network`` in place so that it computes in ``precision``, a name of DTYPES.

    ``keep``: layers that stay float32. The answers stay float32 in every case.

    Raises:
        ModelError: an attention layer has parts that the rewriting does not know.
    """
    _rewrite(network, DTYPES[precision], set(keep))


def _rewrite(module: nn.Module, dtype: torch.dtype, keep: set[nn.Module]) -> None:
    for name, child in module.named_children():
        if hasattr(child, "qkv"):
            setattr(module, name, TypedAttention(child, dtype))
        elif child in keep:
            continue
        elif isinstance(child, _IN_HALF[dtype]):
            # The activation between the two layers of an MLP is as precise as what it feeds.
            widen = not (isinstance(module, Mlp) and name == "fc1")
            setattr(module, name, InHalf(child, dtype, widen=widen))
        else:
            _rewrite(child, dtype, keep)


class InHalf(nn.Module):
    """A linear or convolution layer in 16 bits, its input rounded; ``widen``: its answer is float32 again."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype, *, widen: bool = True) -> None:
        super().__init__()
        self.layer = layer.to(dtype)
        self.dtype = dtype
        self.widen = widen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's answer to ``x`` rounded to 16 bits."""
        y = self.layer(x.to(self.dtype))
        return y.float() if self.widen else y


class TypedAttention(nn.Module):
    """Self-attention of timm's vision transformers as plain products, each with its type.

    Projections and the product with the values are in ``dtype``; queries, keys, their rotation, scores and
    softmax in float32. For float32 it computes what ``source`` computes.
    """

    def __init__(self, source: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        for name in ("q_norm", "k_norm", "norm"):
            if not isinstance(getattr(source, name), nn.Identity):
                raise ModelError(f"the backbone's attention has {name}, which efiqa export does not know")
        if source.gate is not None:
            raise ModelError("the backbone's attention has a gate, which efiqa export does not know")
        self.dtype = dtype
        self.heads = source.num_heads
        self.scale = source.scale
        self.prefix_tokens = getattr(source, "num_prefix_tokens", 0)
        self.rotate_half = getattr(source, "rotate_half", False)
        self.qkv = _with_bias(source).to(dtype)
        self.proj = source.proj.to(dtype)

    def forward(
        self,
        x: torch.Tensor,
        rope: torch.Tensor | None = None,
        attn_mask: None = None,
        is_causal: bool = False,
    ) -> torch.Tensor:
        """Return float32 (B, N, C) of normalised tokens (B, N, C); ``rope``: sine and cosine of the patches.

        The last two are there because timm's blocks pass them; images need neither.
        """
        if attn_mask is not None or is_causal:
            raise ModelError("the backbone masks its attention, which efiqa export does not know")
        batch, tokens, width = x.shape
        qkv = self.qkv(x.to(self.dtype)).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (B, heads, N, d)
        q, k = q.float(), k.float()
        if rope is not None:
            sin, cos = self._turns(rope)
            q, k = q * cos + self._quarter_turn(q) * sin, k * cos + self._quarter_turn(k) * sin
        share = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        mixed = (share.to(self.dtype) @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj(mixed).float()

    def _turns(self, rope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sine and cosine (N, d) of all tokens; class and register tokens do not turn."""
        width = rope.shape[-1] // 2
        prefix = (0, 0, self.prefix_tokens, 0)
        return F.pad(rope[..., :width], prefix), F.pad(rope[..., width:], prefix, value=1.0)

    def _quarter_turn(self, x: torch.Tensor) -> torch.Tensor:
        """Return each pair of channels (a, b) as (-b, a): halves of the head, or neighbours."""
        if self.rotate_half:
            half = x.shape[-1] // 2
            return torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        return torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)


def _with_bias(source: nn.Module) -> nn.Linear:
    """Return the projection to queries, keys and values, with a bias that ``source`` keeps apart put in."""
    separate = getattr(source, "q_bias", None)
    if separate is None:
        return source.qkv
    layer = nn.Linear(source.qkv.in_features, source.qkv.out_features)
    layer.weight = source.qkv.weight
    layer.bias = nn.Parameter(torch.cat([source.q_bias, source.k_bias, source.v_bias]).detach())
    return layer
