"""Reading a picture file into a frame. OpenCV decodes, and is imported only here and for writing."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from efiqa.errors import FileError, PictureError
from efiqa.picture_header import PictureHeader, damaged, read_header

PICTURE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".webp",
)  # fmt: skip
MAX_FILE_BYTES = 512 << 20  # an uncompressed 8192 x 8192 picture of 4 channels has 256 MiB
MAX_SIDE_PX = 8192  # csrc/frame.h kMaxSidePx; a test holds the two together

# What the decoders behind OpenCV print: anything at all, and when they had to invent pixels.
_DECODER_LINE = re.compile(r"^\[ ?(?:ERROR|WARN|INFO|DEBUG)|^libpng |JPEG|TIFF|Huffman|imdecode|grfmt_")
_DAMAGE_LINE = re.compile(r"^\[ ?ERROR|^libpng error|corrupt|premature|Huffman", re.IGNORECASE)
_decoding = threading.Lock()


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the picture in ``path`` as a frame, uint8 (H, W, 3) RGB.

    JPEG, PNG, TIFF, BMP, PPM/PGM and WebP with 8 bits a channel, told by content and not by name. Exif's
    orientation is applied; grey becomes three equal channels; what is transparent is laid over black, as the
    surroundings of a field of view are. Nothing is guessed: 16-bit, CMYK, animated and multi-page files are
    refused (thumbnails in a TIFF do not count as pages), and so is a file of which the decoder could restore
    only a part. Colour profiles are not applied.

    Raises:
        FileError: ``not_found``, ``not_a_file``, ``file_unreadable``, ``file_too_large``.
        PictureError: see ``efiqa.picture_header.read_header``; ``too_large``: a side is above 8192 px, which
            is known before anything is decoded.
    """
    data = _read_bytes(Path(path))
    try:
        header = read_header(data)
        if max(header.width_px, header.height_px) > MAX_SIDE_PX:
            raise PictureError(
                f"it has {header.width_px} x {header.height_px} px, expected at most {MAX_SIDE_PX} a side; "
                "reduce it",
                code="too_large",
            )
        pixels = _decode(data, header)
    except PictureError as error:
        raise PictureError(f"{path}: {error}", code=error.code) from None
    return np.ascontiguousarray(_oriented(pixels, header.orientation))


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
            raise FileError(f"{path} is {what}, expected a picture file", code="not_a_file")
        if status.st_size > MAX_FILE_BYTES:
            raise FileError(
                f"{path} has {status.st_size} bytes, expected at most {MAX_FILE_BYTES}", code="file_too_large"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"{path} does not exist", code="not_found") from None
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read: {reason}", code="file_unreadable") from None


def _decode(data: bytes, header: PictureHeader) -> NDArray[np.uint8]:
    """Return the pixels, uint8 (H, W, 3) RGB, as stored; PictureError ``damaged`` for anything incomplete."""
    import cv2

    flags = cv2.IMREAD_UNCHANGED if header.alpha else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    complaints: list[str] = []
    with _captured_stderr(complaints):
        try:
            pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
        except cv2.error as error:
            raise damaged(f"OpenCV cannot decode this {header.format} ({error.err})") from None
    damage = next((line for line in complaints if _DAMAGE_LINE.search(line)), "")
    if pixels is None:
        raise damaged(f"OpenCV cannot decode this {header.format}" + (f" ({damage})" if damage else ""))
    if damage:
        raise damaged(f"only a part of this {header.format} could be decoded ({damage})")
    if pixels.dtype != np.uint8 or pixels.shape[:2] != (header.height_px, header.width_px):
        raise damaged(
            f"it decodes to {pixels.shape} {pixels.dtype}, its header says "
            f"{header.width_px} x {header.height_px} px of 8 bits"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return _over_black(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), dtype=np.uint8))
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)


def _over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return round(rgb * alpha / 255) of straight (H, W, 4) RGBA."""
    product = rgba[:, :, :3].astype(np.uint16) * rgba[:, :, 3:]
    return ((product + 127) // 255).astype(np.uint8)


def _oriented(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return ``pixels`` (H, W, 3) turned upright. Source: Exif 2.32, tag Orientation (where row 0 is)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@contextlib.contextmanager
def _captured_stderr(complaints: list[str]) -> Iterator[None]:
    """Append the lines that the decoders print to file descriptor 2 inside the block to ``complaints``.

    libjpeg, libpng and libtiff report pixels that they had to invent only there. Blocks of several threads
    wait for one another; lines that other threads print meanwhile are passed on when the block ends.
    """
    # In memory: on a full disk a complaint would be lost, and a damaged picture pass for a whole one.
    with _decoding, os.fdopen(os.memfd_create("efiqa-decoder"), "w+b") as sink:
        try:
            saved = os.dup(2)
        except OSError:  # no standard error at all: nothing can leak
            yield
            return
        try:
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            for line in sink.read().decode("utf-8", "replace").splitlines():
                if _DECODER_LINE.search(line):
                    complaints.append(line.strip())
                elif line.strip():
                    os.write(2, f"{line}\n".encode())
