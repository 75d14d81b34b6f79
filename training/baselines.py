"""Scores to compare with, higher is better quality. None but the probe has seen a quality label.

All read the crop to the field of view that efiqa's own core makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import Crop, crop_frame
from training.degrade import vessel_band

if TYPE_CHECKING:
    import torch
    from torch import nn

    from training.segment import Segmenter
    from training.vuad import Vuad

SIDE_PX = 512  # of the crop for the scores that look at pixels
PROBE_SIDE_PX = 384  # as the embedded model
PROBE_C = 0.01  # inverse strength of the ridge: about 1,000 features, a few hundred pictures
# Where |f(S)| is above this, VUAD expects vessel that is not there; the same as for the pseudo-labels of the
# CPU recipe. Source: training/configs/cpu.toml.
VUAD_THRESHOLD = 0.015

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]


def local_contrast(crop: Crop) -> float:
    """Return the mean magnitude of the green channel's vessel band (difference of Gaussians), 0..1.

    The rim, which flash and the field stop make the strongest edge of all, is left out.
    """
    inner = _inner(crop)
    return float(np.abs(vessel_band(crop.rgb, crop.visible)[inner]).mean()) if inner.any() else 0.0


def _inner(crop: Crop) -> NDArray[np.bool_]:
    """Return the field (S, S) without its outermost 2 %."""
    reach = 2 * round(0.01 * crop.rgb.shape[0]) + 1
    padded = np.pad(crop.visible.astype(np.uint8), reach)  # the crop's border is the field's as well
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.erode(padded, kernel)[reach:-reach, reach:-reach], bool)


def laplacian_variance(crop: Crop) -> float:
    """Return the variance of the grey picture's Laplacian inside the field, the usual sharpness measure.

    The rim is left out: the black outside would count as detail. Source: Pech-Pacheco et al., ICPR 2000.
    """
    grey = cv2.cvtColor(crop.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inner = _inner(crop)
    if not inner.any():
        return 0.0
    return float(cv2.Laplacian(grey, cv2.CV_32F, ksize=3)[inner].var())


@dataclass(frozen=True)
class VesselModels:
    """The segmenter and VUAD of one training run."""

    segmenter: Segmenter
    vuad: Vuad

    @classmethod
    def load(cls, run: Path) -> VesselModels:
        """Return the models in ``run``/segmenter.pt and ``run``/vuad.pt.

        Raises:
            FileNotFoundError: one is missing; the message names it.
        """
        from training import segment, vuad

        for name in ("segmenter.pt", "vuad.pt"):
            if not (run / name).is_file():
                raise FileNotFoundError(f"--run is {run}, expected a folder that holds {name}")
        return cls(segment.load(run / "segmenter.pt"), vuad.load(run / "vuad.pt"))

    def scores(self, frame: ByteArray) -> tuple[float, float] | None:
        """Return vessel density and 1 - VUAD area of a frame (H, W, 3), None without a field of view."""
        import torch

        from training import segment, vuad

        crop = crop_frame(frame, self.segmenter.size_px)
        if crop is None:
            return None
        probability = segment.vessel_probability(self.segmenter, crop.rgb[None])[0]
        density = float((probability[crop.visible] > 0.5).mean())
        side = self.vuad.size_px
        vessels = vuad.vessel_map(probability, crop.visible, side)
        inside = cv2.resize(crop.visible.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)
        with torch.no_grad():
            missing = self.vuad(
                torch.from_numpy(vessels.astype(np.float32) / 255)[None, None],
                torch.from_numpy(inside.astype(np.float32))[None, None],
            )[0, 0].abs()
        area = float((missing.numpy()[inside > 0] > VUAD_THRESHOLD).mean())
        return density, 1.0 - area


class ProbeFeatures:
    """Frozen EfficientNet-Lite0 features, mean and deviation over the field of view at each stride."""

    def __init__(self) -> None:
        from training.backbone import LITE0_MEAN, LITE0_STD, Lite0Features

        self._net: nn.Module = Lite0Features().eval()
        self._mean, self._std = LITE0_MEAN, LITE0_STD

    def __call__(self, frame: ByteArray) -> FloatArray | None:
        """Return the features (F,) of a frame (H, W, 3), None without a field of view."""
        import torch

        crop = crop_frame(frame, PROBE_SIDE_PX)
        if crop is None:
            return None
        image = torch.from_numpy(crop.rgb.astype(np.float32) / 255).permute(2, 0, 1)[None]
        image = (image - torch.tensor(self._mean).view(1, 3, 1, 1)) / torch.tensor(self._std).view(1, 3, 1, 1)
        with torch.no_grad():
            maps: list[torch.Tensor] = self._net(image)
        return np.concatenate([_pooled(each[0].numpy(), crop.visible) for each in maps])


def _pooled(features: FloatArray, visible: NDArray[np.bool_]) -> FloatArray:
    """Return mean and deviation (2 C,) of features (C, h, w), cells weighted by their visible share."""
    height, width = features.shape[1:]
    weight = cv2.resize(visible.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    weight /= max(float(weight.sum()), 1e-6)
    mean = (features * weight).sum((1, 2))
    deviation = np.sqrt(((features - mean[:, None, None]) ** 2 * weight).sum((1, 2)))
    return np.concatenate([mean, deviation]).astype(np.float32)


def cross_validated_probe(features: FloatArray, good: Sequence[bool], fold: NDArray[np.int64]) -> DoubleArray:
    """Return the decision value (N,) of each picture by a logistic regression on the other folds.

    ``features`` (N, F); ``fold`` (N,) keeps a patient's pictures together.
    """
    labels = np.asarray(good, bool)
    out = np.zeros(len(labels))
    for index in np.unique(fold):
        held = fold == index
        out[held] = _fitted(features[~held], labels[~held]).decision_function(features[held])
    return out


def transferred_probe(features: FloatArray, good: Sequence[bool], others: FloatArray) -> DoubleArray:
    """Return the decision value of each of ``others`` (M, F) by a logistic regression on ``features``."""
    return np.asarray(_fitted(features, np.asarray(good, bool)).decision_function(others), np.float64)


def _fitted(features: FloatArray, good: NDArray[np.bool_]):  # noqa: ANN202 - scikit-learn has no types
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=PROBE_C, class_weight="balanced", max_iter=2000)
    )
    return model.fit(features, good)
