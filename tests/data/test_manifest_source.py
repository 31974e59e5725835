import subprocess

import numpy as np
import pytest

from tftransfer.data.manifest import from_manifest
from tftransfer.readers.sources import read_source
from tftransfer.utils.errors import UserError


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png", "sub/d e.png"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(b"x")

    def write(text, name="table.csv", encoding="utf-8"):
        path = folder / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "path,label\na.png,cat\nb.png,dog\nsub/d e.png,cat\n"),
        ("t.CSV", "path,label\r\na.png,cat\r\nb.png,dog\r\nsub/d e.png,cat"),
        ("t.tsv", "path\tlabel\na.png\tcat\nb.png\tdog\nsub/d e.png\tcat\n"),
        ("t.csv", "label,other,FileName\n cat,1,a.png\ndog ,2,b.png\ncat,3,sub/d e.png\n"),
        ("t.csv", 'path, label\n"a.png","cat"\nb.png,dog\n"sub/d e.png",cat\n'),
        ("t.csv", "\ufeffpath,label\na.png,cat\nb.png,dog\nsub/d e.png,cat\n"),
        ("t.csv", "image,animal\na.png,cat\n\nb.png,dog\n\nsub/d e.png,cat\n"),
        ("t.csv", "path,label\n./a.png,cat\nsub/../b.png,dog\nsub/d e.png,cat\n"),
    ],
)
def test_from_manifest_reads_one_label_per_row(table, name, text):
    path = table(text, name)
    found = read_source(path)
    assert found.problem_type == "single_label" and found.classes == ("cat", "dog")
    np.testing.assert_array_equal(found.labels, [0, 1, 0])
    folder = path.parent.resolve()
    assert found.items == [str(folder / name) for name in ("a.png", "b.png", "sub/d e.png")]
    assert found.names[2] == "sub/d e.png" and set(found.splits) == {""}


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (("10", "9", "1"), ("1", "9", "10"), [2, 1, 0]),
        (("b", "10", "2"), ("2", "10", "b"), [2, 1, 0]),
        (("1.0", "2.0", "1.0"), ("1.0", "2.0"), [0, 1, 0]),
        (("1", "01", "001"), ("001", "01", "1"), [2, 1, 0]),
        (("²", "x", "²"), ("x", "²"), [1, 0, 1]),
    ],
)
def test_from_manifest_sorts_numbers_as_classes_by_value(table, cells, classes, labels):
    rows = "".join(f"{name}.png,{cell}\n" for name, cell in zip("abc", cells))
    found = from_manifest(table("path,label\n" + rows))
    assert (found.problem_type, found.classes) == ("single_label", classes)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize("separator", ["|", ";", " | "])
def test_from_manifest_reads_several_labels_in_a_cell(table, separator):
    text = f"path,labels\na.png,sky{separator}sea\nb.png,sea\nc.png,\n"
    found = from_manifest(table(text))
    assert (found.problem_type, found.classes) == ("multi_label", ("sea", "sky"))
    np.testing.assert_array_equal(found.labels, [[1, 1], [1, 0], [0, 0]])
    assert found.labels.dtype == np.float32


