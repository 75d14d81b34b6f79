"""Stage 6: the student as an ONNX graph with its contract, in the form that the runtime opens.

Operating points are chosen without a quality label: clean pictures (vessel sets, train split) are degraded
over the whole field by amounts that are known, and a limit is put where it best tells pictures that hide
more than a named share of the anatomy from those that hide less.

Output: ``export/efiqa.onnx``, ``export/efiqa.onnx.json``, ``export.json``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from efiqa import _core
from efiqa.parity import ParityFigures, compare
from training.backbone import LITE0_ID, LITE0_LICENCE, LITE0_MEAN, LITE0_STD
from training.data import RESIZE_FILTER, ByteArray, CropSet, FloatArray, resize_crop
from training.degrade import KINDS, degrade
from training.progress import track
from training.pseudo_labels import shrink, to_grid
from training.student import Student, load_student, normalised

if TYPE_CHECKING:
    from training.config import Config

MODEL_NAME = "efiqa.onnx"
OPSET = 18
# Share of the anatomy that may be hidden in a picture that is still good, and still usable.
OPERATING_POINTS = {"screening": (0.2, 0.5), "lenient": (0.3, 0.65)}
# Half-precision weights move a probability by about 1e-3; ten times that would be a defect.
PARITY_LIMIT = 0.01


def write_onnx(model: Student, size_px: int, path: Path) -> None:
    """Write the graph image (1, 3, S, S) -> logits (1, 1, g, g), weights stored in half precision."""
    example = torch.zeros(1, 3, size_px, size_px)
    program = torch.onnx.export(
        model.float().eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        verbose=False,
    )
    graph = program.model_proto
    store_half(graph)
    strip_names(graph)
    onnx.checker.check_model(graph, full_check=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(graph.SerializeToString(deterministic=True))
    temporary.rename(path)


def store_half(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16 with a Cast: half the file, the same float32 arithmetic."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 64:
            kept.append(tensor)
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ValueError(f"{tensor.name} holds {np.abs(values).max()}, too large for half precision")
        stored = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        kept.append(stored)
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def strip_names(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about source files: it names folders of the machine."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]


def parity(model: Student, path: Path, pictures: ByteArray) -> tuple[ParityFigures, float]:
    """Return ONNX Runtime against PyTorch: the logits' figures, and a probability's largest difference."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = [normalised(rgb)[None] for rgb in pictures]
    with torch.no_grad():
        expected = np.concatenate([model(image).numpy() for image in images])
    logits = np.concatenate([session.run(["logits"], {"image": image.numpy()})[0] for image in images])
    difference = np.abs(1 / (1 + np.exp(-logits)) - 1 / (1 + np.exp(-expected)))
    return compare(expected, logits), float(difference.max())


@torch.no_grad()
def score(model: Student, rgb: ByteArray, weights: FloatArray) -> float:
    """Return 1 - mean probability over the field of view, weights (g, g), of a crop (S, S, 3)."""
    probability = model(normalised(rgb)[None]).sigmoid()[0, 0].numpy()
    return float(1 - (probability * weights).sum() / weights.sum())


