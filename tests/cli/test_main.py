"""Exit codes, and what is printed for errors of users, of the system and of the package."""

import errno
import os
import subprocess
import sys

import pytest

from tftransfer.cli import errors, main
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError


def raise_in_run(monkeypatch, error):
    def run(words):
        raise error

    monkeypatch.setattr(main, "_run", run)


@pytest.mark.parametrize(
    "arguments, what, remedy",
    [
        (["trian"], "no command named 'trian'", "Did you mean train"),
        (["train", "--bakbone=x"], "no flag of tftransfer train named '--bakbone'", "--backbone"),
        (["train", "--batch_size=many"], "--batch_size=many is not", "Give a whole number"),
        (["train", "photos"], "takes no argument 'photos'", "--NAME=VALUE"),
        (["train", "--config=none.py"], "--config=none.py does not exist", "list configs"),
        (["train", "--config=flowrs"], "no config named 'flowrs'", "Did you mean flowers"),
        (["train", "--config.recipe.epocs=2"], "named 'epocs'", "Did you mean epochs"),
        (["train", "--recipe=fine_tun", "--config.seed=2"], "recipe named 'fine_tun'", "fine_tune"),
        (["train", "--data=x"], "--workdir is missing", "tftransfer train --data=photos"),
        (["train", "--workdir=x"], "--data is missing", "tftransfer train --data=photos"),
        (["list", "recipe"], "no topic named 'recipe'", "Did you mean recipes"),
        (["init", "a", "b"], "More than one folder", "tftransfer init FOLDER"),
        (["train", "--register=none.py"], "none.py does not exist", "configs/squeezenet.py"),
    ],
)
def test_main_mistake_gets_two_lines_and_code_2(run_main, arguments, what, remedy):
    code, _, lines = run_main(*arguments)
    assert code == 2 and len(lines) == 2
    assert what in lines[0] and remedy in lines[1]


@pytest.mark.slow
def test_main_error_inside_a_command_is_two_lines(call, digits, tmp_path):
    done = call("train", f"--data={digits / 'targt'}", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"tftransfer: --data={digits / 'targt'} does not exist.",
        "Did you mean target?",
    ]


def test_main_without_arguments_prints_help_and_code_2(run_main):
    code, lines, _ = run_main()
    assert code == 2 and lines[0].startswith("tftransfer: ")


def test_main_interrupt_has_code_130(monkeypatch, run_main):
    raise_in_run(monkeypatch, KeyboardInterrupt())
    code, _, lines = run_main("train")
    assert code == 130
    assert lines == ["tftransfer: interrupted", "Rerun the same command to start again."]


def test_main_stopped_run_has_code_75_and_can_be_resumed(monkeypatch, run_main):
    raise_in_run(monkeypatch, signals.Stopped("stopped by SIGTERM"))
    code, _, lines = run_main("train")
    assert code == 75
    assert lines == ["tftransfer: stopped by SIGTERM", "Rerun the same command to resume."]


@pytest.mark.parametrize(
    "number, remedy",
    [
        (
            errno.ENOSPC,
            "Free disk space or fix the permissions, then rerun the same command to resume.",
        ),
        (errno.EACCES, "Fix the permissions or give another path, then rerun the same command."),
        (errno.ENOENT, "Check the path."),
        (errno.EROFS, "Give a path on a file system that can be written to."),
        (errno.EMFILE, "Raise the limit on open files (ulimit -n), then rerun the same command."),
    ],
)
def test_main_system_error_has_a_remedy_by_its_number(monkeypatch, run_main, number, remedy):
    raise_in_run(monkeypatch, OSError(number, os.strerror(number), "/data/a.jpg"))
    code, _, lines = run_main("train")
    assert code == 2
    assert lines == [f"tftransfer: /data/a.jpg: {os.strerror(number)}.", remedy]


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        ValueError("a shape"),
        OSError("no number"),
        OSError(errno.EINVAL, "Invalid argument"),
        FileNotFoundError(errno.ENOENT, "No such file", errors.__file__),
    ],
)
def test_main_bug_prints_its_traceback_and_code_1(monkeypatch, run_main, error):
    raise_in_run(monkeypatch, error)
    code, _, lines = run_main("train")
    assert code == 1
    assert lines[0].startswith("Traceback") and str(error) in "\n".join(lines)
    assert lines[-1] == "tftransfer: this is a bug. Please report it with the lines above."


def test_main_user_error_names_are_printed_on_one_line(monkeypatch, run_main):
    raise_in_run(monkeypatch, UserError("a\nb.jpg is damaged.", "Copy it again."))
    assert run_main("train")[2] == ["tftransfer: a\\nb.jpg is damaged.", "Copy it again."]


@pytest.mark.parametrize("arguments", [["list", "losses"], ["train", "--help"], ["version"]])
def test_main_closed_pipe_ends_quietly(arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "tftransfer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in (0, 141)


def test_main_terminal_without_unicode_gets_escapes(call):
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = call("inspect", "--backbone=small_cnn", "--weights=none", env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert "16\\xd716\\xd716" in done.stdout


def test_verbosity_is_a_flag_of_every_command(run_main):
    code, _, lines = run_main("version", "--verbosity=loud")
    assert code == 2
    assert lines == [
        "tftransfer: --verbosity=loud is not a valid value.",
        "Give debug, info, warning or error.",
    ]