def test_from_manifest_of_single_labels_accepts_multi_label(table):
    found = from_manifest(table("path,label\na.png,sky\nb.png,sea\n"), problem_type="multi_label")
    np.testing.assert_array_equal(found.labels, [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("text", "problem_type", "columns", "labels"),
    [
        ("path,y\na.png,0.5\nb.png,2\n", "auto", ("y",), [[0.5], [2]]),
        ("path,y\na.png,1\nb.png,2\n", "regression", ("y",), [[1], [2]]),
        (
            "path,width,height\na.png,1,-2\nb.png,3,4e1\n",
            "auto",
            ("width", "height"),
            [[1, -2], [3, 40]],
        ),
    ],
)
def test_from_manifest_reads_numbers_as_regression(table, text, problem_type, columns, labels):
    found = from_manifest(table(text), problem_type=problem_type)
    assert (found.problem_type, found.classes) == ("regression", columns)
    np.testing.assert_allclose(found.labels, np.array(labels, np.float32))
    assert found.labels.dtype == np.float32


@pytest.mark.parametrize("column", ["split", "Subset"])
def test_from_manifest_reads_a_column_of_splits(table, column):
    text = f"path,{column},label\na.png,Train,x\nb.png,valid,y\nc.png,test,x\nsub/d e.png,,y\n"
    found = from_manifest(table(text))
    assert found.splits.tolist() == ["train", "val", "test", ""]
    assert found.classes == ("x", "y")


def test_from_manifest_does_not_use_a_column_of_splits_as_a_label(table):
    found = from_manifest(table("path,split,animal\na.png,train,x\nb.png,test,y\n"))
    assert found.classes == ("x", "y")


def test_from_manifest_accepts_absolute_paths_anywhere(table):
    path = table("")
    outside = path.parent.parent / "outside.png"
    found = from_manifest(table(f"path,label\n{outside},x\na.png,y\n"))
    assert found.items[0] == str(outside.resolve())


@pytest.mark.parametrize("problem_type", ["auto", "multi_task"])
def test_from_manifest_reads_several_columns_of_names_as_tasks(table, problem_type):
    text = "path,digit,parity,split\na.png,10,even,train\nb.png,9,,\nc.png,,odd,test\n"
    found = from_manifest(table(text), problem_type=problem_type)
    assert found.problem_type == "multi_task"
    assert found.classes == ("digit=9", "digit=10", "parity=even", "parity=odd")
    np.testing.assert_array_equal(found.labels, [[1, 0], [0, -1], [-1, 1]])
    assert found.labels.dtype == np.int64
    assert [(task.name, task.start, task.count) for task in found.tasks] == [
        ("digit", 0, 2),
        ("parity", 2, 2),
    ]
    np.testing.assert_array_equal(found.targets(), [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    assert found.warnings == ("2 empty cells are unknown labels of a task",)
    if problem_type == "auto":
        assert "digit, parity" in found.problem_reason
        assert "--problem_type=regression" in found.problem_reason


def test_from_manifest_accepts_one_column_as_a_task(table):
    found = from_manifest(table("path,digit\na.png,1\nb.png,2\n"), problem_type="multi_task")
    assert found.classes == ("digit=1", "digit=2") and found.labels.shape == (2, 1)


def test_from_manifest_refuses_a_task_without_labels(table):
    path = table("path,w,h\na.png,red,\nb.png,blue,\n")
    with pytest.raises(UserError, match="the task h has no label"):
        from_manifest(path, columns="label=w,label=h")
    found = from_manifest(path)  # by itself, an empty column is no label
    assert found.classes == ("blue", "red")
    same = "columns that are the same in every row are no labels: h"
    assert set(found.warnings) == {"columns that are not used: h", same}


HEAD = "path,label\n"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "no rows below its header", "row per image"),
        (HEAD, "no rows below its header", "row per image"),
        (HEAD + "\n\n", "no rows below its header", "row per image"),
        (HEAD + "a.png,x,z\n\nb.png,y,z\n", "row 2: it has 3 cells, the header 2", "quote"),
        (HEAD + "a.png,x\nz.png,y\n", "no file of the class 'y' exists", "Fix"),
        (HEAD + "\n\nz.png,y\nz.png,x\n", "row 4: z.png does not exist", "Fix"),
        (HEAD + "a.png,x\n../outside.png,y\n", "row 3: ../outside.png leads out of", "below"),
        (HEAD + "sub/../../outside.png,y\n", "row 2: .* leads out of", "below"),
        (HEAD + "a.png,x\nb.png, \n", "row 3: the label is empty", "Fill"),
        (HEAD + "a.png,1\n\nb.png,\n", "row 4: the label is empty", "Fill"),
        (
            "name,label\nz.png,x\n",
            "neither a column of paths nor one of texts. Available: label, name",
            "path",
        ),
        (
            "pth,label\nz.png,x\n",
            "neither a column of paths nor one of texts. Did you mean pth?",
            "path",
        ),
        (HEAD + "a.png,0\nb.png,-1\n", "row 3: the label -1 is negative", "Number"),
        (
            HEAD + "a.png,cat\nb.png,NaN\n",
            "row 3: the label NaN stands for a missing",
            "remove the row",
        ),
        ("path\na.png\n", "no label column; its columns: path", "label"),
        ("path,split\na.png,train\n", "no label column; its columns: path, split", "label"),
        ("path,label,split\na.png,x,trian\n", r"split \(.*row 2\) named 'trian'", "train"),
        ("path,w,h\na.png,red,big\n", "the task w has one class, red", "remove the task"),
        ("path,w,h\na.png,1,2\nb.png,,\n", "row 3: no task has a label", "Add"),
        (
            "path,w,h\na.png,1,x\nb.png,-1,y\n",
            "row 3: the label -1 is negative",
            "Number the classes",
        ),
        ("path,w,h=1\na.png,a,x\nb.png,b,y\n", "a task named 'h=1'", "without ="),
        ("path,w,h\na.png,0.5,2\nb.png,,3\n", "row 3: ', 3' is not a finite", "Fix"),
        ("path,label,label\na.png,x,y\n", "two columns named 'label'", "Rename"),
        ("path,y\na.png,0.5\nb.png,inf\n", "row 3: 'inf' is not a finite number", "Fix"),
        ("path,y\na.png,0.5\n\nb.png,nan\n", "row 4: 'nan' is not a finite number", "Fix"),
    ],
)
def test_from_manifest_names_the_row_of_bad_cells(table, text, message, remedy):
    path = table(text)
    with pytest.raises(UserError, match=message) as caught:
        from_manifest(path)
    assert "table.csv" in caught.value.what and remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "problem_type", "message"),
    [
        (HEAD + "a.png,x\n", "regression", "row 2: 'x' is not a finite number"),
        (HEAD + "a.png,1\nb.png,\n", "regression", "row 3: '' is not a finite number"),
        (HEAD + "a.png,\nb.png,|\n", "multi_label", "no label in any row"),
        ("path,w,h\na.png,1,2\n", "single_label", "2 label columns of names"),
    ],
)
def test_from_manifest_refuses_labels_of_another_problem_type(table, text, problem_type, message):
    with pytest.raises(UserError, match=message):
        from_manifest(table(text), problem_type=problem_type)


