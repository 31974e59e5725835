"""Every command and every Python block of the pages runs, and every link leads somewhere."""

import re
import shutil

import pytest
from pages import PAGES, ROOT, RUN, SHOWN, all_commands, blocks, is_run, name_of, run_page

import tftransfer
from tftransfer.cli.commands import COMMANDS
from tftransfer.cli.parse import parse_arguments

README = ROOT / "README.md"
# On the pages, the folder of a transformer in Hugging Face's format.
ENCODER = "all-MiniLM-L6-v2"
MAX_README_LINES, MAX_README_WORDS = 180, 900
page_names = pytest.mark.parametrize("page", PAGES, ids=name_of)


@page_names
def test_code_block_of_a_page_has_a_known_language(page):
    for block in blocks(page):
        assert block.language in (*RUN, *SHOWN), f"{name_of(page)}:{block.line}"


@pytest.mark.parametrize(
    "words",
    [words for _, words in all_commands() if words[0] == "tftransfer"],
    ids=" ".join,
)
def test_command_of_a_page_is_parsed(words):
    name, *rest = words[1:]
    assert name in COMMANDS
    rest = [word for word in rest if not word.startswith("--config")]
    # A config that the page names may give what is required.
    given = {word.partition("=")[0] for word in rest}
    required = {f"--{flag}" for flag in COMMANDS[name].required} - given
    if rest != ["--help"]:
        parse_arguments(COMMANDS[name], [*rest, *(f"{flag}=x" for flag in required)])


@page_names
def test_python_of_a_page_compiles_and_uses_public_names(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, str(page), "exec")
            used = set(re.findall(r"\btftransfer\.(\w+)\b(?! import)", block.text))
            modules = {path.stem for path in (ROOT / "tftransfer").iterdir()}
            assert used <= {*dir(tftransfer), *modules}, f"{name_of(page)}:{block.line}"


@page_names
def test_recipe_in_the_text_of_a_page_has_known_names_and_options(page):
    recipes, methods = tftransfer.recipes.RECIPES, tftransfer.recipes.METHODS
    for spec in re.findall(r"`(\+?[a-z_0-9]+(?:[:+][^`\s]*)?)`", page.read_text()):
        first = re.split(r"[:+]", spec.removeprefix("+"))[0]
        if first in methods or (first in recipes and re.search(r"[:+]", spec)):
            base = "fine_tune" if first in methods else ""
            tftransfer.recipes.parse_recipe(f"{base}+{spec.removeprefix('+')}".removeprefix("+"))


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@page_names
def test_links_of_a_page_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is():
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                waiting.append((page.parent / target).resolve())
    assert set(PAGES) <= reached


def test_readme_is_short():
    text = README.read_text()
    assert len(text.splitlines()) <= MAX_README_LINES
    assert len(text.split()) <= MAX_README_WORDS


@pytest.mark.slow
@pytest.mark.parametrize("page", list(filter(is_run, PAGES)), ids=name_of)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch, request):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    if ENCODER in page.read_text():
        shutil.copytree(request.getfixturevalue("tiny_bert")[0], tmp_path / ENCODER)
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)
