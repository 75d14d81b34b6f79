"""efiqa/_core.pyi says what the compiled module has: every name, parameter, kind and default, both ways."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import efiqa
from efiqa import _core

STUB = ast.parse((Path(efiqa.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
# What pybind11 and CPython put on every module and class, and the stub need not repeat.
INHERITED = set(dir(object)) | {"__doc__", "__module__", "__dict__", "__weakref__"}

# name, kind of parameter, default value (or "required")
Parameter = tuple[str, str, Any]


def stub_names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Return the names that the statements of a module or class define."""
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
    return names


def parameters(arguments: ast.arguments) -> list[Parameter]:
    """Return the parameters without ``self``, in order."""
    found: list[Parameter] = []
    positional = arguments.posonlyargs + arguments.args
    missing = len(positional) - len(arguments.defaults)
    for i, argument in enumerate(positional):
        default = ast.literal_eval(arguments.defaults[i - missing]) if i >= missing else "required"
        found.append((argument.arg, "positional", default))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, "keyword", ast.literal_eval(value) if value is not None else "required"))
    return [parameter for parameter in found if parameter[0] != "self"]


def compiled_parameters(function: Any) -> list[Parameter]:
    """Return the parameters that pybind11 wrote into the first line of the function's docstring."""
    signature = function.__doc__.splitlines()[0]
    definition = ast.parse(f"def {signature}: ...").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return parameters(definition.args)


MODULE = stub_names(STUB.body)
FUNCTIONS = sorted(name for name, node in MODULE.items() if isinstance(node, ast.FunctionDef))
CLASSES = sorted(
    name for name, node in MODULE.items() if isinstance(node, ast.ClassDef) and name != "CoreError"
)


def test_stub_names_are_those_of_the_module() -> None:
    compiled = {name for name in vars(_core) if not name.startswith("__")} | {"__version__"}
    assert set(MODULE) == compiled


@pytest.mark.parametrize("name", FUNCTIONS)
def test_stub_function_has_the_compiled_signature(name: str) -> None:
    node = MODULE[name]
    assert isinstance(node, ast.FunctionDef)
    assert parameters(node.args) == compiled_parameters(getattr(_core, name))


@pytest.mark.parametrize("name", CLASSES)
def test_stub_class_has_the_compiled_members(name: str) -> None:
    node = MODULE[name]
    assert isinstance(node, ast.ClassDef)
    compiled_class = getattr(_core, name)
    members = stub_names(node.body)
    compiled = {name for name in vars(compiled_class) if name not in INHERITED and not name.startswith("_py")}
    assert set(members) - {"__init__"} == compiled
    for member, statement in members.items():
        if isinstance(statement, ast.FunctionDef) and not statement.decorator_list:
            assert parameters(statement.args) == compiled_parameters(getattr(compiled_class, member)), member
        else:
            assert isinstance(inspect.getattr_static(compiled_class, member), property), member


def test_stub_types_of_constants_are_the_compiled_ones() -> None:
    assert isinstance(_core.__version__, str)
    assert isinstance(_core.CONTRACT_VERSION, int)
    assert issubclass(_core.CoreError, RuntimeError)


def test_final_classes_cannot_be_subclassed() -> None:
    for name in CLASSES:
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Derived", (getattr(_core, name),), {})
