"""foregate analyze, from outside: the page and the SVG files parse, the tables agree with the trace."""
import csv
import html.parser
import json
import xml.etree.ElementTree

import pytest

from conftest import EVIL, run

VOID = {"meta"}


class Outline(html.parser.HTMLParser):
    """Fails on elements that are not closed in order; collects ids, links and sources."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-label"]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_balanced_and_alone(output):
    outline = Outline()
    page = (output / "report.html").read_text(encoding="utf-8")
    outline.feed(page)
    outline.close()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert all(link.startswith("#") and link[1:] in outline.ids for link in outline.links)
    assert EVIL in "".join(outline.text)
    assert "<b>" not in page


def test_svgs_are_xml(output):
    files = sorted((output / "svg").glob("*.svg"))
    assert files
    for file in files:
        root = xml.etree.ElementTree.parse(file).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title").text


def test_simulation_agrees_with_the_command(output):
    done = run("simulate", "--traces", output / "traces", "--budget", "30%,80%", "--policy", "lru-token,belady", "--json")
    cells = {(cell["policy"], cell["budget"]): cell["generated"]["hit_rate"] for cell in json.loads(done)["cells"]}
    curves = json.loads((output / "tables/miss-curves.json").read_text())
    found = {(row["policy"], row["budget"]): row["miss_rate"] for row in curves}
    for key, rate in cells.items():
        assert found[key] == pytest.approx(1 - rate)
    speed = json.loads((output / "tables/simulated-speed.json").read_text())
    assert {row["prefetch"] for row in speed} == {"on demand", "oracle-4", str(output / "trained")}
    done = run("simulate", "--traces", output / "traces", "--budget", "30%", "--policy", "lrfu-8", "--hardware", "rtx3090",
               "--expert-size", "1MB", "--predictor", output / "trained", "--json")
    _, trained = json.loads(done)["runs"]
    [row] = [row for row in speed if row["prefetch"] == str(output / "trained") and row["budget"] == "30%"]
    assert row["tokens_per_second"] == pytest.approx(trained["tokens_per_second"])
    assert 1 / row["tokens_per_second"] == pytest.approx(row["compute_seconds"] + row["wait_seconds"])


def test_tables_agree_with_the_trace(output):
    manifest = json.loads((output / "traces/manifest.json").read_text())
    tokens = sum(shard["tokens"] for shard in manifest["shards"])
    usage = json.loads((output / "tables/expert-usage.json").read_text())
    layers = {row["moe_layer"] for row in usage}
    experts = {row["expert"] for row in usage}
    assert len(usage) == len(layers) * len(experts)
    chosen = sum(row["decisions"] for row in usage)
    assert chosen % (tokens * len(layers)) == 0 and chosen > 0
    for layer in layers:
        assert sum(row["share"] for row in usage if row["moe_layer"] == layer) == pytest.approx(1)
    with open(output / "tables/datasets.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["dataset"] for row in rows) == sorted([EVIL, "news"])
    assert sum(int(row["tokens"]) for row in rows) == tokens
