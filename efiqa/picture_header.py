"""What the first bytes of a picture file say: format, size and everything that must not be guessed later.

Read before decoding, so that a small file cannot ask for gigabytes, and so that what OpenCV would silently
alter (16 bits, CMYK, further pages, missing data) is refused by name. Sources: ITU-T T.81 (JPEG), Exif 2.32,
W3C PNG third edition, TIFF 6.0, RFC 9649 (WebP), Netpbm's format pages, and Microsoft's BITMAPINFOHEADER.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from efiqa.errors import PictureError
from efiqa.tiff_header import Directory, read_directories

_UNSUPPORTED_MAGIC = (
    (0, b"GIF8", "GIF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"P1", "PBM"),
    (0, b"P4", "PBM"),
    (0, b"P7", "PAM"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"II\x2b\x00", "BigTIFF"),
    (0, b"MM\x00\x2b", "BigTIFF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (128, b"DICM", "DICOM"),
)


@dataclass(frozen=True)
class PictureHeader:
    """Format and size of one 8-bit picture, as stored, and how to show it.

    ``orientation`` is Exif's, 1..8, still to be applied to the decoded pixels. ``alpha``: there is a fourth
    channel of straight (not premultiplied) opacity.
    """

    format: str
    width_px: int
    height_px: int
    orientation: int = 1
    alpha: bool = False


def read_header(data: bytes) -> PictureHeader:
    """Return the header of a whole file's bytes; the file's name plays no part.

    Raises:
        PictureError: ``empty_file``, ``not_a_picture``, ``unsupported_format``, ``truncated``, ``damaged``,
            ``bit_depth``, ``cmyk``, ``animated``, ``multi_page`` or ``alpha``.
    """
    if not data:
        raise PictureError("the file is empty (0 bytes)", code="empty_file")
    readers = (
        (data[:3] == b"\xff\xd8\xff", _jpeg),
        (data[:8] == b"\x89PNG\r\n\x1a\n", _png),
        (data[:4] in (b"II*\x00", b"MM\x00*"), _tiff),
        (data[:2] == b"BM", _bmp),
        (data[:2] in (b"P2", b"P3", b"P5", b"P6"), _netpbm),
        (data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    )
    for matches, reader in readers:
        if matches:
            try:
                header = reader(data)
            except (struct.error, IndexError):
                raise truncated("its header ends too early") from None
            if header.width_px < 1 or header.height_px < 1:
                raise damaged(f"its header says {header.width_px} x {header.height_px} px")
            return header
    for offset, magic, name in _UNSUPPORTED_MAGIC:
        if data[offset : offset + len(magic)] == magic:
            raise PictureError(
                f"{name} files are not read; convert it to PNG or TIFF with 8 bits a channel",
                code="unsupported_format",
            )
    raise PictureError(
        f"the content is none of JPEG, PNG, TIFF, BMP, PPM, WebP (it begins with {data[:8]!r})",
        code="not_a_picture",
    )


def truncated(what: str) -> PictureError:
    """Return the error for a file that ends too early."""
    return PictureError(f"the file is truncated: {what}; copy it again from its source", code="truncated")


def damaged(what: str) -> PictureError:
    """Return the error for a file whose content contradicts itself."""
    return PictureError(f"the file is damaged: {what}; copy it again from its source", code="damaged")


def _bit_depth(bits: int) -> PictureError:
    return PictureError(
        f"it has {bits} bits a channel, expected 8: how many of them the camera used is not in the file; "
        "convert it to 8 bits where that is known",
        code="bit_depth",
    )


def _cmyk() -> PictureError:
    return PictureError(
        "its colours are CMYK inks, which turn into RGB only by a guess; convert it with its colour profile",
        code="cmyk",
    )


def _jpeg(data: bytes) -> PictureHeader:
    """Walk the segments up to the first scan, then ask for the end-of-image marker behind the coded data."""
    orientation, size, position = 1, None, 2
    while True:
        if data[position] != 0xFF:
            raise damaged(f"no JPEG marker at byte {position}")
        while data[position + 1] == 0xFF:  # fill bytes, T.81 B.1.1.2
            position += 1
        marker = data[position + 1]
        length = struct.unpack_from(">H", data, position + 2)[0]
        body = data[position + 4 : position + 2 + length]
        if marker in _JPEG_FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", body)
            if bits != 8:
                raise _bit_depth(bits)
            if components == 4:
                raise _cmyk()
            size = (width, height)
        elif marker == 0xE1 and body[:6] == b"Exif\x00\x00":
            orientation = _exif_orientation(body[6:])
        elif marker == 0xDA:
            break
        position += 2 + length
    if size is None:
        raise damaged("it has no JPEG frame header")
    # FF 00 is a stuffed FF and FF D0..D7 are restarts: neither ends coded data (T.81 B.1.1.5, B.2.1).
    if not re.compile(rb"\xff\xd9").search(data, position):
        raise truncated("the JPEG end marker is missing")
    return PictureHeader("JPEG", *size, orientation=orientation)


# SOF0..SOF15 without DHT (C4), JPG (C8), DAC (CC): T.81 table B.1.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _exif_orientation(tiff: bytes) -> int:
    """Return Exif's orientation, 1..8, and 1 when the block has none or is garbled: it is a mere hint."""
    try:
        directories = read_directories(tiff, limit=1)
    except (PictureError, struct.error, IndexError):
        return 1
    value = directories[0].number(274, 1) if directories else 1
    return value if 1 <= value <= 8 else 1


