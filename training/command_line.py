"""The options that commands which look at one model share."""

from __future__ import annotations

import argparse
from pathlib import Path


def model_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``--data`` and ``--model`` that shows ``description`` as it is written."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--model", type=Path, help="ONNX model with its contract; default: the embedded one")
    return parser
