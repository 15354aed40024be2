"""The examples of docs/python.md are run, in their order, where the page says they are."""
import re
import shutil

import pytest

from conftest import MODEL, ROOT, program

PAGE = ROOT / "docs/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_of_the_page(demo_trace, tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    shutil.copytree(demo_trace, tmp_path / "traces")
    (tmp_path / "model").symlink_to(MODEL)
    program("train", "--traces", demo_trace, "--predictor", "statistics", "--lead", "layer-1", "--output", tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 7
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "1 texts, 9 tokens; left out: 1 last tokens that were never run" in printed
    assert "nowhere is not a trace directory" in printed and "Traces('traces'" in printed
