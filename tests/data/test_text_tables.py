"""Texts from tables, folders, lists and datasets."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.scan import scan
from tftransfer.data.split import split
from tftransfer.data.tables import read_table
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError


@pytest.fixture
def table(tmp_path):
    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LINES = ('good "film"', "bad, dull", "so-so")
FILES = {
    "t.csv": 'text,label\n"good ""film""",pos\n"bad, dull",neg\nso-so,pos\n',
    "t.tsv": 'sentence\tlabel\ngood "film"\tpos\nbad, dull\tneg\nso-so\tpos\n',
    "quoted.tsv": 'Review\tid\tsentiment\tlabel\n"good ""film"""\t1\tx\tpos\n'
    '"bad, dull"\t2\ty\tneg\nso-so\t3\tz\tpos\n',
    "t.jsonl": '{"text": "good \\"film\\"", "label": "pos"}\n\n'
    '{"label": "neg", "text": "bad, dull"}\n{"text": "so-so", "label": "pos", "more": 1}\n',
    "bom.csv": '\ufefftext,label\r\n"good ""film""",pos\r\n"bad, dull",neg\r\nso-so,pos\r\n',
}


@pytest.mark.parametrize("name", FILES)
def test_read_source_reads_texts_from_every_table_format(table, name):
    found = read_source(table(FILES[name], name))
    assert [item.decode() for item in found.items] == list(LINES)
    assert (found.modality, found.classes) == ("text", ("neg", "pos"))
    np.testing.assert_array_equal(found.labels, [1, 0, 1])
    assert found.names[0].startswith(f"{name}, row ")


def test_read_table_keeps_quotes_inside_unquoted_cells(table):
    text = 'text\tlabel\n" um , no . "\t0\nshe wrote " hi\t1\n"odd\t0\nplain\t1\n'
    found = read_source(table(text, "t.tsv"))
    assert [item.decode() for item in found.items] == [
        '" um , no . "',
        'she wrote " hi',
        '"odd',
        "plain",
    ]
    assert "quotes are part of the text: they do not enclose whole cells" in found.warnings


def test_read_table_reads_tabs_and_line_breaks_in_quoted_cells(table):
    found = read_source(table('text\tlabel\n"two\nlines"\t0\n"a\ttab"\t1\n', "t.tsv"))
    assert found.items == [b"two\nlines", b"a\ttab"]


def test_read_table_keeps_every_text_of_a_real_table(shared_data):
    path = shared_data / "sst2" / "test.tsv"
    found = read_source(path)
    lines = path.read_text().splitlines()[1:]
    assert [item.decode() for item in found.items] == [
        line.split("\t")[0].strip() for line in lines
    ]
    assert found.classes == ("0", "1") and len(found) == 872


def test_read_table_warns_of_the_encoding(table):
    found = read_source(table("text,label\ncaf\u00e9,a\nb,b\n".encode("latin-1")))
    assert found.items[0] == "caf\u00e9".encode()
    assert any(text.startswith("t.csv is read as windows-1252") for text in found.warnings)


def test_read_table_reads_a_long_cell(table):
    found = read_source(table(f"text,label\n{'a' * 300_000},x\nb,y\n"))
    assert len(found.items[0]) == 300_000


def test_read_table_reads_lists_and_splits_from_json(table):
    lines = '{"text": "a", "labels": ["x", "y"], "split": "test"}\n{"text": "b", "labels": ["x"]}\n'
    found = read_source(table(lines, "t.jsonl"))
    assert found.problem_type == "multi_label" and found.splits.tolist() == ["test", ""]
    np.testing.assert_array_equal(found.labels, [[1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"\n', "line 1: it is not JSON"),
        ("[1]\n", "line 1: it is not a JSON object"),
        ("\n", "has no rows"),
        ('{"txt": "a", "label": 1}\n', "neither a column of paths nor one of texts"),
    ],
)
def test_read_table_names_bad_lines_of_json(table, content, message):
    with pytest.raises(UserError, match=message):
        read_source(table(content, "t.jsonl"))


def test_read_table_quarantines_lines_of_json_that_cannot_be_read(table):
    found = read_source(
        table('{"text": "a", "label": 1}\n[1]\n{"text": "b", "label": 0}\n{"t', "t.jsonl")
    )
    assert found.items == [b"a", b"b"]
    assert [each.name for each in found.quarantine] == ["t.jsonl, row 2", "t.jsonl, row 4"]
    assert [each.reason[:14] for each in found.quarantine] == ["it is not a JS", "it is not JSON"]


def test_item_column_prefers_paths_to_texts(table, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = read_source(table("text,path,label\nseen,a.png,x\nseen,a.png,y\n"))
    assert found.modality == "image" and "columns that are not used: text" in found.warnings


def test_read_source_reads_a_folder_of_text_files(tmp_path):
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text(f"{name} film")
    found = read_source(tmp_path)
    assert found.modality == "text" and found.classes == ("bad", "good")


def test_read_source_reads_texts_from_lists_and_datasets(tmp_path):
    found = read_source((["one", "two"], ["a", "b"]))
    assert found.modality == "text" and found.items == [b"one", b"two"]
    made = tf.data.Dataset.from_tensor_slices({"text": ["one", "two"], "label": [0, 1]})
    assert read_source(made).modality == "text"


def test_read_unlabelled_reads_texts(table):
    path = table("text,other\none,1\ntwo,2\n")
    for data in (path, ["one", "two"]):
        found = read_unlabelled(data)
        assert found.modality == "text" and found.items == [b"one", b"two"]


def test_read_table_counts_blank_rows(table):
    assert list(read_table(table("text,label\n\na,1\n\nb,2\n")).rows) == [3, 5]


def test_read_table_reads_single_lines_in_another_encoding(table):
    lines = [f"café {number},{'ab'[number % 2]}\n".encode() for number in range(9)]
    data = b"text,label\n" + b"".join(lines) + "über,a\n".encode("latin-1")
    found = read_source(table(data))
    assert [found.items[0].decode(), found.items[-1].decode()] == ["café 0", "über"]
    (warning,) = found.warnings
    assert "UTF-8 except for some: 1 line of t.csv is read as windows-1252" in warning
    assert "'über,a'" in warning


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_read_table_recognizes_utf16_without_a_mark(table, encoding):
    found = read_table(table("text,label\na,b\n".encode(encoding)))
    assert found.header == ["text", "label"] and found.rows == {2: {"text": "a", "label": "b"}}
    assert f"is read as {encoding}" in found.warnings[0]


def test_read_table_refuses_nul_bytes(table):
    with pytest.raises(UserError, match="many NUL bytes: it is not text"):
        read_table(table(b"text,label\na,\0\0\0\0\0\0\0\0\0\0\n"))


def test_read_table_takes_equal_numbers_of_json_for_one_class(table):
    rows = '{"text": "a", "label": 1}\n{"text": "b", "label": 1.0}\n{"text": "c", "label": 0}\n'
    assert read_source(table(rows, "t.jsonl")).classes == ("0", "1")


def test_split_keeps_copies_with_other_outer_white_space_together(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        for number in range(30):
            for copy, end in enumerate(("", "\n", " \r\n")):
                file = tmp_path / label / f"{number}_{copy}.txt"
                file.write_bytes(f"{label} film {number}{end}".encode())
    found = scan(read_source(tmp_path))
    splits = {}
    for sha, part in zip(found.sha256, split(found).splits):
        splits.setdefault(sha, set()).add(str(part))
    assert len(splits) == 60 and all(len(some) == 1 for some in splits.values())
