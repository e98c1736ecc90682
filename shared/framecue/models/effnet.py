"""EfficientNet-Lite as an image classifier, read from a state dict with its batch norms folded into the convolutions.

Source of the architecture: EfficientNet-Lite in tensorflow/tpu, as `efficientnet_lite_pytorch` ports it; depth and
widths are read off the weights. It knows tensors and pictures, not what the classes are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from PIL import Image
from torch import Tensor, nn

from framecue.models.protocols import Picture

StateDict = Mapping[str, Tensor]

_BATCH_NORM_EPSILON = 1e-3
_STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_MEAN, _DEVIATION = 127.0, 128.0


def load_classifier(path: Path) -> EfficientNetLite:
    """The network in a `.pth` state dict of the port, ready to run; only tensors are unpickled."""
    return EfficientNetLite(torch.load(path, map_location="cpu", weights_only=True)).eval()


def prepare(picture: Picture, side: int) -> Tensor:
    """The whole picture as (3, side, side) fp32 around 0: resized bicubically without a crop, as it was measured."""
    resized = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy((np.asarray(resized, np.float32) - _MEAN) / _DEVIATION).permute(2, 0, 1)


class EfficientNetLite(nn.Module):
    """(N, 3, H, W) prepared pictures give (N, classes) logits."""

    def __init__(self, state: StateDict) -> None:
        super().__init__()
        self.stem = _Convolution(state, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.Sequential(*_blocks(state))
        self.head = _Convolution(state, "_conv_head", "_bn1")
        self.classes = nn.Parameter(state["_fc.weight"], requires_grad=False)
        self.bias = nn.Parameter(state["_fc.bias"], requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        features = self.head(self.blocks(self.stem(x))).mean((2, 3))
        return F.linear(features, self.classes, self.bias)


def _blocks(state: StateDict) -> list[_Block]:
    """The inverted residual blocks in order: a new stage, with its stride, begins where the width changes."""
    blocks: list[_Block] = []
    stage, width = -1, -1
    while (weight := state.get(f"_blocks.{len(blocks)}._project_conv.weight")) is not None:
        first = weight.shape[0] != width
        if first:
            stage, width = stage + 1, weight.shape[0]
        blocks.append(_Block(state, f"_blocks.{len(blocks)}.", _STAGE_STRIDES[stage] if first else 1))
    return blocks


class _Convolution(nn.Module):
    """A convolution and its batch norm in one, with TensorFlow's padding, and ReLU6 unless `linear`."""

    def __init__(
        self, state: StateDict, conv: str, norm: str, *, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
        weight = state[f"{conv}.weight"] * gain[:, None, None, None]
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = nn.Parameter(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain, requires_grad=False)
        self.stride, self.groups, self.linear = stride, groups, linear

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        padding = size // 2
        if self.stride == 2:  # "same" padding is uneven there: one row and column more at the end
            tall, wide = (max((-(-n // 2) - 1) * 2 + size - n, 0) for n in x.shape[-2:])
            x, padding = F.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)), 0
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return x if self.linear else F.hardtanh(x, 0.0, 6.0)


class _Block(nn.Module):
    """Expand, convolve by channel, project; added to its input where the shapes are equal."""

    def __init__(self, state: StateDict, at: str, stride: int) -> None:
        super().__init__()
        depthwise = state[f"{at}_depthwise_conv.weight"].shape[0]
        layers: list[nn.Module] = []
        before = depthwise
        if (expand := state.get(f"{at}_expand_conv.weight")) is not None:
            layers.append(_Convolution(state, f"{at}_expand_conv", f"{at}_bn0"))
            before = expand.shape[1]
        layers.append(_Convolution(state, f"{at}_depthwise_conv", f"{at}_bn1", stride=stride, groups=depthwise))
        layers.append(_Convolution(state, f"{at}_project_conv", f"{at}_bn2", linear=True))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and before == state[f"{at}_project_conv.weight"].shape[0]

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.layers(x))
        return x + y if self.residual else y
