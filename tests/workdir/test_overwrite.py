"""Overwriting a run or a comparison deletes only what a run or a comparison has written."""

import pytest

import tftransfer
from tftransfer.workdir.overwrite import (
    check_comparison_deletable,
    check_deletable,
    delete_comparison,
    delete_run,
)

FILES = [
    ".lock",
    "config.json",
    "environment.json",
    "metrics.jsonl",
    "result.json",
    "weights.npz",
    "report.md",
    "checkpoints/00000012/weights.npz",
    "checkpoints/00000012/manifest.json",
    "checkpoints/.00000013.part/best.npz",
    "export/saved_model.pb",
    "export/variables/variables.index",
    "export/assets/deep/vocabulary.txt",
    "plots/curves.png",
    "tensorboard/train/events.out.tfevents.1.host.1.0.v2",
    "tensorboard/train/plugins/profile/1/host.xplane.pb",
]


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"experiment": {}}' if name == "config.json" else "")
    return folder


def test_delete_run_deletes_everything_but_the_lock(tmp_path):
    delete_run(write(tmp_path, FILES))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "other", ["notes.txt", "export/notes.txt", "plots/mine.jpg", "checkpoints/mine.npz", "x/y.json"]
)
def test_delete_run_with_another_file_deletes_nothing(tmp_path, other):
    write(tmp_path, [*FILES, other])
    with pytest.raises(tftransfer.UserError, match=f"does not write: {other}"):
        delete_run(tmp_path)
    assert all((tmp_path / name).is_file() for name in [*FILES, other])


def test_delete_run_does_not_follow_links(tmp_path):
    other = write(tmp_path / "other", ["mine.png"])
    run = write(tmp_path / "run", ["config.json"])
    (run / "plots").symlink_to(other)
    with pytest.raises(tftransfer.UserError, match="does not write: plots"):
        delete_run(run)
    assert (other / "mine.png").is_file()


@pytest.mark.parametrize("names", [["report.md"], ["config.txt"], ["photos/a.png"]])
def test_check_deletable_folder_that_is_not_a_run_is_an_error(tmp_path, names):
    with pytest.raises(tftransfer.UserError, match="is not the folder of a run"):
        check_deletable(write(tmp_path, names))


def test_check_deletable_config_of_another_program_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(tftransfer.UserError, match="is not the folder of a run"):
        check_deletable(tmp_path)


@pytest.mark.parametrize("names", [[], [".gitkeep"], [".lock"]])
def test_check_deletable_empty_folder_is_accepted(tmp_path, names):
    check_deletable(write(tmp_path, names))
    check_deletable(tmp_path / "missing")


def test_delete_comparison_deletes_its_files_and_its_runs(tmp_path):
    write(tmp_path, ["comparison.json", "comparison.md", "comparison.png"])
    for name in ("scratch", "fine_tune_unfreeze=3"):
        write(tmp_path / name, FILES)
    delete_comparison(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", ["mine.md", "scratch/notes.txt", "photos/a.png"])
def test_delete_comparison_with_another_file_deletes_nothing(tmp_path, other):
    write(tmp_path, ["comparison.json", other])
    write(tmp_path / "scratch", FILES)
    with pytest.raises(tftransfer.UserError):
        check_comparison_deletable(tmp_path)
    with pytest.raises(tftransfer.UserError):
        delete_comparison(tmp_path)
    assert (tmp_path / "comparison.json").is_file() and (tmp_path / other).is_file()
