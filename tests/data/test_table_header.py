"""Tables whose first row is an example, and texts in a column without a usual name."""

import pytest

from tftransfer.data.manifest import from_manifest

TEXTS = [f"some words of text {n}" for n in range(12)]
KINDS = ["ham", "spam", "spam"] * 4


@pytest.fixture
def read(tmp_path):
    def write_and_read(lines, name="t.csv", **options):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return from_manifest(path, **options)

    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    return write_and_read


@pytest.mark.parametrize("label_first", [True, False])
def test_texts_without_a_header(read, label_first):
    rows = zip(KINDS, TEXTS) if label_first else zip(TEXTS, KINDS)
    found = read(map(",".join, rows))
    assert [item.decode() for item in found.items] == TEXTS
    assert found.classes == ("ham", "spam") and found.labels[:3].tolist() == [0, 1, 1]
    names = "label, text" if label_first else "text, label"
    assert (
        f"t.csv has no header: its first row is an example, and its columns are named {names}"
        in (found.warnings)
    )
    again = read(map(",".join, zip(TEXTS, KINDS)), columns="text=text,label=label")
    assert len(again) == 12


def test_paths_without_a_header(read):
    found = read([f"{n}.png,{kind}" for n, kind in enumerate(KINDS)])
    assert found.names[0] == "0.png" and len(found) == 12 and found.classes == ("ham", "spam")
    numbers = read([f"{n}.png,{n / 4 + 0.1}" for n in range(12)])
    assert numbers.problem_type == "regression" and len(numbers) == 12
    several = read([f"{n}.png,{n % 2},{(n + 1) % 3 % 2}" for n in range(12)])
    assert several.classes == ("column2", "column3") and len(several) == 12


@pytest.mark.parametrize(
    "lines",
    [
        ["text,label", *map(",".join, zip(TEXTS, KINDS))],
        ["v2,v1", *map(",".join, zip(TEXTS, KINDS))],
        ["text,label", "some words,label", "more words,label", "last words here,b"],
        ["text,2", *(f"{text},{kind}" for text, kind in zip(TEXTS, KINDS))],
    ],
)
def test_a_header_is_not_an_example(read, lines):
    found = read(lines)
    assert len(found) == len(lines) - 1 and not any("no header" in each for each in found.warnings)


def test_texts_in_a_column_without_a_usual_name_are_reported(read):
    found = read(["v1,v2", *map(",".join, zip(KINDS, TEXTS))])
    assert found.modality == "text" and found.classes == ("ham", "spam")
    assert any("the column v2 has the longest texts" in each for each in found.warnings)


def test_objects_and_lists_in_json_lines(read):
    flags = [
        f'{{"text": "{t}", "labels": {{"a": {n % 2}, "b": true}}}}' for n, t in enumerate(TEXTS)
    ]
    found = read(flags, "t.jsonl")
    assert (found.problem_type, found.classes) == ("multi_label", ("a", "b"))
    assert found.labels[:2].tolist() == [[0, 1], [1, 1]]
    lists = ['{"text": "u v", "tags": ["a; b", "c"]}', '{"text": "v w", "tags": []}']
    found = read(lists, "t.jsonl")
    assert found.classes == ("a; b", "c") and found.labels.tolist() == [[1, 1], [0, 0]]
