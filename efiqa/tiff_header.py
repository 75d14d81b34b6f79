"""Image file directories of TIFF 6.0 section 2, which Exif blocks use as well."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from efiqa.errors import PictureError

# Field type -> struct code; other types (text, rationals) are of no use here. TIFF 6.0, page 15.
_INTEGERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i"}
_MAX_VALUES = 1 << 20  # strips of one page; more can only be nonsense


@dataclass(frozen=True)
class Directory:
    """The integer fields of one page, by tag."""

    fields: dict[int, tuple[int, ...]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all values of ``tag``, none when it is absent."""
        return self.fields.get(tag, ())

    def number(self, tag: int, default: int) -> int:
        """Return the first value of ``tag``, or TIFF's own default for it."""
        values = self.numbers(tag)
        return values[0] if values else default


def read_directories(data: bytes, *, limit: int) -> list[Directory]:
    """Return the first ``limit`` directories of a TIFF stream.

    Raises:
        PictureError: ``damaged``, the chain of directories runs in a circle or out of the data.
        struct.error: the data end within a directory.
    """
    if data[:2] not in (b"II", b"MM"):
        raise PictureError("the file is damaged: it has no TIFF byte order mark", code="damaged")
    order = "<" if data[:2] == b"II" else ">"
    offset = struct.unpack_from(order + "I", data, 4)[0]
    seen: set[int] = set()
    directories: list[Directory] = []
    while offset and len(directories) < limit:
        if offset in seen:
            raise PictureError("the file is damaged: its TIFF pages form a circle", code="damaged")
        seen.add(offset)
        count = struct.unpack_from(order + "H", data, offset)[0]
        fields = {}
        for index in range(count):
            entry = offset + 2 + 12 * index
            tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
            if kind in _INTEGERS and 0 < length <= _MAX_VALUES:
                code = f"{order}{length}{_INTEGERS[kind]}"
                inline = struct.calcsize(code) <= 4
                place = entry + 8 if inline else struct.unpack_from(order + "I", data, entry + 8)[0]
                fields[tag] = struct.unpack_from(code, data, place)
        directories.append(Directory(fields))
        offset = struct.unpack_from(order + "I", data, offset + 2 + 12 * count)[0]
    return directories
