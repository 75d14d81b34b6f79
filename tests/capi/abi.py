"""The ABI of efiqa.h as text: structs with sizes and offsets, codes, functions.

``python -m tests.capi.abi --write`` compares nothing and writes tests/capi/abi.txt anew, for a change that
is meant: fields appended, codes or functions added. Everything else breaks programs in the field, and needs
a new EFIQA_ABI_VERSION.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.capi.conftest import HEADER

SNAPSHOT = Path(__file__).with_name("abi.txt")
_STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\} \1;", re.DOTALL)
_ENUM = re.compile(r"enum \{(.*?)\};", re.DOTALL)
_FUNCTION = re.compile(r"EFIQA_API ([^;]+);")


def _code(header: str) -> str:
    """Return the header without comments and preprocessor lines."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.DOTALL)
    text = re.sub(r"^#(?:.*\\\n)*.*\n", "", text, flags=re.MULTILINE)
    return text.replace('extern "C" {', "")


def structs(header: str) -> dict[str, list[str]]:
    """Return the fields of each struct, in order."""
    found = {}
    for name, body in _STRUCT.findall(_code(header)):
        declarations = [part.strip() for part in body.split(";") if part.strip()]
        found[name] = [
            re.search(r"(\w+)(?:\[\w+\])?$", field.strip())[1]  # type: ignore[index]
            for declaration in declarations
            for field in declaration.split(",")
        ]
    return found


def codes(header: str) -> list[str]:
    """Return the names of all enumerators, in order."""
    return [name for body in _ENUM.findall(_code(header)) for name in re.findall(r"(\w+) = ", body)]


def functions(header: str) -> dict[str, str]:
    """Return each function's declaration, white space made single."""
    found = {}
    for text in _FUNCTION.findall(_code(header)):
        declaration = " ".join(text.split())
        found[re.search(r"(\w+)\(", declaration)[1]] = declaration  # type: ignore[index]
    return found


def describe(header: str, cc: str = "cc") -> str:
    """Return the ABI's text: a C program made from the header prints what the compiler makes of it."""
    lines = ["#include <stddef.h>", "#include <stdio.h>", '#include "efiqa.h"', "int main(void) {"]
    for name, fields in structs(header).items():
        lines.append(f'  printf("struct {name}: %zu bytes\\n", sizeof({name}));')
        lines += [
            f'  printf("  {field} at %zu, %zu bytes\\n", offsetof({name}, {field}), '
            f"sizeof((({name} *)0)->{field}));"
            for field in fields
        ]
    names = ["EFIQA_ABI_VERSION", *codes(header)]
    lines += [f'  printf("{name} = %d\\n", (int){name});' for name in names]
    lines += ["  return 0;", "}"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "efiqa.h").write_text(header, encoding="utf-8")
        Path(folder, "abi.c").write_text("\n".join(lines), encoding="utf-8")
        program = Path(folder, "abi")
        subprocess.run([cc, "-std=c99", "-Werror", "-o", program, Path(folder, "abi.c")], check=True)
        layout = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return layout + "".join(f"{text}\n" for _, text in sorted(functions(header).items()))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    SNAPSHOT.write_text(describe(HEADER.read_text(encoding="utf-8")), encoding="utf-8")
