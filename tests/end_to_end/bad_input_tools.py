"""What the tests of bad inputs share: a folder of images, the command line, and bad files."""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tftransfer.cli import main

SETTINGS = (
    "--backbone=small_cnn",
    "--weights=none",
    "--image_size=32",
    "--recipe=scratch:epochs=1",
)
ALL_EXAMPLES = "27 train, 3 val, 6 test; single_label, 3 classes"


@dataclass(frozen=True)
class Place:
    """Where a case writes its input.

    Attributes:
      root: Folder of 36 good images in three classes.
      outside: Folder for other files.
      patch: Monkeypatch of the test.
    """

    root: Path
    outside: Path
    patch: pytest.MonkeyPatch = field(repr=False)

    def write(self, name, data=b""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def table(self, text, name="table.csv"):
        return self.write(name, text.encode())


def run_command(place, *flags, name="train"):
    """Runs a command on the folder, unless the flags name other data; returns the exit code."""
    data = () if any(flag.startswith("--data=") for flag in flags) else (f"--data={place.root}",)
    given = {flag.partition("=")[0] for flag in flags}
    given |= {"--recipe"} if "--config" in given or name == "inspect" else set()
    settings = [each for each in SETTINGS if each.partition("=")[0] not in given]
    return main.main([name, *data, *settings, *flags])


def train_in_folder(place, *flags):
    """Trains without an export; returns the exit code and the folder of the run."""
    run = place.outside / "run"
    return run_command(place, f"--workdir={run}", "--noexport", *flags), run


def count_examples(output):
    """Returns the examples of all splits that a plan prints."""
    line = next(line for line in output.splitlines() if line.startswith("data "))
    return sum(int(number) for number in re.findall(r"(\d+) (?:train|val|test)", line))


def first_of_two_lines(capsys):
    """Returns the first line of an error, which must have two and no traceback."""
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    lines = errors.splitlines()
    assert len(lines) == 2 and lines[0].startswith("tftransfer: ") and lines[1]
    return lines[0]


def assert_stops_before_training(place, capsys, case):
    """Checks a case (function that makes the input, text of the first line of the error)."""
    make, message = case
    flags = make(place) or ()
    flags = (flags,) if isinstance(flags, str) else flags
    assert run_command(place, *flags, "--dry_run") == 2
    assert message in first_of_two_lines(capsys)


def encode(file_format="PNG", size=(16, 16), mode="RGB", **options):
    """Returns a random image as encoded bytes."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, file_format, **options)
    return file.getvalue()


JPEG, PNG = encode("JPEG", (64, 64)), encode("PNG")


def copy(place, source, target):
    place.write(target, (place.root / source).read_bytes())


def writes(name, data):
    """Returns a function that writes a file."""
    return lambda place: place.write(name, data)


def cells(*rows, header="path,label"):
    """Returns a table of good rows, then these."""
    good = [f"{name}/{name}{k:02}.png,{name}" for name in ("blue", "red") for k in range(4)]
    return "\n".join([header, *good, *rows]) + "\n"


def table(*rows, **options):
    """Returns a function that writes a table of good rows, then these, and returns its flag."""
    return lambda place: f"--data={place.table(cells(*rows, **options))}"


def text(content):
    """Returns a function that writes a table with this content, and returns its flag."""
    return lambda place: f"--data={place.table(content)}"
