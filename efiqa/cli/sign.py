"""``efiqa sign``: sign a model's contract, which holds the model's SHA-256."""

from __future__ import annotations

import argparse

from efiqa.cli.passphrase import ask


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "sign",
        help="sign a model",
        description="Sign a model's contract, and with it the model: writes MODEL.json.sig.",
    )
    parser.add_argument("target", metavar="MODEL", help="the model, or its contract MODEL.json")
    parser.add_argument("--key", metavar="FILE", required=True, help="NAME.key of efiqa keygen")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0; whatever goes wrong is raised, and then an older signature stays as it was."""
    from efiqa.signing import sign_model

    signed = sign_model(arguments.target, arguments.key, ask_passphrase=ask)
    print(f"signed {signed.contract_path} by the key {signed.key_id}: {signed.signature_path}")
    return 0
