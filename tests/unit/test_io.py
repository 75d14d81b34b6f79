import os
import struct
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from efiqa import FileError, PictureError, read_image
from efiqa.io import MAX_SIDE_PX
from tests.helpers import drawn_eye, encoded

EYE = drawn_eye(72, 96)
LOSSLESS = {
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "PPM": {},
    "WEBP": {"lossless": True, "exact": True},
}


@pytest.fixture
def read(tmp_path):
    """Read bytes as a picture file whose name says nothing."""

    def read_bytes(data: bytes):
        path = tmp_path / "picture.dat"
        path.write_bytes(data)
        return read_image(path)

    return read_bytes


def refused(read, data: bytes, code: str, message: str | None = None):
    with pytest.raises(PictureError, match=message) as caught:
        read(data)
    assert caught.value.code == code
    assert "picture.dat: " in str(caught.value)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_read_lossless_rgb_is_exact_and_contiguous(read, kind):
    frame = read(encoded(EYE, kind, **LOSSLESS[kind]))
    assert np.array_equal(frame, EYE)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind in ("PNG", "TIFF", "BMP") for mode in "1LP"] + [("PPM", "L")]
)
def test_read_grey_and_palette_give_three_channels(read, kind, mode):
    picture = Image.fromarray(EYE).convert(mode)
    assert np.array_equal(read(encoded(picture, kind)), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 95, "progressive": True}])
def test_read_jpeg_is_near(read, options):
    smooth = np.asarray(Image.fromarray(EYE).resize((96, 72), Image.Resampling.BOX, box=(30, 20, 60, 50)))
    difference = read(encoded(smooth, "JPEG", subsampling=0, **options)).astype(int) - smooth
    assert np.abs(difference).mean() < 3  # JPEG at quality 95 without subsampling


def test_read_grey_jpeg_gives_three_equal_channels(read):
    frame = read(encoded(Image.fromarray(EYE).convert("L"), "JPEG"))
    assert frame.shape == EYE.shape
    assert (frame[:, :, 0] == frame[:, :, 1]).all()
    assert (frame[:, :, 0] == frame[:, :, 2]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_applies_exif_orientation(read, kind, orientation):
    blocks = np.repeat(np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, 24, 0), 24, 1)
    stored = np.stack([blocks, blocks // 2, blocks // 4], axis=2)
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else LOSSLESS[kind]
    frame = read(encoded(stored, kind, exif=exif, **options))
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    picture = Image.fromarray(stored)
    expected = np.asarray(picture.transpose(transpose[orientation]) if orientation > 1 else picture)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).max() <= 6  # JPEG; the others are exact


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_read_lays_transparency_over_black(read, kind):
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 256, (70, 90, 4), dtype=np.uint8)
    expected = np.rint(rgba[:, :, :3] * (rgba[:, :, 3:] / 255.0))
    difference = read(encoded(rgba, kind, **LOSSLESS[kind])).astype(int) - expected
    assert np.abs(difference).max() <= 1  # half-way cases may round the other way


def test_read_palette_transparency_is_black(read):
    picture = Image.fromarray(np.tile(np.uint8([[0, 1]]), (70, 40))).convert("P")
    picture.putpalette([200, 100, 50, 10, 20, 30])
    frame = read(encoded(picture, "PNG", transparency=0))
    assert not frame[:, ::2].any()
    assert (frame[:, 1::2] == (10, 20, 30)).all()


def test_read_content_decides_not_the_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(EYE, "PNG"))
    assert np.array_equal(read_image(path), EYE)
    assert np.array_equal(read_image(str(path)), EYE)


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", "empty_file", "0 bytes"),
        (b"this is a text named .jpg\n" * 9, "not_a_picture", "none of JPEG, PNG"),
        (bytes(1000), "not_a_picture", "none of JPEG"),
        (b"\xff", "not_a_picture", None),
        (b"\xff\xd8\xff", "truncated", "header ends too early"),
        (b"\x89PNG\r\n\x1a\n", "truncated", "header ends too early"),
        (b"II*\x00", "truncated", "header ends too early"),
        (b"BM", "truncated", "header ends too early"),
        (b"P6 ", "truncated", "header ends too early"),
        (b"RIFF\x00\x00\x00\x00WEBP", "damaged", "first WebP chunk"),
        (encoded(EYE, "GIF"), "unsupported_format", "GIF files are not read; convert it to PNG"),
        (b"P4 8 8 \x00", "unsupported_format", "PBM"),
        (bytes(128) + b"DICM" + bytes(50), "unsupported_format", "DICOM"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(50), "unsupported_format", "HEIC"),
    ],
)
def test_read_other_content_is_named(read, data, code, message):
    refused(read, data, code, message)


@pytest.mark.parametrize("kind", ["JPEG", *LOSSLESS])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_read_truncated_file_is_refused_not_completed(read, capfd, kind, share):
    data = encoded(drawn_eye(200, 300), kind, **LOSSLESS.get(kind, {}))
    with pytest.raises(PictureError) as caught:
        read(data[: int(len(data) * share)])
    assert caught.value.code in {"truncated", "damaged"}
    assert capfd.readouterr().err == "", "what OpenCV prints may not leak"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_read_garbled_middle_is_refused_not_repaired(read, capfd, kind):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = bytearray(encoded(noise, kind, **LOSSLESS.get(kind, {})))
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    refused(read, bytes(data), "damaged")
    assert capfd.readouterr().err == ""


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"P6", b"RIFF\0\0\0\0WEBP", b""]
    ),
)
def test_read_header_any_bytes_give_a_header_or_a_picture_error(data, magic):
    from efiqa.picture_header import PictureHeader, read_header

    try:
        header = read_header(magic + data)
    except PictureError:
        return
    assert isinstance(header, PictureHeader)
    assert header.width_px > 0


