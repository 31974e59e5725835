"""`train`: overwriting a run."""

import shutil

import pytest

import tftransfer


@pytest.fixture
def experiment(digits):
    return tftransfer.Experiment(
        data=str(digits / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="few_shot",
        labels_per_class=5,
    )


def changed(experiment, **fields):
    return tftransfer.Experiment(**{**vars(experiment), **fields})


def test_train_overwrite_replaces_a_run_of_other_settings(experiment, tmp_path):
    first = tftransfer.train(experiment, tmp_path, export=False).result
    other = changed(experiment, seed=1)
    with pytest.raises(tftransfer.UserError, match="holds another run; it differs in"):
        tftransfer.train(other, tmp_path, export=False)
    run = tftransfer.train(other, tmp_path, export=False, overwrite=True)
    assert run.experiment.seed == 1
    assert run.result["weights_sha256"] != first["weights_sha256"]
    assert len(run.folder.metrics()) <= 1


def test_train_overwrite_with_other_files_keeps_everything(experiment, source_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(source_run.workdir, run)
    (run / "notes.txt").write_text("mine")
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    with pytest.raises(tftransfer.UserError, match=r"does not write: notes\.txt"):
        tftransfer.train(experiment, run, overwrite=True)
    after = sorted(path.relative_to(run) for path in run.rglob("*"))
    assert [path for path in before if path not in after] == []


@pytest.mark.parametrize("use", ["backbone", "weights", "teacher"])
def test_train_overwrite_of_a_run_that_is_read_is_an_error(experiment, source_run, tmp_path, use):
    run = tmp_path / "run"
    shutil.copytree(source_run.workdir, run)
    fields = {
        "backbone": {"backbone": str(run)},
        "weights": {"weights": str(run / "weights.npz")},
        "teacher": {"recipe": {"name": "fine_tune+distill", "teacher": str(run)}},
    }
    with pytest.raises(tftransfer.UserError):
        tftransfer.train(changed(experiment, **fields[use]), run, overwrite=True)
    assert tftransfer.load(run).result == source_run.result


def test_train_overwrite_and_resume_exclude_each_other(experiment, tmp_path):
    with pytest.raises(tftransfer.UserError, match="exclude each other"):
        tftransfer.train(experiment, tmp_path, resume=True, overwrite=True)
    assert not list(tmp_path.glob("config.json"))


def test_compare_overwrite_replaces_the_comparison(experiment, tmp_path):
    for seed, recipes in enumerate((["few_shot"], ["few_shot:solve=prototypes"])):
        found = tftransfer.compare(
            changed(experiment, seed=seed), tmp_path, recipes, overwrite=bool(seed)
        )
    assert found.winner == "few_shot:solve=prototypes"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [
        "few_shot_solve=prototypes"
    ]
