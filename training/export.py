"""Stage 12: the student as an ONNX graph with its contract, in the form that the runtime opens.

Operating points are chosen without a quality label: clean pictures (vessel sets, train split) are degraded
over the whole field by amounts that are known, and a limit is put where it best tells pictures that hide
more than a named share of the anatomy from those that hide less.

Output: ``export/efiqa.onnx``, ``export/efiqa.onnx.json``, ``export.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from efiqa.contract import Contract, OperatingPoint
from efiqa.export import document, gate, onnx_files, pictures
from efiqa.export.backbones import split_head
from efiqa.export.pipeline import OUTPUTS, Network, write_files
from training.backbone import LITE0_ID, LITE0_LICENCE, LITE0_MEAN, LITE0_STD
from training.data import CropSet, FloatArray
from training.degrade import graded_degradation
from training.features import crops_at
from training.progress import track
from training.pseudo_labels import crop_on_grid
from training.refusal_limit import refusal_limit
from training.region_threshold import region_threshold
from training.scoring import PLAIN, SCREENING, Reading, score_of_map
from training.student import LogitsOf, Student, answers, load_student, probabilities, shown_eyes
from training.student_samples import CHANNELS, LANDMARK_CHANNELS
from training.viewing import WHOLE
from training.views import normalised

if TYPE_CHECKING:
    from training.config import Config

MODEL_NAME = "efiqa.onnx"
# Share of the anatomy that may be hidden in a picture that is still good, and still usable; and by what it is
# scored.
OPERATING_POINTS = {
    "screening": ((0.2, 0.4), SCREENING),
    "lenient": ((0.3, 0.65), PLAIN),
}
# Half-precision weights (11 bits) move a logit by about 0.01; more would be a defect.
MAX_LOGIT_ERROR = 0.05


def judged_graph(model: Student, size_px: int, images: FloatArray) -> tuple[bytes, gate.Trial]:
    """Return the graph image (1, 3, S, S) -> logits (1, C, g, g), weights in half precision, and its trial.

    ``images``: inputs (n, 3, S, S) for the comparison with PyTorch.
    """
    network = Network(*split_head(model.float())).eval()
    graph = onnx_files.trace(network, size_px, OUTPUTS)
    onnx_files.store_half(graph)
    runner, found = gate.run_graph(onnx_files.serialised(graph), images)
    reference = gate.run_network(network, images)
    trial = gate.judge(runner, found, reference, max_abs_error=MAX_LOGIT_ERROR)
    onnx_files.drop_output(graph, "features")
    onnx_files.check_logits(graph, CHANNELS, reference.logits.shape[2:])
    return onnx_files.serialised(graph), trial


class ExportedGraph:
    """Logits (B, C, g, g) of normalised images (B, 3, S, S) as the runtime computes them of a graph.

    The limits in the contract are chosen on them: on what is shipped, and faster than PyTorch answers.
    """

    def __init__(self, graph: bytes) -> None:
        _, self._run = gate.compiled_graph(graph)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        inputs = np.ascontiguousarray(images.numpy())
        found = [np.array(self._run({"image": image[None]})["logits"]) for image in inputs]
        return torch.from_numpy(np.concatenate(found))


@dataclass(frozen=True)
class Graded:
    """Of N pictures, the share of the anatomy that is hidden (N,), and what the model says of each.

    ``said``: map (g, g), the cells' visible shares (g, g) and landmarks (2, g, g).
    """

    lost: FloatArray
    said: list[tuple[FloatArray, FloatArray, FloatArray]]

    def scores(self, reading: Reading) -> FloatArray:
        """Return the scores (N,) by ``reading``."""
        return np.array([score_of_map(*each, reading) for each in self.said], np.float32)


def graded_pictures(
    model: LogitsOf, clean: CropSet, size_px: int, grid: int, count: int, seed: int
) -> Graded:
    """Return the clean pictures and the same ones degraded all over."""
    lost, said = [], []
    rng = np.random.default_rng(seed)
    for index in track(range(min(count, len(clean))), "operating points"):
        rgb, visible, weights = crop_on_grid(clean, index, size_px, grid)
        shown = [(rgb, 0.0)]
        for _ in range(6):
            damaged, share = graded_degradation(rgb, visible, rng)
            shown.append((damaged.rgb, share))
        for picture, share in shown:
            found = probabilities(model, picture[None])[0]
            lost.append(share)
            said.append((found[0], weights, found[LANDMARK_CHANNELS]))
    return Graded(np.array(lost, np.float32), said)


def best_limit(lost: FloatArray, scores: FloatArray, allowed: float) -> tuple[float, float]:
    """Return the score that best tells lost <= allowed from more, and its balanced accuracy."""
    fine = lost <= allowed
    limits = np.unique(np.round(scores, 3))
    accuracy = [0.5 * ((scores[fine] >= limit).mean() + (scores[~fine] < limit).mean()) for limit in limits]
    best = int(np.argmax(accuracy))
    return round(float(limits[best]), 3), float(accuracy[best])


def run(config: Config, pool: CropSet, clean: CropSet, out: Path, manifest_hash: str) -> None:
    """Export, check and describe the student; ``pool`` and ``clean`` pictures choose its limits."""
    folder = out / "export"
    folder.mkdir(exist_ok=True)
    model = load_student(out / WHOLE)
    settings = config.student
    path = folder / MODEL_NAME
    crops = crops_at(clean, range(min(32, len(clean))), settings.size_px)
    images = np.stack([normalised(rgb).numpy() for rgb in crops])
    graph, trial = judged_graph(model, settings.size_px, images)
    if trial.failures:
        raise ValueError(f"parity: {'; '.join(trial.failures)}")
    exported = ExportedGraph(graph)
    eyes = shown_eyes(settings, out)
    refusal = refusal_limit(exported, pool, settings.size_px, settings.grid, config.seed + 5, eyes)
    graded = graded_pictures(
        exported, clean, settings.size_px, settings.grid, config.export.calibration_pictures, config.seed + 4
    )
    points: dict[str, dict[str, Any]] = {}
    accuracy: dict[str, list[float]] = {}
    for name, (allowed, reading) in OPERATING_POINTS.items():
        scores = graded.scores(reading)
        (good, good_accuracy), (usable, usable_accuracy) = (
            best_limit(graded.lost, scores, share) for share in allowed
        )
        point = OperatingPoint(good, min(usable, good), reading.zones, *reading.margins)
        points[name] = point.to_dict()
        accuracy[name] = [good_accuracy, usable_accuracy]
    threshold = region_threshold(
        exported, clean, settings.size_px, settings.grid, config.export.calibration_pictures, config.seed + 6
    )
    parity = trial.figures.to_contract(reference=gate.REFERENCE, runner=trial.runner)
    spec = pictures.InputSpec(settings.size_px, LITE0_MEAN, LITE0_STD)
    golden = document.golden_sample(spec, lambda inputs: torch_logits(model, inputs))
    contract = Contract.from_dict(
        document.make_contract(
            config.export.name,
            path.name,
            # Half-precision weights, but float32 arithmetic.
            document.Graph(
                graph,
                "fp32",
                True,
                answers(refusal.min_probability),
                (settings.grid, settings.grid),
                parity,
                threshold.probability,
            ),
            spec,
            points,
            provenance(config, manifest_hash),
            golden,
        )
    )
    write_files(path, graph, golden, contract)
    summary = {
        "parity": parity,
        "refusal": asdict(refusal),
        "region_threshold": asdict(threshold),
        "operating_points": points,
        "balanced_accuracy_of_limits": accuracy,
        "clean_score_quantiles_01_05_50": [
            float(v) for v in np.quantile(graded.scores(PLAIN)[graded.lost == 0], (0.01, 0.05, 0.5))
        ],
        "model_bytes": len(graph),
    }
    (out / "export.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"export: {json.dumps(summary)}", flush=True)


@torch.no_grad()
def torch_logits(model: Student, inputs: FloatArray) -> FloatArray:
    """Return logits (n, C, g, g) of inputs (n, 3, S, S)."""
    return model(torch.from_numpy(inputs)).numpy()


def provenance(config: Config, manifest_hash: str) -> dict[str, str]:
    """Return where an exported student comes from, for its contract."""
    return {
        "backbone": LITE0_ID,
        "backbone_licence": LITE0_LICENCE,
        "adapter": f"student-width{config.student.width}",
        "training_data": (
            "Unlabelled pictures from EyePACS, ODIR-5K and Messidor-2; vessel masks of DRIVE, CHASE_DB1, "
            f"HRF, LES-AV and FIVES; no quality label. Manifest SHA-256 {manifest_hash}"
        ),
        "licence": "Weights trained on pictures for research use only. Not a medical device.",
    }