def test_read_jpeg_without_pixels_in_colour_inks_is_refused(read):
    refused(read, encoded(Image.fromarray(EYE).convert("CMYK"), "JPEG"), "cmyk", "CMYK inks")
    refused(read, encoded(Image.fromarray(EYE).convert("CMYK"), "TIFF"), "cmyk", "CMYK inks")


def test_read_sixteen_bits_are_refused(read):
    import cv2

    deep = EYE.astype(np.uint16) * 257
    for suffix in (".png", ".tiff", ".ppm"):
        refused(read, cv2.imencode(suffix, deep)[1].tobytes(), "bit_depth", "8 bits")
    floats = cv2.imencode(".tiff", EYE.astype(np.float32))[1].tobytes()
    refused(read, floats, "bit_depth", "32 bits a channel, expected 8")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_read_animation_is_refused(read, kind):
    frames = [Image.fromarray(np.roll(EYE, step, axis=1)) for step in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)
    refused(read, data, "animated", "animation of 3 frames")


def test_read_many_pages_are_refused_but_a_thumbnail_is_no_page(read):
    pages = [Image.fromarray(EYE), Image.fromarray(EYE[::-1])]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    refused(read, data, "multi_page", "2 pages")
    # The second page says of itself that it is a reduced one: NewSubfileType (254) = 1.
    first = struct.unpack_from("<I", data, 4)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0])[0]
    reduced = bytearray(data)
    struct.pack_into("<HHII", reduced, second + 2, 254, 4, 1, 1)  # over its first field, the width
    assert np.array_equal(read(bytes(reduced)), EYE)


def test_read_tiff_whose_pages_form_a_circle_is_damaged(read):
    data = bytearray(encoded(EYE, "TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], first)
    refused(read, bytes(data), "damaged", "circle")


def test_read_tiff_with_opacity_is_refused(read):
    rgba = np.dstack([EYE, np.full(EYE.shape[:2], 90, np.uint8)])
    refused(read, encoded(rgba, "TIFF"), "alpha", "opacity")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_read_huge_picture_is_refused_before_decoding(read, kind):
    side = 16383 if kind == "WEBP" else 20000
    data = _with_size(encoded(EYE, kind), kind, side)
    refused(read, data, "too_large", f"{side} x {side} px, expected at most {MAX_SIDE_PX} a side")


def test_read_real_20000_px_picture_is_refused(read):
    # One bit a pixel keeps the file small; it is 400 million pixels all the same.
    refused(read, encoded(Image.new("1", (20000, 20000)), "PNG"), "too_large", "20000 x 20000")


def _with_size(data: bytes, kind: str, side: int) -> bytes:
    """Return the file with ``side`` x ``side`` written into its header."""
    out = bytearray(data)
    if kind == "JPEG":
        struct.pack_into(">HH", out, out.index(b"\xff\xc0") + 5, side, side)
    elif kind == "PNG":
        struct.pack_into(">II", out, 16, side, side)
    elif kind == "BMP":
        struct.pack_into("<ii", out, 18, side, side)
        struct.pack_into("<I", out, 30, 1)  # claims a compression, so that the length proves nothing
    elif kind == "WEBP":
        struct.pack_into("<HH", out, 26, side, side)
    else:
        start = struct.unpack_from("<I", out, 4)[0]
        for index in range(struct.unpack_from("<H", out, start)[0]):
            entry = start + 2 + 12 * index
            if struct.unpack_from("<H", out, entry)[0] in (256, 257):
                struct.pack_into("<HIHH", out, entry + 2, 3, 1, side, 0)
    return bytes(out)


def test_read_one_pixel_picture_is_read_as_it_is(read):
    assert read(encoded(np.full((1, 1, 3), 7, np.uint8), "PNG")).tolist() == [[[7, 7, 7]]]


def test_read_missing_folder_device_and_nul_are_named(tmp_path):
    for path, code in (
        (tmp_path / "none.png", "not_found"),
        (tmp_path, "not_a_file"),
        ("/dev/null", "not_a_file"),
        ("a\0b.png", "file_unreadable"),
        (tmp_path / ("x" * 5000), "file_unreadable"),
    ):
        with pytest.raises(FileError) as caught:
            read_image(path)
        assert caught.value.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_read_forbidden_file_is_unreadable(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(EYE, "PNG"))
    path.chmod(0)
    with pytest.raises(FileError, match="Permission denied") as caught:
        read_image(path)
    assert caught.value.code == "file_unreadable"


def test_read_file_that_fails_while_read_is_unreadable(tmp_path, monkeypatch):
    path = tmp_path / "bad-disk.png"
    path.write_bytes(encoded(EYE, "PNG"))
    monkeypatch.setattr("pathlib.Path.read_bytes", _bad_disk)
    with pytest.raises(FileError, match="Input/output error") as caught:
        read_image(path)
    assert caught.value.code == "file_unreadable"


def _bad_disk(*_arguments):
    raise OSError(5, "Input/output error")


def test_read_from_several_threads_keeps_their_standard_error(tmp_path, capfd):
    data = encoded(drawn_eye(300, 400), "JPEG")
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "garbled.jpg").write_bytes(data[:2000] + bytes(500) + data[2500:])
    outcomes = []

    def work(name: str) -> None:
        for _ in range(10):
            try:
                read_image(tmp_path / name)
                outcomes.append((name, ""))
            except PictureError as error:
                outcomes.append((name, error.code))
            os.write(2, b"a line of the program\n")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("whole.jpg", "garbled.jpg")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {("whole.jpg", ""), ("garbled.jpg", "damaged")}
    assert capfd.readouterr().err == "a line of the program\n" * 20