@pytest.mark.parametrize(("encoding", "name"), [("latin-1", "windows-1252"), ("utf-16", "utf-16")])
def test_from_manifest_of_paths_reports_other_encodings(table, encoding, name):
    found = from_manifest(table(HEAD + "a.png,grün\nb.png,schön\n", encoding=encoding))
    assert found.classes == ("grün", "schön")
    assert name in found.warnings[0]


@pytest.mark.parametrize(("delimiter", "name"), [("\t", "tabs"), (";", "semicolons")])
def test_read_table_splits_a_csv_at_tabs_or_semicolons(table, delimiter, name):
    cells = (("path", "label"), ("a.png", '"x, y"'), ("b.png", "z"))
    found = from_manifest(table("".join(f"{delimiter.join(row)}\n" for row in cells)))
    assert found.classes == ("x, y", "z")
    assert found.warnings == (f"its cells are separated by {name}",)


def test_columns_names_roles(table):
    text = "label,where,kind,id\nno,a.png,x,1\nno,b.png,y,2\n"
    found = from_manifest(table(text), columns="path=where, label=kind")
    assert found.classes == ("x", "y") and found.names == ["a.png", "b.png"]
    assert found.warnings == ("columns that are not used: label, id",)
    text = "review,stars,mood,fold\ngood,5,glad,train\nbad,1,sad,test\n"
    found = from_manifest(table(text), columns="text=review,label=stars,label=mood,split=fold")
    assert found.modality == "text" and found.items == [b"good", b"bad"]
    assert found.classes == ("stars=1", "stars=5", "mood=glad", "mood=sad")
    assert found.splits.tolist() == ["train", "test"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("text", "'text' is not ROLE=NAME"),
        ("words=a", "role of a column named 'words'"),
        ("path=where", "no column named 'where'"),
        ("path=path,path=label", "two path columns"),
        ("path=path,text=label", "both paths and texts"),
        ("path=path,label=lable", "no column named 'lable'"),
    ],
)
def test_columns_of_an_unknown_role_or_name_are_an_error(table, columns, message):
    with pytest.raises(UserError, match=message):
        from_manifest(table(HEAD + "a.png,x\nb.png,y\n"), columns=columns)


def test_columns_of_identifiers_are_not_labels(table):
    rows = "".join(f"text {n},{'ab'[n % 2]},{n}\n" for n in range(12))
    found = from_manifest(table(f"text,mood,id\n{rows}"))
    assert (found.problem_type, found.classes) == ("single_label", ("a", "b"))
    assert found.warnings == ("columns that are not used: id",)
    rows = "".join(f"text {n},{n / 7},{n / 3}\n" for n in range(12))
    assert from_manifest(table(f"text,width,height\n{rows}")).classes == ("width", "height")


def test_from_manifest_takes_a_delimiter_in_few_labels_for_part_of_the_name(table):
    rows = "".join(f"text {n},{'yes; no' if n == 11 else 'ab'[n % 2]}\n" for n in range(40))
    path = table(f"text,label\n{rows}")
    found = from_manifest(path)
    assert (found.problem_type, found.classes) == ("single_label", ("a", "b", "yes; no"))
    assert "1 of 40 labels contain | or ; (such as 'yes; no'), too few" in found.warnings[0]
    found = from_manifest(path, problem_type="multi_label")
    assert found.classes == ("a", "b", "no", "yes")
    assert found.warnings == ("cells are split at | or ;",)
    found = from_manifest(table("text,label\nu,a|b\nv,b\n"))
    assert (
        found.problem_type == "multi_label"
        and "are split into several labels" in found.problem_reason
    )


def test_from_manifest_warns_of_unused_columns(table):
    text = "path,splt,label,\na.png,x,cat,\nb.png,y,dog,\n"
    assert from_manifest(table(text)).warnings == ("columns that are not used: splt",)
    assert from_manifest(table("path,split,y\na.png,test,a\nb.png,,b\n")).warnings == ()


def test_files_in_a_folder_next_to_the_table_are_named_with_a_command_that_works(tmp_path):
    (tmp_path / "my meta").mkdir()
    (tmp_path / "audio files").mkdir()
    for name in ("1.wav", "2.wav"):
        (tmp_path / "audio files" / name).write_bytes(b"x")
    path = tmp_path / "my meta" / "clips.csv"
    path.write_text("filename,label\n1.wav,a\n2.wav,b\n")
    with pytest.raises(UserError, match="none of 2 rows names an existing file") as caught:
        from_manifest(path)
    assert "audio files has 2 of the first 2 files" in caught.value.remedy
    command = caught.value.remedy.partition("give that one: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert len(from_manifest(tmp_path / "audio files" / "clips.csv")) == 2
    with pytest.raises(UserError) as caught:
        from_manifest(path)
    assert caught.value.remedy.endswith("/audio files/clips-2.csv'")  # nothing is overwritten
