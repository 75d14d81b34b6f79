"""Runs the README's example and writes what it prints, and the demonstration's sheet, where they belong.

python -m benchmarks.readme_example           # writes README.md and docs/images/demo.png
python -m benchmarks.readme_example --check   # exit code 1 when README.md is not what would be written
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

import efiqa
from efiqa import demo
from efiqa.overlay import shrink, write_picture

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURE_WIDTH_PX = 1000  # keeps the README's picture below 600 kB
_BLOCK = re.compile(
    r"(<!-- example:begin -->\n```python\n)(?P<code>.*?)"
    r"(```\n\n```text\n)(?P<output>.*?)(```\n<!-- example:end -->)",
    re.DOTALL,
)


def example(readme: str) -> tuple[str, str]:
    """Return the example's code and the output that stands below it.

    Raises:
        ValueError: the markers, or the two blocks of code between them, are not there.
    """
    match = _BLOCK.search(readme)
    if match is None:
        raise ValueError("README.md has no example between <!-- example:begin --> and <!-- example:end -->")
    return match["code"], match["output"]


def output_of(code: str) -> str:
    """Return what ``code`` prints, run in an empty folder."""
    printed = io.StringIO()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        finally:
            os.chdir(before)
    return printed.getvalue()


def rendered(readme: str) -> str:
    """Return the README with the example's real output in it."""
    code, _ = example(readme)
    output = output_of(code)
    return _BLOCK.sub(lambda match: match[1] + code + match[3] + output + match[5], readme)


def write_picture_of_the_demonstration(path: Path) -> None:
    """Write the demonstration's sheet, made with the embedded model, at the README's width."""
    with efiqa.Runtime() as runtime:
        reports = {name: runtime.assess(frame) for name, frame in demo.pictures().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, shrink(demo.sheet(reports), PICTURE_WIDTH_PX))


def main() -> int:
    """Return 0, or 1 when ``--check`` finds an old output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    path = REPOSITORY / "README.md"
    old = path.read_text(encoding="utf-8")
    new = rendered(old)
    if arguments.check:
        print("README.md shows the example's output" if old == new else "README.md shows an old output")
        return int(old != new)
    path.write_text(new, encoding="utf-8")
    write_picture_of_the_demonstration(REPOSITORY / "docs" / "images" / "demo.png")
    print("wrote README.md and docs/images/demo.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
