"""The benchmark programs start, and the pages show what they stored."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PROGRAMS = sorted(path for path in BENCHMARKS.glob("*.py") if "app.run(main)" in path.read_text())
# Needs PyTorch, in a separate environment.
OTHER_ENVIRONMENT = ("torch_loop",)


@pytest.fixture
def benchmark(monkeypatch):
    """`benchmark(NAME)` imports a module of the folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_readme_table_equals_the_stored_results(benchmark):
    readme = benchmark("readme")
    assert readme.with_table(readme.README.read_text()) == readme.README.read_text()


@pytest.mark.parametrize("name", ["methods_page", "text_audio_page"])
def test_page_equals_the_stored_results(benchmark, name):
    program = benchmark(name)
    assert "\n".join(program.page()) + "\n" == program.PAGE.read_text()


def test_stored_results_name_their_program_and_versions():
    for path in sorted((BENCHMARKS / "results").glob("*.json")):
        for row in json.loads(path.read_text()).values():
            assert row["command"].startswith(f"python benchmarks/{path.stem}.py")
            assert {"tensorflow", "keras", "python"} <= set(row["environment"])


def test_plots_of_stored_results_are_drawn(benchmark, tmp_path):
    plots = benchmark("plots")
    for name in ("speed", "views"):
        plots.PLOTS[name](tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_benchmark_program_prints_its_help(path):
    if path.stem in OTHER_ENVIRONMENT:
        pytest.skip("needs PyTorch, which is not among the dependencies")
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=300
    )
    assert "flags:" in done.stdout, done.stderr


def test_mutated_inputs_are_read_as_meant_or_the_plan_names_the_reading(benchmark, tmp_path):
    inputs = benchmark("inputs")
    results = []
    for seed in range(60):
        folder = tmp_path / str(seed)
        folder.mkdir()
        results.append(inputs.outcome(seed, folder)[1])
    assert set(results) <= {"as meant", "shown", "refused"}
    assert results.count("as meant") > 45