def graded_scores(
    model: Student, clean: CropSet, size_px: int, grid: int, count: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return scores of clean pictures, and lost share and score of the same ones degraded all over."""
    lost, scores, clean_scores = [], [], []
    rng = np.random.default_rng(seed)
    for index in track(range(min(count, len(clean))), "operating points"):
        rgb = resize_crop(np.ascontiguousarray(clean.rgb[index]), size_px)
        visible = shrink(clean.visible[index], size_px)
        weights = to_grid(visible, grid)
        clean_scores.append(score(model, rgb, weights))
        lost.append(0.0)
        scores.append(clean_scores[-1])
        for _ in range(6):
            kind = KINDS[int(rng.integers(len(KINDS)))]
            damaged = degrade(rgb, visible, kind, rng.uniform(0.1, 1.0), rng, local=False)
            lost.append(float(damaged.hidden[visible].mean()))
            scores.append(score(model, damaged.rgb, weights))
    return tuple(np.asarray(each, np.float32) for each in (clean_scores, lost, scores))  # type: ignore[return-value]


def best_limit(lost: FloatArray, scores: FloatArray, allowed: float) -> tuple[float, float]:
    """Return the score that best tells lost <= allowed from more, and its balanced accuracy."""
    fine = lost <= allowed
    limits = np.unique(np.round(scores, 3))
    accuracy = [0.5 * ((scores[fine] >= limit).mean() + (scores[~fine] < limit).mean()) for limit in limits]
    best = int(np.argmax(accuracy))
    return round(float(limits[best]), 3), float(accuracy[best])


def run(config: Config, clean: CropSet, out: Path, manifest_hash: str) -> None:
    """Export, check and describe the student."""
    folder = out / "export"
    folder.mkdir(exist_ok=True)
    model = load_student(out / "student.pt")
    settings = config.student
    path = folder / MODEL_NAME
    write_onnx(model, settings.size_px, path)
    pictures = np.stack([resize_crop(np.ascontiguousarray(rgb), settings.size_px) for rgb in clean.rgb[:32]])
    figures, worst = parity(model, path, pictures)
    broken = figures.failures()
    if not worst <= PARITY_LIMIT:
        broken.append(f"a probability differs by {worst}, expected at most {PARITY_LIMIT}")
    if broken:
        path.unlink()
        raise ValueError(f"parity: {'; '.join(broken)}")
    clean_scores, lost, scores = graded_scores(
        model, clean, settings.size_px, settings.grid, config.export.calibration_pictures, config.seed + 4
    )
    points: dict[str, dict[str, float]] = {}
    accuracy: dict[str, NDArray[np.floating] | list[float]] = {}
    for name, (good, usable) in OPERATING_POINTS.items():
        limits = [best_limit(lost, scores, allowed) for allowed in (good, usable)]
        points[name] = {"good_min_score": limits[0][0], "usable_min_score": min(limits[1][0], limits[0][0])}
        accuracy[name] = [limits[0][1], limits[1][1]]
    contract = make_contract(config, path, points, manifest_hash, figures)
    text = json.dumps(contract, indent=2) + "\n"
    _core.validate_contract(text, path.name + ".json")
    Path(_core.contract_path(str(path))).write_text(text)
    summary = {
        "parity_max_probability_difference": worst,
        "operating_points": points,
        "balanced_accuracy_of_limits": accuracy,
        "clean_score_quantiles_01_05_50": [float(v) for v in np.quantile(clean_scores, (0.01, 0.05, 0.5))],
        "model_bytes": path.stat().st_size,
    }
    (out / "export.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"export: {json.dumps(summary)}", flush=True)


def make_contract(
    config: Config,
    path: Path,
    points: dict[str, dict[str, float]],
    manifest_hash: str,
    figures: ParityFigures,
) -> dict[str, Any]:
    """Return the contract of an exported student."""
    import onnxruntime

    size, grid = config.student.size_px, config.student.grid
    return {
        "contract_version": _core.CONTRACT_VERSION,
        "id": config.export.name,
        "model": {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "format": "onnx",
            "precision": "fp32",  # half-precision weights, but float32 arithmetic
            "trained": True,
        },
        "input": {
            "name": "image",
            "width_px": size,
            "height_px": size,
            "layout": "NCHW",
            "dtype": "float32",
            "color_order": "RGB",
            "crop": "field_of_view_square",
            "resize_filter": RESIZE_FILTER,
            "outside": "black",
            "mean": list(LITE0_MEAN),
            "std": list(LITE0_STD),
        },
        "output": {
            "name": "logits",
            "width": grid,
            "height": grid,
            "dtype": "float32",
            "meaning": "probability_anatomy_not_visible",
            "activation": "sigmoid",
            "calibration": {"scale": 1.0, "offset": 0.0},
        },
        "map": {"region_threshold": 0.5},
        "operating_points": points,
        "default_operating_point": "screening",
        "provenance": {
            "backbone": LITE0_ID,
            "backbone_licence": LITE0_LICENCE,
            "adapter": f"student-width{config.student.width}",
            "training_data": (
                "Unlabelled pictures from EyePACS, ODIR-5K and Messidor-2; vessel masks of DRIVE, CHASE_DB1, "
                f"HRF, LES-AV and FIVES; no quality label. Manifest SHA-256 {manifest_hash}"
            ),
            "licence": "Weights trained on pictures for research use only. Not a medical device.",
        },
        "parity": figures.to_contract(
            reference="PyTorch fp32", runner=f"ONNX Runtime {onnxruntime.__version__}"
        ),
        "golden": None,
    }
