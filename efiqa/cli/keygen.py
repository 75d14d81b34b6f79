"""``efiqa keygen``: a pair of keys with which models are signed."""

from __future__ import annotations

import argparse

from efiqa.cli.passphrase import ask_twice


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "keygen",
        help="make a pair of keys for signing models",
        description="Make a pair of Ed25519 keys: NAME.key, which is secret (mode 0600), and NAME.pub.",
    )
    parser.add_argument("-o", "--out", metavar="NAME", required=True, help="writes NAME.key and NAME.pub")
    parser.add_argument(
        "--passphrase", action="store_true", help="ask for a passphrase, and encrypt the private key with it"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0; whatever goes wrong is raised, and then there is no private key."""
    from efiqa.signing import make_key_pair

    pair = make_key_pair(arguments.out, passphrase=ask_twice() if arguments.passphrase else None)
    print(f"private key  {pair.private_path}  keep it secret: who has it can sign models")
    print(f"public key   {pair.public_path}  for trusted_keys; as bytes: {pair.public_key.hex()}")
    print(f"key id       {pair.key_id}")
    return 0
