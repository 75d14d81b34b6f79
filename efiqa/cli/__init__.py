"""The command ``efiqa``: one small module per sub-command, and one place where errors become exit codes.

Exit codes: 0 all done; 1 something could not be done; 2 usage; 130 interrupted; 141 nobody reads the output.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence

from efiqa.cli import assess, build, calibrate, demo, doctor, export, info, keygen, sign, verify
from efiqa.errors import EfiqaError, OptionError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of standard output; files have a FileError
_REPORT_HINT = (
    "this is a defect of efiqa: please report it with this line and the command; "
    "EFIQA_TRACEBACK=1 shows where it happened"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="efiqa",
        description="Score retinal photographs: how much of the anatomy can be seen, and where not.",
    )
    version = importlib.metadata.version("efiqa")
    parser.add_argument("--version", action="version", version=f"efiqa {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for module in (assess, info, verify, calibrate, export, build, keygen, sign, demo, doctor):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``efiqa`` with arguments ``argv``; never raises, never shows a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    name = "efiqa"
    try:
        arguments = build_parser().parse_args(argv)
        name = f"efiqa {arguments.command}"
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as request:  # argparse: 0 after --help and --version, 2 for usage
        return request.code if isinstance(request.code, int) else EXIT_FAILED
    except EfiqaError as error:
        print(f"{name}: error: {error} [{error.code}]", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except ImportError as error:
        print(f"{name}: error: {error}; `efiqa doctor` says what mends it [import]", file=sys.stderr)
        return EXIT_FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            print(
                f"{name}: error: the output cannot be written: {error.strerror} [file_unwritable]",
                file=sys.stderr,
            )
            _silence_stdout()
            return EXIT_FAILED
        if os.environ.get("EFIQA_TRACEBACK"):
            raise
        print(f"{name}: {type(error).__name__}: {error}; {_REPORT_HINT} [internal]", file=sys.stderr)
        return EXIT_FAILED


def _silence_stdout() -> None:
    """Keep the interpreter from complaining when it flushes a pipe that nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
