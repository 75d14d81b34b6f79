"""``efiqa export`` where its extra is not installed, and its usage errors."""

import sys

import pytest

from efiqa.cli import main

NEEDED = ["--backbone", "vit_small_patch16_dinov3", "--size", "224", "-o", "model.onnx"]


def test_cli_export_without_the_extra_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("efiqa.export")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["export", *NEEDED, "--random-weights"]) == 1
    shown = capsys.readouterr().err
    assert "export needs the extra [train], which is not installed" in shown
    assert "pip install 'efiqa[train]'" in shown
    assert shown.rstrip().endswith("[export_unavailable]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*NEEDED, "--precision", "fp8"], "invalid choice: 'fp8'"),
        ([*NEEDED, "--weights", "a.safetensors", "--random-weights"], "not allowed with argument"),
        (NEEDED[2:], "required: --backbone"),
        (["--size", "big", *NEEDED[:2]], "invalid int value: 'big'"),
    ],
)
def test_cli_export_usage_errors_exit_with_2(arguments, message, capsys):
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_cli_export_help_needs_no_torch(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["export", "--help"]) == 0
    assert "--random-weights" in capsys.readouterr().out
