"""The project speaks the field's words: no word of the old dialect in what people read.

`python tests/test_words.py [PATH ...]` lists every hit with its line. Read are strings, docstrings,
comments, names of tests, and pages; identifiers are not.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A pattern (whole words, any case), and what to write instead.
WORDS = {
    r"pictures?": "image; plot for a drawing",
    r"figures?": "metric, value; plot for a drawing",
    r"parted|parting": "split, separated by, delimiter",
    r"hears?|heard": "accepts, uses; handles",
    r"tells?|told": "reports, prints, shows",
    r"says?|said": "reports, prints, shows",
    r"mend(?:s|ed|ing)?": "fix",
    r"anew": "again",
    r"alike": "similar, same",
    r"beside": "next to, also",
    r"as of|of its own|of their own": "like; separate",
    r"goes on|go on|went on|gone on|going on": "resumes, continues",
    r"stands? in|stood in": "is in",
    r"does not do": "is insufficient",
    r"(?:frozen|stored|network's|the|a|no|each|whose|its) prefix(?:es)?": "frozen layers",
    r"(?:the|a|each|its|trained) suffix(?:es)?": "trainable layers",
    r"kinds? of (?:input|label|labels|target|data)": "modality; problem type",
    r"taps?|tapped": "layer",
    r"shelf|shelves": "backbone cache",
    r"lessons?": "teacher outputs",
    r"mender": "recovery",
    r"put back|puts back": "restore",
    r"judge[sd]?|judging": "evaluate",
    r"left out|leave out|leaves out|leaving out": "skipped, quarantined; held out",
    r"choices?": "automatic settings; option, selection",
    r"biggest problem": "main issue",
    # American spelling, as in the libraries around us.
    r"\w*colour\w*": "color",
    r"grey\w*": "gray",
    r"behaviou?rs?(?<!behavior)(?<!behaviors)": "behavior",
    r"neighbour\w*": "neighbor",
    r"favour\w*": "favor",
    r"centre[ds]?": "center",
    r"(?:re)?label+ed(?<!labeled)|label+ing(?<!labeling)": "labeled, labeling",
    r"\w*(?:normal|regular|optim|serial|general|initial|minim|maxim|organ|recogn|summar)is\w*"
    r"(?<!optimistic)(?<!optimism)(?<!organism)(?<!organisms)": "-ize",
    r"licen[c]e[sd]?": "license",
    r"learnt|spelt": "learned, spelled",
    r"catalogue|analyse[ds]?|artefacts?|whilst|grille|metres?|programme": "American spelling",
}
# (path pattern, word pattern): why the word may stay there.
EXCEPTIONS = {
    (r"tests/test_words\.py", r".*"): "this file lists the words",
}
_PATTERNS = {
    re.compile(rf"(?<![\w/.`-])(?:{word})(?![\w`-])", re.IGNORECASE): advice
    for word, advice in WORDS.items()
}
_CODE = re.compile(r"``?[^`\n]+``?|https?://\S+")


def texts_of_python(path):
    """Line number and text of what people read in a Python file."""
    source = path.read_text()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING:
            for number, line in enumerate(token.string.split("\n")):
                yield token.start[0] + number, line
    if path.name.startswith("test_"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.lineno, node.name.replace("_", " ")


def texts_of_notebook(path):
    for cell in json.loads(path.read_text())["cells"]:
        for line in "".join(cell["source"]).split("\n"):
            if cell["cell_type"] == "markdown" or line.lstrip().startswith("#"):
                yield 0, line


def texts_of(path):
    if path.suffix == ".py":
        return texts_of_python(path)
    if path.suffix == ".ipynb":
        return texts_of_notebook(path)
    return enumerate(path.read_text().split("\n"), 1)


def allowed(path, pattern):
    name = path.relative_to(ROOT).as_posix()
    return any(
        re.fullmatch(where, name) and re.fullmatch(word, pattern) for where, word in EXCEPTIONS
    )


def hits(path):
    """`PATH:LINE word: advice` for every hit in a file."""
    for number, text in texts_of(path):
        plain = _CODE.sub(" ", text)
        for pattern, advice in _PATTERNS.items():
            for found in pattern.finditer(plain):
                if not allowed(path, found[0].lower()):
                    yield f"{path.relative_to(ROOT)}:{number} {found[0]!r}: write {advice}"


def files():
    command = ["git", "-C", str(ROOT), "ls-files", "*.py", "*.md", "*.ipynb", "*.cfg", "*.cff"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_of_the_old_dialect_are_gone(path):
    assert not list(hits(path))


if __name__ == "__main__":
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    for file in files():
        if not chosen or any(file == each or each in file.parents for each in chosen):
            print(*hits(file), sep="\n", end="\n" * bool(list(hits(file))))
