"""Each flag that a reading of data prints is followed: it gives the other reading, named here."""

import re
import shlex
import zlib

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.core.experiment import Experiment
from tftransfer.data.understanding import understood
from tftransfer.readers.load import read_examples

COUNT = 40
TEXTS = [f"a text of number {number}" for number in range(COUNT)]
KINDS = ["cat", "dog"] * (COUNT // 2)
# The flags of one step may stand next to each other: both are given.
FLAGS = re.compile(r"(?:--\w+=(?:'[^']*'|[^\s;]+?)(?=[.;,]?(?:\s|$)) ?)+")


def table(folder, header, columns, *, encoding="utf-8"):
    rows = [header.split(","), *zip(*columns, strict=True)]
    path = folder / "table.csv"
    path.write_bytes("".join(",".join(map(str, row)) + "\n" for row in rows).encode(encoding))
    return path


def read(data, flags=()):
    """Reads data with the flags of a command line."""
    fields = {}
    for word in flags:
        name, value = word.removeprefix("--").split("=", 1)
        fields[name] = type(getattr(Experiment, name))(value)
    return read_examples(tftransfer.Experiment(**{"data": str(data), **fields}))


def printed_flags(data, given):
    """Returns the flags in what is printed of data: each step as the words of a command line."""
    try:
        examples = read(data, given)
        lines = [*(line for _, line in understood(examples)), *examples.warnings]
    except tftransfer.UserError as error:
        lines = [error.remedy]
    return [shlex.split(found[0]) for line in lines for found in FLAGS.finditer(line)]


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(zlib.crc32(bytes(path))).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def images(folder, *parents, count=6):
    for parent in parents:
        for number in range(count):
            image(folder / "data" / parent / f"{number}.png")
    return folder / "data"


def amounts(folder):
    return table(folder, "text,label", [TEXTS, [1000 + 37 * n for n in range(COUNT)]])


def few_numbers(folder):
    return table(folder, "text,label", [TEXTS, [n % 4 for n in range(COUNT)]])


def fractions(folder):
    return table(folder, "text,label", [TEXTS, [n / 8 for n in range(COUNT)]])


def fractions_and_a_word(folder):
    return table(folder, "text,label", [TEXTS, ["many", *(n / 8 for n in range(1, COUNT))]])


def two_amounts(folder):
    numbers = [[n / 8 for n in range(COUNT)], [n * 1.5 for n in range(COUNT)]]
    return table(folder, "text,w,h", [TEXTS, *numbers])


def kind_and_price(folder):
    return table(folder, "text,kind,price", [TEXTS, KINDS, [n * 1.5 for n in range(COUNT)]])


def kind_and_stars(folder):
    return table(folder, "text,kind,stars", [TEXTS, KINDS, [n // 2 % 3 for n in range(COUNT)]])


def two_kinds(folder):
    shapes = ["round", "square", "round", "flat"] * (COUNT // 4)
    return table(folder, "text,kind,shape", [TEXTS, KINDS, shapes])


def same_labels(folder):
    columns = [TEXTS, [int(kind == "cat") for kind in KINDS], KINDS]
    return table(folder, "text,target,category", columns)


def column_of_splits(folder):
    splits = ["train"] * 30 + ["test"] * 10
    return table(folder, "text,label,set", [TEXTS, KINDS, splits])


def composite(folder):
    return table(folder, "text,label", [TEXTS, ["red|round", "red", "round", "red|flat"] * 10])


def flags(folder):
    columns = [[1, 0, 1, 0] * 10, [1, 1, 0, 0] * 10, [0, 0, 1, 0] * 10]
    return table(folder, "text,a,b,c", [TEXTS, *columns])


def one_hot(folder):
    rows = np.eye(3, dtype=int)[[n % 3 for n in range(COUNT)]]
    return table(folder, "text,a,b,c", [TEXTS, *rows.T.tolist()])


def repeated_rows(folder):
    for number in range(6):
        image(folder / f"{number}.png")
    paths = [f"{number}.png" for number in [*range(6), 0, 1]]
    return table(folder, "path,label", [paths, [*"ababab", "b", "a"]])


def numbered_files(folder):
    for number in range(6):
        image(folder / f"{number}.png")
    return table(folder, "foo,label", [range(6), [*"ababab"]])


def cyrillic(folder):
    texts = [f"хороший фильм и актёры, часть {number}".replace(",", "") for number in range(COUNT)]
    return table(folder, "text,label", [texts, KINDS], encoding="cp1251")


def years(folder):
    return images(folder, "2023/rose", "2023/tulip", "2024/rose", "2024/tulip")


def split_names(folder):
    return images(folder, "train/rose", "train/tulip", "other/rose", "test/rose", "test/tulip")


def two_each(folder):
    return images(folder, "a", "b", count=2)


SINGLE, MULTI, TASKS, NUMBERS = "single_label", "multi_label", "multi_task", "regression"
ROSES = ("rose", "tulip")
# Input, flags that are given, and for each step that is printed: the problem type, the number of
# examples, and the first classes that its flags give.
CASES = [
    (amounts, "", {"--problem_type=single_label": (SINGLE, 40, ("1000", "1037"))}),
    (few_numbers, "", {"--problem_type=regression": (NUMBERS, 40, ("label",))}),
    (fractions, "", {"--problem_type=single_label": (SINGLE, 40, ("0.0", "0.125"))}),
    (fractions_and_a_word, "", {"--problem_type=single_label": (SINGLE, 40, ("0.125", "0.25"))}),
    (fractions_and_a_word, "--problem_type=regression", {"--problem_type=single_label": None}),
    (two_amounts, "", {"--problem_type=multi_task": (TASKS, 40, ("w=0.0", "w=0.125"))}),
    (kind_and_price, "", {"--columns=label=price --problem_type=regression": (NUMBERS, 40, ())}),
    (
        kind_and_stars,
        "",
        {"--columns=label=stars --problem_type=regression": (NUMBERS, 40, ("stars",))},
    ),
    (two_kinds, "", {}),
    (two_kinds, "--problem_type=single_label", {"--problem_type=multi_task": (TASKS, 40, ())}),
    (same_labels, "", {"--columns=label=target": (SINGLE, 40, ("0", "1"))}),
    (column_of_splits, "", {"--columns=label=set": (SINGLE, 40, ("test", "train"))}),
    (composite, "", {"--problem_type=single_label": (SINGLE, 40, ("red", "red|flat"))}),
    (flags, "", {"--problem_type=multi_task": (TASKS, 40, ("a=0", "a=1"))}),
    (flags, "--problem_type=single_label", {"--problem_type=multi_label": (MULTI, 40, ("a", "b"))}),
    (one_hot, "", {"--problem_type=multi_label": (MULTI, 40, ("a", "b"))}),
    (repeated_rows, "", {"--problem_type=single_label": (SINGLE, 8, ("a", "b"))}),
    (numbered_files, "", {"--columns=text=foo": (SINGLE, 6, ("a", "b"))}),
    (cyrillic, "", {"--encoding=koi8_r": (SINGLE, 40, ("cat", "dog"))}),
    (
        years,
        "",
        {
            "--columns=label=folder2": (SINGLE, 24, ROSES),
            "--data={}/2023": (SINGLE, 12, ROSES),
            "--columns=label=folder1": (SINGLE, 24, ("2023", "2024")),
        },
    ),
    (
        split_names,
        "",
        {
            "--data={0}/train --test_data={0}/test": (SINGLE, 24, ROSES),
            "--columns=label=folder1": (SINGLE, 30, ("other", "test")),
        },
    ),
    (two_each, "", {"--test_fraction=0.5": (SINGLE, 4, ("a", "b"))}),
]


@pytest.mark.parametrize(("make", "given", "steps"), CASES)
def test_printed_flags_give_the_other_reading(make, given, steps, tmp_path):
    data = make(tmp_path)
    found = printed_flags(data, given.split())
    assert [shlex.join(words) for words in found] == [step.format(data) for step in steps]
    for words, expected in zip(found, steps.values()):
        kept = [word for word in given.split() if word.split("=")[0] not in " ".join(words)]
        examples = read(data, [*kept, *words])
        if expected:
            problem_type, count, classes = expected
            assert (examples.problem_type, len(examples)) == (problem_type, count)
            assert examples.classes[: len(classes)] == classes


def test_the_flag_for_two_examples_of_a_class_tests_one(tmp_path):
    examples = read(two_each(tmp_path), printed_flags(two_each(tmp_path), ())[0])
    assert examples.class_counts(examples.where("test")).tolist() == [1, 1]


def test_a_given_encoding_in_which_the_table_is_invalid_stops(tmp_path):
    path = cyrillic(tmp_path)
    with pytest.raises(tftransfer.UserError, match="40 lines have bytes that are invalid in utf-8"):
        read(path, ["--encoding=utf-8"])
    assert "хороший" in read(path).items[0].decode()  # as the remedy recommends: without the flag


def test_few_lines_that_are_invalid_in_a_given_encoding_are_reported(tmp_path):
    path = tmp_path / "table.csv"
    lines = [f"caf\u00e9 {number},{kind}".encode() for number, kind in enumerate(KINDS)]
    path.write_bytes(b"\n".join([b"text,label", *lines, b"caf\xe9,cat"]))
    assert any(
        "1 line has bytes that are invalid in utf-8, for example 'caf\ufffd,cat'" in warning
        for warning in read(path, ["--encoding=utf-8"]).warnings
    )
