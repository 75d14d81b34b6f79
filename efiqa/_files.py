"""Writing files so that a reader never sees a half-written one, and the named errors of both directions."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from efiqa.errors import EfiqaError, FileError


class AtomicFile:
    """A new file that appears under its name only when the block ends well, or on ``commit()``.

    The bytes go to a temporary file in the same folder, which is then renamed over ``path``. When the block
    raises, the temporary file is removed and whatever stood at ``path`` stays as it was. A process that is
    killed leaves at most the temporary file, ``.NAME.xxxxxxxx.tmp``, which nothing reads.

    Args:
        path: the name that the file gets in the end.
        mode: its permissions, from the first byte on, less what the umask takes away.
        replace: with False the file must be new: one that is there already is an error, and the bytes are
            on the disk before the name is. For keys, which cannot be made again.

    Raises:
        FileError: code ``file_unwritable``; the folder is missing or read-only, ``path`` is a folder, or the
            disk is full. Code ``file_exists``: see ``replace``.
    """

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o666, replace: bool = True) -> None:
        self.path = Path(path)
        self._replace = replace
        if self.path.is_dir():
            raise FileError(f"{self.path} is a folder, expected the name of a file", code="file_unwritable")
        if not replace and os.path.lexists(self.path):
            raise _exists(self.path)
        self._temporary = self.path.with_name(f".{self.path.name[:80]}.{secrets.token_hex(4)}.tmp")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._stream = os.fdopen(os.open(self._temporary, flags, mode), "wb")
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
            if self._replace:
                self._stream.close()
                self._temporary.replace(self.path)
            else:
                os.fsync(self._stream.fileno())
                self._stream.close()
                self.path.hardlink_to(self._temporary)  # unlike a rename, refuses to replace
                self._temporary.unlink()
        except FileExistsError:
            raise _exists(self.path) from None
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


@contextlib.contextmanager
def reading(
    subject: object, *, kind: type[EfiqaError] = FileError, code: str = "", fix: str = ""
) -> Iterator[None]:
    """Turn the OSError of a read inside the block into ``kind``: ``SUBJECT cannot be read: REASON``.

    ``code`` is the error's, by default that of its kind; ``fix`` ends the message.
    """
    try:
        yield
    except OSError as error:
        reason = f"{subject} cannot be read: {error.strerror or error}"
        raise kind(f"{reason}; {fix}" if fix else reason, code=code) from None


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it.

    Raises:
        FileError: code ``file_unwritable``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{folder} cannot be made: {reason}", code="file_unwritable") from None


def unwritable(path: Path, error: OSError) -> FileError:
    """Return the named error for a failed write to ``path``."""
    return FileError(f"{path} cannot be written: {error.strerror or error}", code="file_unwritable")


def _exists(path: Path) -> FileError:
    return FileError(f"{path} exists already, and is not replaced; choose another name", code="file_exists")
