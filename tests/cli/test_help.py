"""Help is quick, imports nothing heavy, and has a description for every flag."""

import re
import resource
import subprocess
import sys
from dataclasses import fields

import pytest

from tftransfer.cli import flags as cli_flags
from tftransfer.cli import help as help_module
from tftransfer.cli.commands import COMMANDS
from tftransfer.cli.docstrings import documentation_of, parse_docstring
from tftransfer.cli.flags import FLAGS, GROUPS
from tftransfer.core.experiment import Experiment
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES


def cpu_seconds_of(arguments):
    """Seconds of processor time of a command, which other processes hardly change."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tftransfer", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.mark.parametrize(
    "arguments, code",
    [(["--help"], 0), (["train", "--help"], 0), (["train", "--bakbone=x"], 2), (["trian"], 2)],
)
def test_help_and_misspelled_words_are_quick(arguments, code):
    times, runs = zip(*(cpu_seconds_of(arguments) for _ in range(3)))
    assert {done.returncode for done in runs} == {code}
    assert min(times) < 0.3


def test_help_and_mistakes_import_no_tensorflow(run_python):
    done = run_python(
        "import sys\nfrom tftransfer.cli.main import main\nmain(['train', '--help'])\n"
        "main(['train', '--dta=1'])\nmain(['train', '--config.recipe.epocs=1'])\n"
        "main(['train', '--learning_rate=1'])\nmain(['list', 'configs'])\nmain(['version'])\n"
        "heavy = {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\nassert not heavy, heavy"
    )
    assert done.returncode == 0, done.stderr


def test_import_of_the_package_is_quick_and_light(run_python):
    program = (
        "import sys, time\nt = time.process_time()\nimport tftransfer\n"
        "print(time.process_time() - t)\nassert 'tensorflow' not in sys.modules"
    )
    times = []
    for _ in range(3):
        done = run_python(program)
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 0.1


def test_overview_has_every_command_on_one_line(monkeypatch, run_main):
    monkeypatch.setenv("COLUMNS", "100")
    code, lines, _ = run_main("--help")
    assert code == 0
    for name, command in COMMANDS.items():
        assert f"  {name:<10}{command.summary}" in lines


@pytest.mark.parametrize("words", [("train", "--help"), ("help", "train"), ("train", "-h")])
def test_help_of_a_command_can_be_requested_in_several_ways(run_main, words):
    assert run_main(*words)[1][0] == f"{COMMANDS['train'].summary}."


def test_help_of_train_has_every_field_of_an_experiment(run_main):
    _, lines, _ = run_main("train", "--help")
    for field in fields(Experiment):
        assert any(re.match(rf"  --{field.name}\b", line) for line in lines)


def test_help_lists_groups_and_needed_flags_first(run_main):
    _, lines, _ = run_main("train", "--help")
    headings = [line for line in lines if re.fullmatch(r"[A-Z]\w+:", line)]
    assert headings == ["Examples:", *(f"{group.capitalize()}:" for group in GROUPS)]
    for group, first in (("Data", "data"), ("Run", "workdir"), ("Backbone", "backbone")):
        assert lines[lines.index(f"{group}:") + 1].startswith(f"  --{first}=")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_has_no_python_and_no_markup(run_main, name):
    code, lines, _ = run_main(name, "--help")
    text = "\n".join(lines)
    assert code == 0
    assert not re.search(r"`|\bNone\b|\bTrue\b|\bFalse\b|\bIn Python\b|Experiment\.|tf\.data", text)
    for flag in COMMANDS[name].all_flags:
        assert re.search(r"^[A-Z\w].*[.)]$", COMMANDS[name].describe(flag)), flag.name


def test_help_sizes_are_in_words(run_main):
    text = "\n".join(run_main("train", "--help")[1])
    assert "(default: 20 GiB)" in text and str(DEFAULT_CACHE_BYTES) not in text


def test_flag_defaults_are_those_of_the_functions():
    assert cli_flags.DEFAULT_CACHE_BYTES == DEFAULT_CACHE_BYTES
    assert FLAGS["batch_size"].default == Experiment().batch_size


@pytest.mark.parametrize("columns", [40, 71, 72, 100, 300])
@pytest.mark.parametrize("name", ["train", "list"])
def test_help_fits_the_width_of_the_terminal(monkeypatch, run_main, columns, name):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, lines, _ = run_main(name, "--help")
    examples = {f"  {example}" for example in COMMANDS[name].examples}
    widest = max(len(line) for line in lines if line not in examples)
    assert widest <= min(columns, 100)
    beside = any(re.match(r"  --register=FILE +\w", line) for line in lines)
    assert beside == (columns >= 72)


def test_row_long_name_is_on_a_separate_line():
    assert help_module.row("--long_name=VALUE", "Text.", 10, 80) == [
        "  --long_name=VALUE",
        "          Text.",
    ]


DOCSTRING = """Trains a network.

    More about it.

    Args:
      data: A folder, such as `photos`. In Python also
        a `tf.data.Dataset` or an array. Nothing else.
      **options: Further options.

    Returns:
      nothing: Not an argument.
    """


def test_parse_docstring_returns_summary_and_arguments():
    found = parse_docstring(DOCSTRING)
    assert found.summary == "Trains a network"
    assert found.arguments == {
        "data": "A folder, such as `photos`. Nothing else.",
        "options": "Further options.",
    }


def test_documentation_of_unknown_function_raises():
    with pytest.raises(LookupError, match="no_such_function"):
        documentation_of("tftransfer.cli.main", "no_such_function")
