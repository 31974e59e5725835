"""An installed wheel brings the shipped configs along and finds them by name."""

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tftransfer.cli import shipped_configs

ROOT = Path(__file__).resolve().parents[2]
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the repository."""
    source = tmp_path_factory.mktemp("source") / "repository"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "build", "runs", "tests", "benchmarks")
    shutil.copytree(ROOT, source, ignore=ignored)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", _BUILD, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.mark.slow
def test_wheel_installed_to_a_folder_finds_configs_by_name(wheel, tmp_path, monkeypatch):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "target")
    (data,) = (tmp_path / "target").glob("*.data")
    shutil.move(data / "data" / "share", tmp_path / "target" / "share")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "target"))
    for words, expected in (
        (["list", "configs"], "  flowers "),
        (["init", str(tmp_path / "mine")], "configs to"),
    ):
        command = [sys.executable, "-m", "tftransfer", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stdout, done.stderr
    names = {file.name for file in (ROOT / "configs").glob("*.py")}
    assert {file.name for file in (tmp_path / "mine").iterdir()} == names


def test_shipped_configs_of_an_installation_are_those_of_its_record(monkeypatch, tmp_path):
    config = tmp_path / "share" / "tftransfer" / "configs" / "flowers.py"
    config.parent.mkdir(parents=True)
    config.write_text("")
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    path = metadata.PackagePath("../../share/tftransfer/configs/flowers.py")
    path.dist = metadata.PathDistribution(packages / "tftransfer.dist-info")
    monkeypatch.setattr(metadata, "files", lambda name: [path, metadata.PackagePath("a.py")])
    monkeypatch.setattr(shipped_configs, "_PACKAGE", packages / "tftransfer")
    assert shipped_configs.shipped_configs() == {"flowers": config}
