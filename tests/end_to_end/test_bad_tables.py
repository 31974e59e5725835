"""Bad tables and labels on the command line and from Python."""

import numpy as np
import pytest
from bad_input_tools import (
    PNG,
    assert_stops_before_training,
    cells,
    run_command,
    table,
    text,
)

import tftransfer
from tftransfer.readers.in_memory import from_arrays


def path_that_leads_out(place):
    (place.outside / "out.png").write_bytes(PNG)
    return f"--data={place.table(cells('../out.png,red'))}"


UNUSABLE = {
    "CSV: ragged": (table("red/red05.png"), "table.csv, row 10: it has 1 cells"),
    "CSV: empty": (text(""), "table.csv has no rows"),
    "CSV: header alone": (text("path,label\n"), "table.csv has no rows"),
    "CSV: unknown column": (
        text("pth,label\nno.png,red\n"),
        "table.csv has neither a column of paths",
    ),
    "CSV: unknown split": (
        text("path,label,split\nred/red00.png,a,trian\n"),
        "no split (",
    ),
    "CSV: missing image path": (table("red/no.png,red"), "row 10: red/no.png does not exist"),
    "CSV: path escaping the root": (path_that_leads_out, "row 10: ../out.png leads out of"),
    "labels: negative": (
        text("path,label\nred/red00.png,0\nred/red01.png,-1\n"),
        "row 3: the label -1 is neg",
    ),
    "labels: NaN among names": (table("red/red05.png,nan"), "row 10: the label nan stands"),
    "labels: NaN": (text("path,y\nred/red00.png,0.5\nred/red01.png,nan\n"), "row 3: 'nan'"),
    "labels: Inf": (text("path,y\nred/red00.png,0.5\nred/red01.png,inf\n"), "row 3: 'inf'"),
    "labels: strings for a regression": (
        lambda p: (table("red/red05.png,x")(p), "--problem_type=regression"),
        "'blue' is not a finite number",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_table_stops_before_training(place, capsys, case):
    assert_stops_before_training(place, capsys, UNUSABLE[case])


def test_unused_columns_get_a_warning(place, capsys):
    rows = [f"{n}/{n}{k:02}.png,{n},x" for n in ("blue", "red") for k in range(9)]
    flag = text("\n".join(["path,label,splt", *rows]))(place)
    assert run_command(place, "--dry_run", flag) == 0
    assert "columns that are not used: splt" in capsys.readouterr().out


def test_labels_that_are_strings_are_classes(place, capsys):
    assert run_command(place, "--dry_run", table("green/green00.png,a b")(place)) == 0
    assert "single_label, 3 classes" in capsys.readouterr().out


FROM_MEMORY = {
    "labels negative": (np.uint8, 0, [0, -1], "Label -1 of example 1 is negative"),
    "labels NaN": (np.uint8, 0, [0.5, np.nan], "The label of example 1 is not a finite number"),
    "NaN features": (np.float32, np.nan, [0, 1], "Image 1 is float32 with values outside"),
    "Inf features": (np.float32, np.inf, [0, 1], "Image 1 is float32 with values outside"),
}


@pytest.mark.parametrize("case", FROM_MEMORY)
def test_bad_arrays_are_refused_with_the_index(case):
    dtype, value, labels, message = FROM_MEMORY[case]
    images = np.zeros((2, 8, 8, 3), dtype)
    images[1, 0, 0] = value
    settings = tftransfer.Experiment(data=(images, np.array(labels)), backbone="small_cnn")
    with pytest.raises(tftransfer.UserError, match=message):
        tftransfer.plan(settings)


def test_labels_out_of_range_are_refused_with_the_index():
    with pytest.raises(tftransfer.UserError, match="Label 7 of example 1 is outside 0 to 1"):
        from_arrays(np.zeros((2, 8, 8), np.uint8), np.array([0, 7]), classes=("a", "b"))
