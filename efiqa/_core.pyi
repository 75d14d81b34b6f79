"""Types of the compiled core (csrc/bindings*.cpp). Private: the public names are in efiqa/__init__.py."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

__version__: Final[str]
CONTRACT_VERSION: Final[int]
MIN_LANDMARK_SHARE: Final[float]  # of the visible area
SURE_MACULA: Final[float]  # probability
MIN_PARITY_COSINE: Final[float]
MIN_PARITY_PATCH_COSINE_P1: Final[float]
MAX_PARITY_RELATIVE_FROBENIUS: Final[float]

class CoreError(RuntimeError):
    """A failure of the core. ``code`` is a name of csrc/status.h, for example ``invalid_frame``."""

    code: str

@final
class FieldOfView:
    """Read-only csrc/fov.h FieldOfView; ``shape`` is ``none``, ``circle`` or ``rectangle``."""

    shape: str
    center_x_px: float
    center_y_px: float
    radius_px: float
    left_px: float
    top_px: float
    right_px: float
    bottom_px: float
    visible_area_px: float
    cut_fraction: float

    def mask(self, height_px: int, width_px: int) -> NDArray[np.bool_]:
        """Return (height, width), true where the pixel's centre is visible."""

@final
class Region:
    """Read-only csrc/report.h Region."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    area_share: float
    mean_probability: float
    clock_hour: float
    center_distance: float
    reasons: dict[str, float]  # strengths, 0..1, without those that the model does not say
    main_reason: str  # "" for none
    remedy: str  # "" for none
    remedy_clock_hour: float  # (0, 12]; 0: no direction
    remedy_text: str

@final
class Report:
    """An owned copy of csrc/report.h Report."""

    score: float  # NaN when the verdict is unknown
    verdict: str
    reason: str  # "" for none
    fov: FieldOfView
    crop: tuple[int, int, int]  # x_px, y_px, side_px
    frame_size: tuple[int, int]  # height_px, width_px
    map: NDArray[np.float32]  # (h, w), NaN outside the field of view
    weights: NDArray[np.float32]  # (h, w), 0..1
    macula: NDArray[np.float32] | None  # (h, w), NaN outside the field of view
    optic_disc: NDArray[np.float32] | None  # likewise
    regions: list[Region]
    reasons: dict[str, float]  # strengths, 0..1, without those that the model does not say
    main_reason: str  # "" for none
    remedy: str  # "" for none
    remedy_clock_hour: float  # (0, 12]; 0: no direction
    remedy_text: str
    not_a_fundus: float  # probability; NaN where the model does not say
    timings_ms: dict[str, float]  # fov, preprocess, engine, postprocess, total

@final
class ThreadPool:
    """csrc/parallel.h ThreadPool; calls from several threads wait for one another."""

    def __init__(self, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...

@final
class DeviceArray:
    """A uint8 array in the memory of a GPU; borrows it and keeps ``owner`` alive. Strides in bytes.

    ``stream`` is a CUDA stream's handle, on which the array is written; 0 and 1 are the default stream.
    """

    def __init__(
        self, pointer: int, shape: list[int], strides: list[int], stream: int, owner: object
    ) -> None: ...
    @property
    def pointer(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[np.uint8]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...

def device_array_of_dlpack(capsule: object, stream: int) -> DeviceArray:
    """Return the array in an unused capsule of ``__dlpack__``, made ready for ``stream``."""

@final
class Runtime:
    """csrc/runtime.h Runtime. The GIL is released while it opens and while it assesses."""

    def __init__(
        self,
        model_path: str,
        *,
        backend: str = "auto",
        threads: int = 0,
        operating_point: str = "",
        allow_untrained: bool = False,
        trusted_keys: Sequence[bytes] = (),
        require_signature: bool = False,
        deadline_ms: int = 0,
    ) -> None: ...
    def assess(
        self,
        frame: NDArray[np.uint8] | DeviceArray,
        pixel_format: str,
        *,
        yuv_matrix: str = "bt601",
        yuv_range: str = "limited",
    ) -> Report: ...
    def run_network(self, input: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (C, h, w) of one normalised input (3, H, W)."""

    @property
    def contract_text(self) -> bytes: ...
    @property
    def signed_by(self) -> str: ...  # key id; "" when no trusted key was given
    def render_overlay(
        self,
        frame: NDArray[np.uint8] | DeviceArray,
        pixel_format: str,
        report: Report,
        *,
        colormap: str = "turbo",
        max_alpha: float = 0.6,
        yuv_matrix: str = "bt601",
        yuv_range: str = "limited",
    ) -> NDArray[np.uint8]:
        """Return (H, W, 3) RGB; for a frame on the GPU the report must be of the last assessed one."""

    @property
    def engine_description(self) -> str: ...
    @property
    def pool(self) -> ThreadPool: ...
    @property
    def threads(self) -> int: ...

