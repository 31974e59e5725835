"""Reads the code blocks of the Markdown pages and runs them on small generated data."""

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from page_data import MAKERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Blocks in these languages are run, or shown only.
RUN, SHOWN = ("sh", "python"), ("text", "json", "csv")
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
# Pretrained weights need a network, so small networks with random weights take their place.
_DEFAULT_BACKBONE = "mobilenet_v2"
_USES_BACKBONE = ("train", "compare", "episodes")
_STAND_INS = {
    "mobilenet_v2": "small_cnn:width=4,depth=5",
    "efficientnet_v2_b0": "small_cnn:width=4,depth=5",
    "resnet50": "small_cnn:width=8,depth=5",
}
_RANDOM = ("yamnet",)
_IMAGE_SIZE = 32


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page.

    Attributes:
      page: File of the page.
      line: Number of the line of the fence, from 1.
      language: What stands after the fence.
      text: The code.
    """

    page: Path
    line: int
    language: str
    text: str

    def commands(self):
        """The commands of a shell block, without comments; continued lines are joined."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks(page):
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        indent, language, code = found.groups()
        code = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
        yield Block(page, text.count("\n", 0, found.start()) + 1, language, code)


def name_of(page):
    return page.relative_to(ROOT).with_suffix("").as_posix()


def write_placeholders(page, folder):
    """Writes the data that the page names, such as `flower_photos`, into the folder."""
    words = set(re.findall(r"[\w./-]+", page.read_text()))
    for name, make in MAKERS.items():
        if any(word == name or word.startswith(f"{name}/") for word in words):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            make(folder / name)


def offline_command(words):
    """The command with small random networks in place of pretrained ones."""
    flags = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    default = _DEFAULT_BACKBONE if words[0] in _USES_BACKBONE else ""
    name = flags.get("--backbone", default).partition(":")[0]
    if name not in (*_STAND_INS, *_RANDOM):
        return words
    changes = {} if "--weights" in flags else {"--weights": "none"}
    if name in _STAND_INS:
        changes |= {"--backbone": _STAND_INS[name], "--image_size": str(_IMAGE_SIZE)}
    kept = [word for word in words[1:] if word.partition("=")[0] not in changes]
    return [words[0], *(f"{flag}={value}" for flag, value in changes.items()), *kept]


def offline_code(code):
    """The Python code with small random networks in place of pretrained ones."""
    for name, small in _STAND_INS.items():
        code = re.sub(rf'backbone="{name}(?::[^"]*)?"', f'backbone="{small}", weights="none"', code)
        code = re.sub(r"image_size=\d+", f"image_size={_IMAGE_SIZE}", code)
    for name in _RANDOM:
        code = re.sub(rf'(backbone="{name}(?::[^"]*)?")', r'\1, weights="none"', code)
    return code


def run_command(words):
    """Runs a command of tftransfer in this process; other programs are only checked."""
    from tftransfer.cli import main

    if words[0] != "tftransfer":
        check_other_command(words)
        return
    assert main.main(offline_command(words[1:])) == 0, shlex.join(words)


def check_other_command(words):
    """Checks that what the set-up commands name exists."""
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {w for w in words[1:] if "=" not in w} <= set(targets), words
    elif words[:2] == ["pip", "install"]:
        for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
            assert re.search(rf"^{extra} =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    elif words[0] == "python":
        program = ROOT / words[1]
        for flag in (word.partition("=")[0][2:] for word in words[2:]):
            assert re.search(rf'DEFINE_\w+\(\s*"{flag}"', program.read_text()), words
    else:
        assert words[:2] in (["pre-commit", "install"], ["git", "clone"]), words


def run_page(page, folder):
    """Runs all blocks of a page in order in the current folder; Python blocks share names."""
    write_placeholders(page, folder)
    names = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "sh":
            for words in block.commands():
                run_command(words)
        elif block.language == "python":
            # Errors name the page and its line.
            code = "\n" * block.line + offline_code(block.text)
            exec(compile(code, str(page), "exec"), names)


def is_run(page):
    """Whether blocks of the page are run; `test_contributing.py` runs those of CONTRIBUTING.md."""
    has_code = any(block.language in RUN for block in blocks(page))
    return has_code and page.name != "CONTRIBUTING.md"


def all_commands():
    """Page and words of every command on every page."""
    return list(
        itertools.chain.from_iterable(
            (
                (page, words)
                for block in blocks(page)
                if block.language == "sh"
                for words in block.commands()
            )
            for page in PAGES
        )
    )
