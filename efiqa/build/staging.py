"""A plan, its golden file and its contract are made in a hidden folder beside the output and then renamed.

The contract comes last. A build that is killed before leaves a plan without a contract, or with one of
another hash, and neither is opened.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from efiqa import _core
from efiqa._files import unwritable
from efiqa.contract import Contract
from efiqa.golden import golden_path


class Staging:
    """The files of one ``output`` until ``publish``."""

    def __init__(self, output: Path, folder: Path) -> None:
        self._output = output
        self.plan = folder / output.name

    def take(self, plan: memoryview | Path) -> None:
        """Write the plan: TensorRT's buffer, or a copy of a file."""
        try:
            if isinstance(plan, Path):
                shutil.copyfile(plan, self.plan)
            else:
                self.plan.write_bytes(plan)
        except OSError as error:
            raise unwritable(self._output, error) from None

    def publish(self, contract: Contract) -> None:
        """Give all three files their names."""
        try:
            golden_path(self.plan).replace(golden_path(self._output))
            self.plan.replace(self._output)
        except OSError as error:
            raise unwritable(self._output, error) from None
        contract.write(_core.contract_path(str(self._output)))


@contextmanager
def staging(output: Path) -> Iterator[Staging]:
    """Yield the staging of ``output``; what was not published is removed, whatever happens.

    Raises:
        FileError: the folder of ``output`` cannot be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent)
    except OSError as error:
        raise unwritable(output, error) from None
    with folder:
        yield Staging(output, Path(folder.name))
