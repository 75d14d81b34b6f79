"""``efiqa verify``: contract, hashes, golden file, and whether the model computes what its original does."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from efiqa.cli import output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "verify",
        help="check a model against its contract and its golden file",
        description="Check a model's contract, hashes and golden file, and run the parity gate where the "
        "model can run. Exit code 0: nothing failed; 1: something did. What cannot run here is no failure.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help=".onnx or plan; default: the embedded one")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when no check failed, 1 otherwise."""
    from efiqa.runtime import EMBEDDED_MODEL
    from efiqa.verify import verify

    model = arguments.model or EMBEDDED_MODEL
    findings = verify(model)
    failed = [finding.check for finding in findings if finding.state == "failed"]
    if arguments.json:
        for finding in findings:
            print(json.dumps(asdict(finding)))
        return 1 if failed else 0
    output.print_table(("check", "state", "found"), [(f.check, f.state, f.detail) for f in findings])
    waiting = [finding.check for finding in findings if finding.state == "not run"]
    not_run = f"; not run here: {', '.join(waiting)}" if waiting else ""
    print(f"{model}: " + (f"failed: {', '.join(failed)}" if failed else "nothing failed") + not_run)
    return 1 if failed else 0
