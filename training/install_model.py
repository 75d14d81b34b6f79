"""Put a run's exported model into the package, as the one that a Runtime opens by default.

    python -m training.install_model --run runs/NAME

The golden sample stays behind: its 7 MB of inputs are for devices that compile the model, which can take it
from the run. What the embedded model computes is compared with PyTorch by the parity figures in the contract.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import efiqa
from efiqa._files import write_atomically
from efiqa.contract import Contract
from training.export import MODEL_NAME

MODELS = Path(efiqa.__file__).parent / "models"


def install(run: Path, models: Path = MODELS) -> Contract:
    """Copy the model of the run folder ``run`` to ``models`` and return the contract written beside it.

    Raises:
        ContractError: the run has no exported model, or its contract is not of this file.
    """
    source = run / "export" / MODEL_NAME
    exported = Contract.of_model(source)
    data = source.read_bytes()
    exported.check_model(source, hashlib.sha256(data).hexdigest())
    contract = Contract.from_dict(exported.to_dict() | {"golden": None})
    write_atomically(models / MODEL_NAME, data)
    contract.write(models / f"{MODEL_NAME}.json")
    return contract


def main() -> None:
    """Install the model that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of training.run")
    options = parser.parse_args()
    print(f"installed {install(options.run).id} in {MODELS}")


if __name__ == "__main__":
    main()
