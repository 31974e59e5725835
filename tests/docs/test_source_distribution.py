"""The source distribution is complete, and the files around the package are valid."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns):
    command = ["git", "-C", str(ROOT), "ls-files", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Names of the files in the source distribution."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    program = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    with tarfile.open(source / "dist" / done.stdout.splitlines()[-1]) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.mark.parametrize(
    "folder", ["tftransfer", "tests", "configs", "notebooks", "docs", "benchmarks"]
)
def test_source_distribution_of_each_folder_is_complete(members, folder):
    assert set(tracked(folder)) <= members


def test_source_distribution_of_top_level_holds_every_document(members):
    assert {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile"} <= members
    assert {"README.md", "SECURITY.md", "ruff.toml", "setup.cfg", "pyproject.toml"} <= members


def test_source_distribution_holds_no_compiled_files(members):
    assert not [name for name in members if name.endswith(".pyc") or "__pycache__" in name]


def setup_cfg():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def test_repository_address_is_the_same_in_every_file():
    address = setup_cfg()["metadata"]["url"]
    for name in ("README.md", "SECURITY.md", "CITATION.cff", ".github/ISSUE_TEMPLATE/config.yml"):
        text = (ROOT / name).read_text()
        found = set(re.findall(r"https://[^\s)\"'>]*?/tftransfer(?=[\s/)\"'>.]|$)", text))
        assert found == {address}, name


def test_citation_file_has_the_version_of_the_package():
    import tftransfer

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == setup_cfg()["metadata"]["version"] == tftransfer.__version__
    assert citation["authors"] == [{"name": setup_cfg()["metadata"]["author"]}]


@pytest.mark.parametrize("name", tracked(".github/*.yml", ".pre-commit-config.yaml"))
def test_yaml_file_is_valid(name):
    assert yaml.safe_load((ROOT / name).read_text())


def test_workflows_call_only_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in tracked(".github/workflows/*.yml"):
        called = re.findall(r"\bmake ([\w-]+)", (ROOT / name).read_text())
        assert set(called) <= targets, name


def test_workflows_test_every_supported_python():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    classifiers = setup_cfg()["metadata"]["classifiers"]
    assert tested == re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)


def test_pre_commit_hooks_are_programs_of_the_development_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in hooks] == ["local"]
    required = setup_cfg()["options.extras_require"]["dev"].split()
    assert {hook["entry"].split()[0] for hook in hooks[0]["hooks"]} <= set(required)


def test_every_folder_of_the_package_is_a_package():
    folders = {(ROOT / name).parent for name in tracked("tftransfer/*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]
