"""What the documents point at is there: files, headings, and paths of the repository named in backticks."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PATH_IN_TEXT = re.compile(r"`((?:src|apps|bench|cmake|docs|examples|include|tests|tools)/[\w./-]+)`")


def documents():
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"),
             *(ROOT / "tests").rglob("*.md")]
    return sorted(found)


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    slugs = set()
    for heading in HEADING.findall(CODE_BLOCK.sub("", text)):
        words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        slugs.add(words.replace(" ", "-"))
    return slugs


def broken_links(document, text):
    for target in LINK.findall(CODE_BLOCK.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file.read_text()):
            yield f"{target}: no such heading"


def missing_paths(text):
    return [path for path in PATH_IN_TEXT.findall(text) if not (ROOT / path).exists()]


def test_documents_are_found():
    assert len(documents()) > 10


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(document):
    assert list(broken_links(document, document.read_text())) == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_exist(document):
    assert missing_paths(document.read_text()) == []


def test_broken_ones_are_noticed():
    text = "# A `b`, c\n[x](nowhere.md) [y](#a-b-c) [z](#d)\n`src/nowhere.cpp` and `src/base`\n"
    document = ROOT / "docs" / "invented.md"
    assert anchors(text) == {"a-b-c"}
    assert missing_paths(text) == ["src/nowhere.cpp"]
    assert list(broken_links(document, "[x](nowhere.md)")) == ["nowhere.md: no such file"]
    assert list(broken_links(document, "[x](predictors.md#nowhere)")) == ["predictors.md#nowhere: no such heading"]
