"""The report in headless Chromium: nothing overflows, the console is silent, hovering shows values."""
import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

# Measures the page from inside and posts what it found. What scrolls in a box of its own may be wide.
PROBE = """<script>addEventListener('load', () => {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter((element) => {
    const box = element.closest('.scroll, nav');
    return (!box || box === element) && element.getBoundingClientRect().right > width + 1;
  }).map((element) => element.tagName + '.' + element.className);
  const hover = (element, x, y) => {
    const box = element.getBoundingClientRect();
    element.dispatchEvent(new PointerEvent('pointermove', {
      bubbles: true, clientX: box.left + box.width * x, clientY: box.top + box.height * y}));
    const tip = document.getElementById('tip');
    return tip.hidden ? '' : tip.textContent;
  };
  const map = document.querySelector('#figure-expert-usage svg');
  const [left, top, cellWidth, cellHeight] = map.dataset.frame.split(' ').map(Number);
  const size = map.viewBox.baseVal;
  const cell = hover(map, (left + 2.5 * cellWidth) / size.width, (top + 1.5 * cellHeight) / size.height);
  const button = document.getElementById('theme');
  const before = getComputedStyle(document.body).backgroundColor;
  button.click();
  const after = getComputedStyle(document.body).backgroundColor;
  parent.postMessage(JSON.stringify({
    scroll: document.documentElement.scrollWidth - width, wide, cell,
    point: hover(document.querySelector('#figure-normalised-entropy circle'), .5, .5),
    panels: document.querySelectorAll('#figure-transitions .panel:not([hidden])').length,
    themes: [before, after]}), '*');
});</script></body>"""


def probe(folder, report, width):
    """What PROBE found at a viewport of `width` pixels, and the console's lines. A window has a smallest
    width, so the page is put into a frame."""
    page = report.read_text(encoding="utf-8")
    (folder / "page.html").write_text(page.replace("</body>", PROBE), encoding="utf-8")
    (folder / "frame.html").write_text(
        f'<iframe src="page.html" style="width:{width}px;height:2000px"></iframe><pre></pre><script>addEventListener('
        '"message",(event)=>{document.querySelector("pre").textContent=event.data})</script>', encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--enable-logging=stderr", "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}",
         "--dump-dom", (folder / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=300)
    found = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found.group(1))), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [360, 1280])
def test_page_in_a_browser(output, tmp_path, width):
    found, console = probe(tmp_path, output / "report.html", width)
    assert console == []
    assert found["scroll"] <= 0 and found["wide"] == []
    assert found["panels"] == 1
    assert found["themes"][0] != found["themes"][1]
    assert "normalised entropy" in found["point"]
    usage = json.loads((output / "tables/expert-usage.json").read_text())
    [row] = [row for row in usage if row["moe_layer"] == 1 and row["expert"] == 2]
    place, value = found["cell"].split("\n")
    assert place == f"layer {row['decoder_layer']}, expert 2"
    assert float(value.rstrip("×")) == pytest.approx(row["ratio_to_even"], abs=0.011)
