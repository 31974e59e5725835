"""Calls of the program, in another process or in this one."""

import subprocess
import sys

import pytest

from tftransfer.cli import main as main_module


@pytest.fixture
def call():
    """`call(*arguments)` runs the program in a new process."""

    def run(*arguments, **options):
        command = [sys.executable, "-m", "tftransfer", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    return run


@pytest.fixture
def run_python():
    """`run_python(program)` runs lines of Python in a new process."""

    def run(program):
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    return run


@pytest.fixture
def run_main(capsys):
    """`run_main(*words)` runs a command line here; returns the exit code and the printed lines."""

    def run(*words):
        code = main_module.main(words)
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run