@final
class FrameMeasures:
    """Read-only csrc/frame_measures.h FrameMeasures; NaN where nothing was measured."""

    level: float
    green: float
    saturated_share: float
    sharpness: float
    contrast: float
    lid_share: float

@final
class GateDecision:
    """An owned copy of csrc/gate.h GateDecision; ``text`` is the guidance for people."""

    state: str
    guidance: str  # "" for none
    text: str
    clock_hour: float
    progress: float
    speed: float
    frame_index: int
    keep_slot: int
    best_slot: int
    best_frame_index: int
    best_timestamp_ms: int
    best_score: float

@final
class CaptureGate:
    """csrc/gate.h CaptureGate. The GIL is released while a frame is assessed.

    ``params`` names what differs from ``gate_defaults()``. ``assess`` judges a frame and moves the gate; the
    other two move it by what a frame would have shown, and as a frame that could not be assessed does.
    """

    def __init__(self, params: dict[str, float]) -> None: ...
    def assess(
        self,
        runtime: Runtime,
        frame: NDArray[np.uint8] | DeviceArray,
        pixel_format: str,
        timestamp_ms: int,
        *,
        yuv_matrix: str = "bt601",
        yuv_range: str = "limited",
    ) -> tuple[Report, FrameMeasures, GateDecision]: ...
    def observe(
        self,
        timestamp_ms: int,
        *,
        verdict: str,
        score: float,
        shape: str,
        center_x_px: float,
        center_y_px: float,
        radius_px: float,
        frame_width_px: int,
        frame_height_px: int,
        level: float,
        green: float,
        saturated_share: float,
        sharpness: float,
        contrast: float,
        lid_share: float,
    ) -> GateDecision: ...
    def observe_failure(self, timestamp_ms: int) -> GateDecision: ...
    def reset(self) -> None: ...
    @property
    def params(self) -> dict[str, float]: ...
    @property
    def decision(self) -> GateDecision: ...

def gate_defaults() -> dict[str, float]:
    """Return csrc/gate.h GateParams as they are made."""

# In all functions below ``frame`` is uint8, (H, W) for "gray", (H, W, C) for "rgb", "bgr", "rgba", "yuyv",
# and (H * 3 / 2, W) for "nv12"; pixels contiguous within a row, any row stride that is not negative.
# yuv_matrix ("bt601", "bt709") and yuv_range ("limited", "full") say what RGB "nv12" and "yuyv" mean.

def find_field_of_view(
    frame: NDArray[np.uint8],
    pixel_format: str,
    *,
    threads: int = 1,
    yuv_matrix: str = "bt601",
    yuv_range: str = "limited",
) -> FieldOfView: ...
def square_crop(fov: FieldOfView) -> tuple[int, int, int]: ...
def grid_weights(
    fov: FieldOfView, crop: tuple[int, int, int], grid_width: int, grid_height: int
) -> NDArray[np.float32]: ...
def grid_zones(grid_width: int, grid_height: int) -> NDArray[np.int32]: ...
def preprocess(
    frame: NDArray[np.uint8],
    pixel_format: str,
    crop: tuple[int, int, int],
    fov: FieldOfView,
    *,
    width_px: int,
    height_px: int,
    resize_filter: str,
    blank_outside: bool,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    threads: int = 1,
    yuv_matrix: str = "bt601",
    yuv_range: str = "limited",
) -> NDArray[np.float32]:
    """Return the network's input (3, height, width)."""

def preprocess_u8(
    frame: NDArray[np.uint8],
    pixel_format: str,
    crop: tuple[int, int, int],
    fov: FieldOfView,
    *,
    width_px: int,
    height_px: int,
    resize_filter: str,
    blank_outside: bool,
    threads: int = 1,
    yuv_matrix: str = "bt601",
    yuv_range: str = "limited",
) -> NDArray[np.uint8]:
    """Return the crop, resized, as RGB grey levels (height, width, 3)."""

def render_overlay(
    frame: NDArray[np.uint8] | DeviceArray,
    pixel_format: str,
    report: Report,
    *,
    pool: ThreadPool,
    colormap: str = "turbo",
    max_alpha: float = 0.6,
    yuv_matrix: str = "bt601",
    yuv_range: str = "limited",
) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB."""

def validate_contract(json_text: str, origin: str) -> None:
    """Raise CoreError("contract_invalid") unless the text is a complete, valid contract."""

def contract_path(model_path: str) -> str: ...
def sha256_hex(data: bytes) -> str: ...
def key_id(public_key: bytes) -> str: ...
def verify_signature(
    contract: bytes,
    contract_origin: str,
    signature: bytes,
    signature_origin: str,
    trusted_keys: Sequence[bytes],
) -> str:
    """Return the id of the trusted key that signed ``contract``, or raise CoreError."""

def signature_support() -> dict[str, str | bool]:
    """Return built_in, and version: of the library that checks signatures, or why there is none."""

def backends() -> list[dict[str, str | bool]]:
    """Return name, built_in, version of each back end, in the order of the automatic choice."""
