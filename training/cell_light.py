"""What the light of an image alone says of each cell of the grid: whether it is at the rim, and too dark.

Who reads a photograph sees it on a display, and with it what the room's light adds to every pixel, the
viewing flare. Of a vessel's contrast in log luminance Y / (Y + flare) is left by that, where Y is the pixel's
own luminance: a network tells vessels in the darkest parts of a photograph in which its reader sees none. The
reference is a flare of 1 % of white (IEC 61966-2-1, encoding viewing environment).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

CELL_PX = 16
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue. Source: IEC 61966-2-1
SMALLEST_LOSS = 1e-4  # of contrast: what hides next to nothing has a logit of -18.4


def light_sums(image: torch.Tensor) -> torch.Tensor:
    """Return the sums (B, 3, S/16, S/16) over each cell of a normalised image, 1 added so that black is 0."""
    # As a convolution: the judge's glance reads the picture in the same way, so that OpenVINO does not lay
    # it out a second time. Black is -1, and a sum of whole numbers is exact.
    channels = image.shape[1]
    cell = torch.eye(channels, dtype=image.dtype, device=image.device)[:, :, None, None]
    cell = cell.expand(-1, -1, CELL_PX, CELL_PX)
    return F.conv2d(image, cell, image.new_full((channels,), CELL_PX**2), stride=CELL_PX)


def rim_of(sums: torch.Tensor) -> torch.Tensor:
    """Return 1 in the outermost ring of the field's cells (B, 1, g, g) of an image's `light_sums`, else 0.

    Outside the field an image is black; so is, perhaps, what a lid hides, and its edge counts as the rim too.
    """
    inside = (_over_channels(sums, [1.0] * sums.shape[1]) * 127.5).clamp(0, 1)  # from the first level on
    return inside + F.max_pool2d(F.pad(-inside, (1, 1, 1, 1)), 3, stride=1)


def lack_of_light(sums: torch.Tensor, flare: float, enough: float) -> torch.Tensor:
    """Return logits (B, 1, g, g) of the share of a cell's anatomy that is too dark to be seen.

    ``sums``: an image's `light_sums`. ``flare``: the display's viewing flare; ``enough``: the luminance from
    which on nothing is too dark; both in shares of white. Contrast that is lost hides its square, as all that
    leaves a vessel's edge does (`training.degrade.hidden_share`). A cell at the rim, part of which is the
    black outside, is taken for as bright as the brightest beside it.
    """
    code = sums / (2 * CELL_PX**2)  # mean sRGB value, 0..1
    light = ((code + 0.055) / 1.055) ** 2.4
    luminance = _over_channels(light, LUMINANCE)
    brightest = F.max_pool2d(luminance, 3, stride=1, padding=1)
    luminance = luminance + rim_of(sums) * (brightest - luminance)
    left = luminance / (luminance + flare) * ((enough + flare) / enough)
    loss = (1 - left).clamp(SMALLEST_LOSS, 1 - SMALLEST_LOSS)
    return 2 * torch.log(loss) - torch.log1p(-loss.square())


def _over_channels(x: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted sum (B, 1, h, w) over the channels of x (B, C, h, w)."""
    # As a convolution: OpenVINO 2026.4, held to AVX2, leaves half of a sum over three channels at 0.
    return F.conv2d(x, x.new_tensor(weights)[None, :, None, None])
