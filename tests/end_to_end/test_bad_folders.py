"""Bad and unusual folders, names and archives on the command line."""

import io
import os
import re
import tarfile
import zipfile

import pytest
from bad_input_tools import (
    PNG,
    assert_stops_before_training,
    copy,
    count_examples,
    encode,
    run_command,
    writes,
)


def test_name_that_is_not_utf8_is_quarantined_and_printed_escaped(place, capsys):
    with open(os.fsencode(place.root / "red") + b"/\xff.png", "wb") as file:
        file.write(PNG)
    assert run_command(place, "--dry_run") == 0
    assert "the first is red/\\udcff.png: its name is not UTF-8" in capsys.readouterr().out


def write_system_files(place):
    for name in (
        "red/._x.jpg",
        "__MACOSX/red/x.jpg",
        ".DS_Store",
        "blue/Thumbs.db",
        ".ipynb_checkpoints/x.png",
        "blue/.ipynb_checkpoints/x.png",
    ):
        place.write(name, b"not an image")


def give_test_split(place):
    for name in ("blue", "green", "red"):
        copy(place, f"{name}/{name}03.png", f"test/{name}/1.png")
        (place.root / "train").mkdir(exist_ok=True)
        (place.root / name).rename(place.root / "train" / name)


def write_three_of_a_class(place):
    for number in range(3):
        place.write(f"rare/{number}.png", encode(size=(16, 16 + number)))


def link_out(place):
    (place.outside / "other.png").write_bytes(PNG)
    (place.root / "red" / "link.png").symlink_to(place.outside / "other.png")


def write_classes_of_two_cases(place):
    copy(place, "red/red01.png", "A/1.png")
    copy(place, "red/red02.png", "a/1.png")


USABLE = {
    "._x.jpg, __MACOSX/, .DS_Store, Thumbs.db, .ipynb_checkpoints/": (
        write_system_files,
        ["6 system files and folders are skipped: "],
    ),
    "unicode in names": (
        writes("red/größe 猫.png", encode(mode="LA")),
        ["dropped: red/größe 猫.png"],
    ),
    "newline in names": (writes("red/a\nb.png", encode(mode="LA")), ["dropped: red/a\\nb.png\n"]),
    "glob characters in names": (
        writes("red/[*]?.png", encode(mode="LA")),
        ["dropped: red/[*]?.png"],
    ),
    "link out of the root": (link_out, ["1 links lead out of", "red/link.png"]),
    "classes A and a": (
        write_classes_of_two_cases,
        ["classes that differ only in case: A, a"],
    ),
    "the same image in train and test": (
        give_test_split,
        ["Dropped 3 training images that are also in the given test split", "blue/blue03.png"],
    ),
    "the same image in two classes": (
        lambda p: copy(p, "red/red00.png", "blue/again.png"),
        ["1 content has more than one label, for example blue/again.png and red/red00.png"],
    ),
    "a class of 3 images": (
        write_three_of_a_class,
        ["classes with fewer than 10 examples: rare (3)"],
    ),
}


@pytest.mark.parametrize("case", USABLE)
def test_usable_folder_is_used_and_irregularities_get_a_warning(place, capsys, case):
    make, warnings = USABLE[case]
    make(place)
    assert run_command(place, "--dry_run") == 0
    captured = capsys.readouterr()
    assert not captured.err
    for warning in warnings:
        assert warning in captured.out
    files = [path for path in place.root.rglob("*") if path.is_file()]
    counts = [
        re.search(rf"(\d+) {what}", captured.out) for what in ("system files", "training image")
    ]
    missing = sum(int(found[1]) for found in counts if found)
    assert count_examples(captured.out) == len(files) - missing
    assert "quarantined" not in captured.out


def flat_folder(place):
    for number in range(3):
        (place.outside / "flat").mkdir(exist_ok=True)
        (place.outside / "flat" / f"{number}.png").write_bytes(PNG)
    return f"--data={place.outside / 'flat'}"


def one_class(place):
    (place.outside / "one" / "only").mkdir(parents=True)
    (place.outside / "one" / "only" / "1.png").write_bytes(PNG)
    return f"--data={place.outside / 'one'}"


def unreadable_class(place):
    """Simulates missing permissions, which do not stop root."""
    real = os.scandir

    def guarded(path="."):
        if os.fspath(path) == os.fspath(place.root / "red"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    place.patch.setattr(os, "scandir", guarded)


def loop(place):
    (place.root / "loop").symlink_to("..")


def truncate_all_of_red(place):
    for path in (place.root / "red").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    return "--max_quarantine=0.9"


def two_bad_files(place):
    for number in range(2):
        place.write(f"red/bad{number}.jpg")


def newline_in_the_name_of_a_bad_file(place):
    place.write("red/a\nb.jpg")
    return "--max_quarantine=0"


def archive(name, content, *, large=False):
    """Returns a function that writes an archive with one member."""

    def make(place):
        path = place.outside / name
        data = bytes(200 << 20) if large else PNG
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr(content, data)
        else:
            with tarfile.open(path, "w:gz") as file:
                info = tarfile.TarInfo(content)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return f"--data={path}"

    return make


UNUSABLE = {
    "no usable file of a class": (truncate_all_of_red, "No file of the class 'red' can be used"),
    "more than 5 % unusable": (two_bad_files, "2 of 38 files cannot be used, the first red/bad0"),
    "newline in the name of a bad file": (newline_in_the_name_of_a_bad_file, "red/a\\nb.jpg"),
    "symlink loop": (loop, "loop is a link to a folder above it"),
    "unreadable class folder": (unreadable_class, "red cannot be read: Permission denied"),
    "empty class folder": (lambda p: (p.root / "new").mkdir(), "new has no files"),
    "one class": (one_class, "has 1 class folders (only)"),
    "flat folder": (flat_folder, "has 0 class folders"),
    "missing path": (lambda p: f"--data={p.root}x", "imagesx does not exist"),
    "path is a file": (lambda p: f"--data={p.write('a.png', PNG)}", "neither a folder nor"),
    "archive with ../": (archive("x.zip", "../a/1.png"), "because of its member '../a/1.png'"),
    "archive with ../ in a tar file": (archive("x.tar.gz", "../a.png"), "member '../a.png'"),
    "archive bomb": (
        archive("x.zip", "a/1.png", large=True),
        "x.zip is refused because of its member 'a/1.png'",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_folder_or_archive_stops_before_training(place, capsys, case):
    assert_stops_before_training(place, capsys, UNUSABLE[case])