def _png(data: bytes) -> PictureHeader:
    width, height, bits, color_type = struct.unpack_from(">IIBB", data, 16)
    alpha, orientation, position, ended = color_type in (4, 6), 1, 8, False
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            raise _animated(struct.unpack_from(">I", data, position + 8)[0])
        if kind == b"tRNS":
            alpha = True
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[position + 8 : position + 8 + length])
        elif kind == b"IEND":
            ended = True
            break
        position += 12 + length
    if bits == 16:
        raise _bit_depth(bits)
    if not ended:
        raise truncated("the PNG end chunk is missing")
    return PictureHeader("PNG", width, height, orientation=orientation, alpha=alpha)


def _animated(frames: int) -> PictureError:
    return PictureError(
        f"it is an animation of {frames} frames; save the one to be assessed as a picture of its own",
        code="animated",
    )


def _tiff(data: bytes) -> PictureHeader:
    pages = [page for page in read_directories(data, limit=64) if not page.number(254, 0) & 1]
    if not pages:
        raise damaged("it has no full-resolution page")
    if len(pages) > 1:
        raise PictureError(
            f"it has {len(pages)} pages; save the one to be assessed as a picture of its own",
            code="multi_page",
        )
    page = pages[0]
    _check_tiff_samples(page)
    offsets, counts = (
        (page.numbers(273), page.numbers(279))
        if page.numbers(273)
        else (
            page.numbers(324),
            page.numbers(325),
        )
    )
    if not offsets:
        raise damaged("its page has no picture data")
    if any(offset + count > len(data) for offset, count in zip(offsets, counts, strict=False)):
        raise truncated("the last rows of the picture are missing")
    width, height = page.number(256, 0), page.number(257, 0)
    if 5 <= page.number(274, 1) <= 8:  # OpenCV's TIFF reader turns the picture by itself
        width, height = height, width
    return PictureHeader("TIFF", width, height)


def _check_tiff_samples(page: Directory) -> None:
    bits = max(page.numbers(258), default=1)
    if bits > 8 or page.number(339, 1) != 1:
        raise _bit_depth(bits)
    photometric = page.number(262, 2)
    if photometric == 5:
        raise _cmyk()
    if photometric not in (0, 1, 2, 3, 6):
        raise PictureError(
            f"its TIFF colour space is number {photometric}, expected grey, RGB, palette or YCbCr; "
            "convert it to RGB",
            code="unsupported_format",
        )
    if page.number(277, 1) > (3 if photometric in (2, 6) else 1):
        raise PictureError(
            "this TIFF has an opacity channel, which readers treat differently; flatten it or save a PNG",
            code="alpha",
        )


def _bmp(data: bytes) -> PictureHeader:
    start, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in (4, 5):
        raise PictureError("this BMP wraps a JPEG or PNG; save it as that file", code="unsupported_format")
    height = abs(height)  # negative: rows from top to bottom
    if compression == 0 and len(data) < start + (width * bits + 31) // 32 * 4 * height:
        raise truncated(f"it has {len(data)} bytes, too few for {width} x {height} px of {bits} bits")
    return PictureHeader("BMP", width, height)  # a fourth byte is padding in a BMP


def _netpbm(data: bytes) -> PictureHeader:
    token = rb"(?:\s|#[^\n]*\n)+(\d{1,9})"
    match = re.match(rb"P([2356])" + token * 3 + rb"\s", data)
    if match is None:
        raise truncated("its header ends too early or is garbled")
    kind, width, height, top = (int(group) for group in match.groups())
    if top != 255:
        raise PictureError(
            f"its highest grey level is {top}, expected 255; convert it to 8 bits", code="bit_depth"
        )
    samples = width * height * (3 if kind in (3, 6) else 1)
    if kind in (5, 6) and len(data) - match.end() < samples:
        raise truncated(f"it has {len(data) - match.end()} bytes of pixels, expected {samples}")
    return PictureHeader("PPM", width, height)


def _webp(data: bytes) -> PictureHeader:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise truncated("the RIFF header says it is longer")
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        return PictureHeader("WebP", width, height)
    if kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        return PictureHeader("WebP", width, height, alpha=bool(packed >> 28 & 1))
    if kind != b"VP8X":
        raise damaged(f"its first WebP chunk is {kind!r}")
    flags = data[20]
    width = int.from_bytes(data[24:27], "little") + 1
    height = int.from_bytes(data[27:30], "little") + 1
    orientation, frames, position = 1, 0, 12
    while position + 8 <= len(data):
        length = struct.unpack_from("<I", data, position + 4)[0]
        chunk = data[position : position + 4]
        if chunk == b"ANMF":
            frames += 1
        elif chunk == b"EXIF":
            block = data[position + 8 : position + 8 + length]
            orientation = _exif_orientation(block.removeprefix(b"Exif\x00\x00"))
        position += 8 + length + (length & 1)
    if flags & 0x02:
        raise _animated(frames)
    return PictureHeader("WebP", width, height, orientation=orientation, alpha=bool(flags & 0x10))
