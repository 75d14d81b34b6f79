"""Programs outside the tree, in C99 and C++17, that find the installed library as firmware would."""

import os
import subprocess
import textwrap

import pytest

from tests.capi.conftest import HEADER, pkg_config
from tests.helpers import REPOSITORY

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
LANGUAGES = {"c": ("C", "cc", "-std=c99"), "cpp": ("CXX", "c++", "-std=c++17")}


def header_example():
    """The example at the head of efiqa.h as a program, its frame a drawn disc."""
    comment = HEADER.read_text(encoding="utf-8").split(" * Rules for all of it")[0]
    lines = [line[5:] for line in comment.splitlines() if line.startswith(" *   ")]
    text = "\n".join(lines)
    assert text.startswith("#include <efiqa/efiqa.h>")
    assert text.rstrip().endswith("}")
    disc = """
    static unsigned char pixels[1080 * 1920 * 3];
    static void draw(void) {
      for (int y = 0; y < 1080; ++y)
        for (int x = 0; x < 1920; ++x)
          if ((x - 960) * (x - 960) + (y - 540) * (y - 540) < 480 * 480) {
            pixels[3 * (y * 1920 + x)] = (unsigned char)(120 + x / 32);
            pixels[3 * (y * 1920 + x) + 1] = (unsigned char)(60 + x / 64);
          }
    }
    int main(void) {
      draw();
    """
    assert text.count("int main(void) {") == 1
    return text.replace("int main(void) {", textwrap.dedent(disc))


def run(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=sorted(LANGUAGES))
def project(request, tmp_path):
    """A folder with main.c or main.cpp, and its language."""
    (tmp_path / f"main.{request.param}").write_text(header_example())
    return tmp_path, request.param


def expect_answer(program):
    clean = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    assert run([program], env=clean, cwd="/") == "unknown, score nan\n"  # a plain disc is no fundus


def test_pkg_config_project_builds_and_runs(prefix, project):
    folder, suffix = project
    _, compiler, standard = LANGUAGES[suffix]
    flags = pkg_config(prefix.libdir, "--cflags", "--libs")
    rpath = f"-Wl,-rpath,{prefix.libdir}"
    program = folder / "main"
    run([compiler, standard, *STRICT, folder / f"main.{suffix}", "-o", program, *flags, rpath])
    expect_answer(program)


def test_pkg_config_knows_the_version(prefix):
    from efiqa import __version__

    assert pkg_config(prefix.libdir, "--modversion") == [__version__]


def test_cmake_project_builds_and_runs(prefix, project):
    folder, suffix = project
    language, _, standard = LANGUAGES[suffix]
    (folder / "CMakeLists.txt").write_text(
        f"""
        cmake_minimum_required(VERSION 3.24)
        project(consumer LANGUAGES {language})
        find_package(efiqa 0.1 REQUIRED)
        add_executable(main main.{suffix})
        target_compile_options(main PRIVATE {standard} {" ".join(STRICT)})
        target_link_libraries(main PRIVATE efiqa::efiqa)
        """
    )
    binary = folder / "build"
    run(["cmake", "-S", folder, "-B", binary, f"-DCMAKE_PREFIX_PATH={prefix.folder}"])
    run(["cmake", "--build", binary])
    expect_answer(binary / "main")


def test_only_one_header_is_installed(prefix):
    headers = [path for path in prefix.folder.rglob("*") if path.suffix in {".h", ".hpp"}]
    assert [path.relative_to(prefix.folder).as_posix() for path in headers] == ["include/efiqa/efiqa.h"]


def test_prefix_can_be_moved(prefix, project, tmp_path_factory):
    folder, suffix = project
    moved = tmp_path_factory.mktemp("elsewhere") / "efiqa"
    run(["cp", "-a", prefix.folder, moved])
    libdir = moved / prefix.libdir.relative_to(prefix.folder)
    flags = pkg_config(libdir, "--cflags", "--libs")
    assert not [flag for flag in flags if str(prefix.folder) in flag]
    _, compiler, standard = LANGUAGES[suffix]
    rpath = f"-Wl,-rpath,{libdir}"
    run([compiler, standard, folder / f"main.{suffix}", "-o", folder / "main", *flags, rpath])
    expect_answer(folder / "main")


def test_firmware_guide_example_prints_what_the_guide_says(prefix, retina, tmp_path):
    guide = (REPOSITORY / "docs" / "firmware.md").read_text(encoding="utf-8")
    marked = guide.split("<!-- example:begin -->")[1].split("<!-- example:end -->")[0]
    code, output = (marked.split(f"```{kind}\n")[1].split("```")[0] for kind in ("c", "text"))
    (tmp_path / "main.c").write_text(code)
    flags = pkg_config(prefix.libdir, "--cflags", "--libs")
    rpath = f"-Wl,-rpath,{prefix.libdir}"
    run(["cc", "-std=c99", *STRICT, tmp_path / "main.c", "-o", tmp_path / "main", *flags, rpath])
    done = subprocess.run([tmp_path / "main"], input=retina.tobytes(), capture_output=True, check=True)
    assert done.stdout.decode().rstrip() == output.rstrip()
    done = subprocess.run([tmp_path / "main"], input=b"short", capture_output=True, check=True)
    assert done.stdout.decode().startswith("unknown, score nan frame.data_size_bytes is 5, too small for ")
