"""A site's own criterion: operating points fitted to its labels, on top of a model that stays as it is."""

from efiqa.calibration.criterion import Criterion, Cut, Estimate, fit_criterion
from efiqa.calibration.diagram import draw_reliability
from efiqa.calibration.labels import LabelledPicture, Labels, read_labels
from efiqa.calibration.probability import Bin
from efiqa.calibration.procedure import Calibration, NotAssessed, Options, calibrate

__all__ = [
    "Bin", "Calibration", "Criterion", "Cut", "Estimate", "LabelledPicture", "Labels", "NotAssessed",
    "Options", "calibrate", "draw_reliability", "fit_criterion", "read_labels",
]  # fmt: skip
