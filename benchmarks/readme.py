"""Writes the table of results in README.md from what the benchmarks stored.

python benchmarks/readme.py
"""

import re
from pathlib import Path

from results import interval, stored_results, with_interval

README = Path(__file__).parents[1] / "README.md"
_TABLE = re.compile(r"(<!-- results -->\n).*?(<!-- end of results -->)", re.DOTALL)
# Data, the benchmark, and the two rows that are compared: name on the page to name in the results.
ROWS = (
    (
        "2,934 flower photographs",
        "accuracy",
        ("from scratch, same number of epochs", "flowers, scratch, same epochs"),
        ("`fine_tune`, MobileNetV2", "flowers, fine_tune"),
    ),
    (
        "flowers, 30 labels per class",
        "methods",
        ("from scratch", "flowers, 30 labels per class: scratch"),
        ("`fine_tune`, MobileNetV2", "flowers, 30 labels per class: fine-tuning"),
    ),
    (
        "MNIST to USPS, no labels of USPS",
        "methods",
        ("source only", "MNIST to USPS: source only"),
        ("`fine_tune+coral+entropy`", "MNIST to USPS: Deep CORAL and entropy"),
    ),
    (
        "Office, amazon to webcam, no labels of webcam",
        "methods",
        ("source only", "Office: amazon to webcam: source only"),
        ("`fine_tune+coral+entropy`", "Office: amazon to webcam: Deep CORAL and entropy"),
    ),
    (
        "SST-2, 64 labels per class",
        "text",
        ("from scratch", "64 labels per class, MiniLM architecture from scratch"),
        ("`few_shot+setfit`, MiniLM", "64 labels per class, SetFit"),
    ),
    (
        "ESC-10, 100 clips",
        "audio",
        ("small CNN from scratch", "ESC-10: small CNN from scratch"),
        ("`few_shot`, YAMNet", "ESC-10: YAMNet frozen, linear head"),
    ),
)


def accuracy(benchmark, row):
    """Mean accuracy of a stored row, with its 95 % interval."""
    measured = stored_results(benchmark)[row]["measured"]
    runs = measured["runs"] if isinstance(measured, dict) else measured
    return with_interval(*interval([run["accuracy"] for run in runs]))


def table():
    """Lines of Markdown."""
    lines = ["| data | without | | with | |", "|---|---|---|---|---|"]
    for data, benchmark, *rows in ROWS:
        cells = [cell for name, row in rows for cell in (name, accuracy(benchmark, row))]
        lines.append(f"| {data} | {' | '.join(cells)} |")
    return lines


def with_table(text):
    """The text of README.md with the table of today's results."""
    lines = "\n".join(table())
    return _TABLE.sub(lambda found: f"{found[1]}\n{lines}\n\n{found[2]}", text)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
    print(README)
