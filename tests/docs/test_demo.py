"""The demo runs, transfer wins in it, and it does not delete files of others."""

import pytest

import tftransfer


@pytest.mark.slow
def test_demo_fine_tuning_beats_scratch_and_exports(tmp_path, log_lines):
    from tftransfer.cli.demo import run_demo

    comparison = run_demo(str(tmp_path / "demo"))
    accuracies = {row["recipe"].partition(":")[0]: row["value"] for row in comparison.rows}
    assert set(accuracies) == {"scratch", "feature_extraction", "fine_tune", "l2_sp"}
    assert accuracies["fine_tune"] > accuracies["scratch"] + 0.1
    assert comparison.runs[comparison.winner].export_dir.is_dir()
    assert any("SavedModel" in line for line in log_lines)
    run_demo(str(tmp_path / "demo"))


def test_demo_in_a_folder_with_other_files_is_refused(tmp_path):
    from tftransfer.cli.demo import run_demo

    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(tftransfer.UserError, match="holds other files"):
        run_demo(str(tmp_path))


def test_demo_in_a_folder_that_resembles_its_own_is_refused(tmp_path):
    from tftransfer.cli.demo import run_demo

    (tmp_path / "digits").mkdir()
    for path in (tmp_path / "thesis.txt", tmp_path / "digits" / "a.txt"):
        path.write_text("mine")
        with pytest.raises(tftransfer.UserError, match="holds other files"):
            run_demo(str(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "mine"
