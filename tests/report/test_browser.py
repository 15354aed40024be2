"""The report in headless Chromium: nothing overflows, the console is silent, pointer and keyboard show the values that
the tables hold, in both themes, on a desktop and on a phone."""
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
  const tip = document.getElementById('tip');
  const wide = [...document.querySelectorAll('body *')].filter((element) => {
    const box = element.closest('.scroll, nav');
    return (!box || box === element) && element.getBoundingClientRect().right > width + 1;
  }).map((element) => element.tagName + '.' + element.className);
  const hover = (element, x, y) => {
    const box = element.getBoundingClientRect();
    element.dispatchEvent(new PointerEvent('pointermove', {
      bubbles: true, clientX: box.left + box.width * x, clientY: box.top + box.height * y}));
    return tip.hidden ? '' : tip.textContent;
  };
  const cell = (id, row, column) => {
    const map = document.querySelector(`#figure-${id} svg`);
    const [left, top, cellWidth, cellHeight] = map.dataset.frame.split(' ').map(Number);
    const size = map.viewBox.baseVal;
    return hover(map, (left + (column + .5) * cellWidth) / size.width, (top + (row + .5) * cellHeight) / size.height);
  };
  const keys = (id, ...names) => {
    const svg = document.querySelector(`#figure-${id} svg`);
    for (const key of names) svg.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    return tip.hidden ? '' : tip.textContent;
  };
  const found = {
    scroll: document.documentElement.scrollWidth - width, wide,
    usage: cell('expert-usage', 1, 2), information: cell('layer-information', 0, 2),
    diagonal: cell('layer-information', 1, 1), journey: cell('journeys', 3, 5),
    point: hover(document.querySelector('#figure-normalised-entropy circle'), .5, .5),
    foreseen: cell('foreseen', 3, 5),
    cost: keys('recall-by-cost', 'ArrowRight'),
    speed: cell('simulated-speed', 1, 7), missed: keys('miss-curves', 'ArrowRight'),
    bar: hover(document.querySelector('#figure-extreme-experts rect'), .5, .5),
    keyed: keys('expert-usage', 'ArrowDown', 'ArrowRight', 'ArrowRight'),
    keyedPoint: keys('cache-hits', 'ArrowRight'),
    escaped: keys('cache-hits', 'Escape'),
    silentCharts: [...document.querySelectorAll('svg.chart')].filter((svg) =>
      !svg.dataset.frame && !svg.querySelector('[data-tip]')).length,
    unnamed: [...document.querySelectorAll('svg.chart')].filter((svg) => !svg.getAttribute('aria-label')).length,
    saveable: document.querySelectorAll('button.data:not([hidden])').length,
    figures: document.querySelectorAll('figure').length,
    panels: document.querySelectorAll('#figure-transitions .panel:not([hidden])').length};
  const colors = () => [document.body, document.querySelector('section'), document.querySelector('svg text')]
    .map((element) => getComputedStyle(element)[element.tagName === 'text' ? 'fill' : 'backgroundColor']);
  const button = document.getElementById('theme');
  const before = colors();
  button.click();
  parent.postMessage(JSON.stringify({...found, themes: [before, colors()]}), '*');
});</script></body>"""


def probe(folder, report, width, dark=False):
    """What PROBE found at a viewport of `width` pixels, and the console's lines. A window has a smallest
    width, so the page is put into a frame."""
    page = report.read_text(encoding="utf-8")
    if dark:
        page = page.replace("<html ", '<html data-theme="dark" ', 1)
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_page_in_a_browser(output, tmp_path, width, dark):
    def table(name):
        return json.loads((output / f"tables/{name}.json").read_text())

    found, console = probe(tmp_path, output / "report.html", width, dark)
    assert console == []
    assert found["scroll"] <= 0 and found["wide"] == []
    assert found["panels"] == 1
    assert found["silentCharts"] == 0 and found["unnamed"] == 0
    assert found["saveable"] == found["figures"] > 20
    assert all(before != after for before, after in zip(*found["themes"]))
    # The body is lighter than its text in the light theme, darker in the dark one.
    brightness = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in found["themes"][0]]
    assert (brightness[0] < brightness[2]) == dark

    [usage] = [row for row in table("expert-usage") if row["moe_layer"] == 1 and row["expert"] == 2]
    place, value = found["usage"].split("\n")
    assert place == f"layer {usage['decoder_layer']}, expert 2"
    assert float(value.rstrip("×")) == pytest.approx(usage["ratio_to_even"], abs=0.011)
    assert found["keyed"] == found["usage"]

    [pair] = [row for row in table("layer-information") if (row["moe_layer_a"], row["moe_layer_b"]) == (0, 2)]
    place, value = found["information"].split("\n")
    assert place == f"layer {pair['decoder_layer_a']}, layer {pair['decoder_layer_b']}"
    assert float(value.removesuffix(" bits")) == pytest.approx(pair["bits"], abs=2e-3)
    assert found["diagonal"].endswith("the layer itself")

    first = table("journeys")[0]
    [step] = [row for row in table("journeys") if (row["dataset"], row["sample"]) == (first["dataset"], first["sample"])
              and row["moe_layer"] == 3 and row["position"] == 5]
    assert found["journey"].split("\n")[1] == "experts " + step["experts"].replace(" ", ", ")

    # The first panel's predictor is the best of the first lead.
    rows = [row for row in table("recall") if row["metric"] == "recall@2" and row["lead"] == "next-token"]
    best = max(rows, key=lambda row: row["mean"])["predictor"]
    steps = [row for row in table("foreseen") if (row["predictor"], row["lead"]) == (best, "next-token")
                and row["moe_layer"] == 3 and row["position"] == 5]
    experts = [(row["expert"], row["found"]) for row in steps[:2]]
    missed = [str(expert) for expert, found in experts if not found]
    assert found["foreseen"].split("\n")[1:] == [
        "experts " + ", ".join(str(expert) for expert, _ in experts),
        "missed " + ", ".join(missed) if missed else "all foreseen"]
    assert "FLOP/token" in found["cost"]

    speeds = table("simulated-speed")
    budgets = list(dict.fromkeys(row["budget"] for row in speeds))
    [speed] = [row for row in speeds if (row["prefetch"], row["budget"]) == ("oracle-4", budgets[7])]
    place, value = found["speed"].split("\n")
    assert place == f"prefetch oracle-4, cache {budgets[7]}"
    assert float(value.split()[0].replace(",", "")) == pytest.approx(speed["tokens_per_second"], rel=0.05)
    assert found["missed"].startswith("lru")

    entropy = table("normalised-entropy")[0]["normalised_entropy"]
    assert found["point"].endswith(f"{entropy:.3f}")
    hottest = max(row["ratio_to_even"] for row in table("expert-usage"))
    assert found["bar"].endswith(f"{hottest:.2f}×")
    at_two = [row["lru_hit_rate"] for row in table("cache-hits") if row["cache_size"] == 2]
    assert found["keyedPoint"].startswith("LRU") and found["keyedPoint"].endswith(f"{100 * sum(at_two) / len(at_two):.1f}%")
    assert found["escaped"] == ""
