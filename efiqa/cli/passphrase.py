"""Asking for a passphrase on the terminal, without showing it."""

from __future__ import annotations

import getpass
import warnings

from efiqa.errors import OptionError


def ask(prompt: str = "passphrase of the private key: ") -> bytes:
    """Return what is typed, as UTF-8.

    Raises:
        OptionError: there is no terminal on which it could stay unseen.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown
            return getpass.getpass(prompt).encode("utf-8")
    except (getpass.GetPassWarning, EOFError, OSError):
        raise OptionError(
            "the passphrase can only be typed on a terminal, and there is none; run the command on one, or "
            "use a key without a passphrase"
        ) from None


def ask_twice() -> bytes:
    """Return what is typed twice alike.

    Raises:
        OptionError: the two differ.
    """
    first = ask("passphrase for the new private key: ")
    if first != ask("the same again: "):
        raise OptionError("the two passphrases differ; nothing was written")
    return first
