"""libefiqa.so as a file: what it exports, what our objects call, and that its ABI is the committed one."""

import re
import subprocess

import pytest

from tests.capi import abi
from tests.capi.conftest import HEADER, required

# Anything that ends the process or prints. std::terminate is not among them: the destructor of std::thread,
# which the compiler places in parallel.cpp, names it for threads that nobody joined.
FORBIDDEN = re.compile(
    r"^(_?_?(abort|exit|_exit|_Exit|quick_exit|raise|kill|system|popen|fork|execve?)"
    r"|_?_?(v?f?printf|v?dprintf)(_chk)?|puts|putchar|putc|fputs|fputc|fwrite|perror|syslog|write|writev"
    r"|__assert_fail|_ZSt21__glibcxx_assert_fail\w*|stdout|stderr"
    r"|_ZSt4cout|_ZSt4cerr|_ZSt4clog|socket|connect|getaddrinfo)(@.*)?$"
)


def names(*arguments):
    done = subprocess.run(["nm", *map(str, arguments)], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in done.stdout.splitlines() if re.match(r"^[0-9a-f ]+ [A-Za-z] ", line)]


def our_objects(build):
    objects = [required(build / "libefiqa_core.a")]
    objects += sorted((build / "CMakeFiles" / "efiqa_capi.dir").rglob("*.o"))
    assert len(objects) >= 4, objects
    return objects


def test_library_exports_exactly_the_functions_of_the_header(library):
    exported = names("-D", "--defined-only", library)
    assert sorted(exported) == sorted(abi.functions(HEADER.read_text(encoding="utf-8")))


def test_library_has_a_soname_with_the_abi_version(library):
    done = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True)
    assert "Library soname: [libefiqa.so.1]" in done.stdout
    assert library.resolve().name.startswith("libefiqa.so.1.")


def test_our_objects_never_end_the_process_or_print(build):
    imported = {(path.name, name) for path in our_objects(build) for name in names("-u", path)}
    assert len(imported) > 100  # nm has seen them
    assert {pair for pair in imported if FORBIDDEN.match(pair[1])} == set()


@pytest.mark.parametrize(
    "call", ['printf("%d", n)', 'fputs("x", stderr)', "abort()", "exit((int)n)", "write(2, 0, 1)"]
)
def test_forbidden_calls_would_be_seen(tmp_path, call):
    source = tmp_path / "bad.c"
    includes = "".join(f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "unistd"))
    source.write_text(f"{includes}long n;\nvoid f(void) {{ {call}; }}\n")
    subprocess.run(["cc", "-O2", "-w", "-c", "-o", tmp_path / "bad.o", source], check=True)
    assert any(FORBIDDEN.match(name) for name in names("-u", tmp_path / "bad.o"))


def test_abi_is_the_committed_one():
    described = abi.describe(HEADER.read_text(encoding="utf-8"))
    assert described == abi.SNAPSHOT.read_text(encoding="utf-8"), (
        "the ABI of efiqa.h changed; if that is meant, see the first lines of tests/capi/abi.py"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"int32_t backend;", "int64_t backend;"),
        (r"EFIQA_STATUS_DEADLINE = 10", "EFIQA_STATUS_DEADLINE = 13"),
        (r"int32_t reason;", "int32_t before, reason;"),
        (r"efiqa_shape_name\(int32_t", "efiqa_shape_name(int64_t"),
    ],
)
def test_abi_description_sees_each_kind_of_break(old, new):
    header = HEADER.read_text(encoding="utf-8")
    broken, count = re.subn(old, new, header)
    assert count == 1
    assert abi.describe(broken) != abi.describe(header)


def test_every_struct_begins_with_its_size():
    structs = abi.structs(HEADER.read_text(encoding="utf-8"))
    assert set(structs) == {
        "efiqa_options", "efiqa_frame", "efiqa_report", "efiqa_region", "efiqa_info", "efiqa_overlay",
        "efiqa_gate_params", "efiqa_decision",
    }  # fmt: skip
    assert {fields[0] for fields in structs.values()} == {"struct_size"}
