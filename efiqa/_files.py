"""Writing files so that a reader never sees a half-written one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from efiqa.errors import FileError


class AtomicFile:
    """A new file that appears under its name only when the block ends well, or on ``commit()``.

    The bytes go to a temporary file in the same folder, which is then renamed over ``path``. When the block
    raises, the temporary file is removed and whatever stood at ``path`` stays as it was.

    Raises:
        FileError: code ``file_unwritable``; the folder is missing or read-only, ``path`` is a folder, or the
            disk is full.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise FileError(f"{self.path} is a folder, expected the name of a file", code="file_unwritable")
        self._temporary = self.path.with_name(f".{self.path.name[:80]}.{secrets.token_hex(4)}.tmp")
        try:
            self._stream = self._temporary.open("xb")
        except OSError as error:
            raise unwritable(self.path, error) from None
        self._done = False

    def write(self, data: bytes) -> None:
        """Append ``data`` and hand it to the operating system."""
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise unwritable(self.path, error) from None

    def commit(self) -> None:
        """Give the file its name; what was written so far is its whole content."""
        try:
            self._stream.close()
            self._temporary.replace(self.path)
        except OSError as error:
            raise unwritable(self.path, error) from None
        self._done = True

    def discard(self) -> None:
        """Remove the temporary file unless it was committed."""
        if not self._done:
            with contextlib.suppress(OSError):
                self._stream.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` as the whole content of ``path``, or leave ``path`` untouched and raise FileError."""
    with AtomicFile(path) as stream:
        stream.write(data)


def unwritable(path: Path, error: OSError) -> FileError:
    """Return the named error for a failed write to ``path``."""
    return FileError(f"{path} cannot be written: {error.strerror or error}", code="file_unwritable")
