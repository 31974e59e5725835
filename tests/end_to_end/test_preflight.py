"""What would stop a long run is found before anything is computed."""

import shutil

import pytest
from interruptions import experiment, train

import tftransfer
from tftransfer.planning import preflight
from tftransfer.utils import files


def test_preflight_of_a_full_disk_is_an_error_before_anything_is_written(
    source_run, digits, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(tftransfer.UserError, match=r"needs about \d+ MiB, its disk has 0 MiB free"):
        tftransfer.train(experiment(source_run, digits), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"cluster": 3}'])
def test_preflight_of_a_malformed_tf_config_is_an_error(
    source_run, digits, tmp_path, monkeypatch, text
):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(tftransfer.UserError, match="TF_CONFIG"):
        tftransfer.train(experiment(source_run, digits), tmp_path)


def test_preflight_checks_workdir_and_weights_before_the_data(source_run, digits, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(tftransfer.UserError, match="file is a file"):
        train(source_run, digits, tmp_path / "file" / "run", data="nowhere")
    changes = {"data": "nowhere", "backbone": "small_cnn", "weights": "gone.h5"}
    with pytest.raises(tftransfer.UserError, match=r"gone\.h5 does not exist"):
        train(source_run, digits, tmp_path / "run", **changes)


def test_workdir_of_another_process_is_refused(source_run, digits, tmp_path):
    with (
        files.locked(tmp_path / ".lock", wait=False),
        pytest.raises(tftransfer.UserError, match="Another process is using"),
    ):
        tftransfer.train(experiment(source_run, digits), tmp_path)
