"""analyze from outside: one whole page, its tables, and what it refuses. What charts say is tested in tests/report."""
import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import fails, manifest, run


def test_page_tables_and_drawings(demo_trace, tmp_path):
    page = tmp_path / "report.html"
    run("analyze", "--traces", demo_trace, "--predictor", "frequency", "--predictor", "token-table", "--output", page,
        "--tables", tmp_path / "tables", "--svg", tmp_path / "svg")
    html = page.read_text()
    assert html.lstrip().lower().startswith("<!doctype html>") and html.rstrip().endswith("</html>")
    assert "token-table" in html
    for remote in ("<script src=", "<link rel=\"stylesheet\"", "@import", "src=\"http"):
        assert remote not in html
    assert page.stat().st_size < 2_000_000
    assert list((tmp_path / "svg").glob("*.svg"))
    tables = list((tmp_path / "tables").glob("*.csv"))
    assert tables and all(json.loads(p.with_suffix(".json").read_text()) for p in tables)


def test_usage_is_what_numpy_counts(demo_trace, tmp_path):
    run("analyze", "--traces", demo_trace, "--output", tmp_path / "r.html", "--tables", tmp_path / "tables")
    counts = np.zeros((8, 8), dtype=int)
    for shard in manifest(demo_trace)["shards"]:
        for row in pq.read_table(demo_trace / shard["file"]).to_pylist():
            experts = np.array(row["experts"]).reshape(-1, 8, 2)
            for layer in range(8):
                counts[layer] += np.bincount(experts[:, layer].reshape(-1), minlength=8)
    with open(tmp_path / "tables" / "expert-usage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64
    for row in rows:
        layer, expert = int(row["moe_layer"]), int(row["expert"])
        assert int(row["decisions"]) == counts[layer, expert]
        assert abs(float(row["share"]) - counts[layer, expert] / counts[layer].sum()) < 1e-6


MEASURE = """<script>addEventListener("load", () => {
  const outside = element => {
    const box = element.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth;
  };
  document.title = JSON.stringify({
    page: document.documentElement.scrollWidth <= innerWidth,
    menu: [...document.querySelectorAll("nav a")].filter(outside).map(link => link.textContent),
  });
});</script>"""


def test_the_menu_stays_inside_the_page(demo_trace, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium here")
    run("analyze", "--traces", demo_trace, "--predictor", "frequency", "--output", tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    assert html.count("<a href=\"#") > 10
    (tmp_path / "measured.html").write_text(html.replace("</body>", MEASURE + "</body>"))
    for width in (320, 390, 768, 1024, 1280, 1600):
        done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},800",
                               "--dump-dom", f"file://{tmp_path}/measured.html"], capture_output=True, text=True,
                              timeout=120)
        found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout).group(1))
        assert found == {"page": True, "menu": []}, width


def test_refusals(demo_trace, tmp_path):
    fails("analyze", "--traces", tmp_path / "none", "--output", tmp_path / "r.html", code=1, saying=["none"])
    fails("analyze", "--traces", demo_trace, "--predictor", "oracle", "--output", tmp_path / "r.html", code=2,
          saying=["oracle"])
    assert not (tmp_path / "r.html").exists()
    (tmp_path / "file").write_text("")
    fails("analyze", "--traces", demo_trace, "--output", tmp_path / "file" / "r.html", code=1, saying=["file"])
