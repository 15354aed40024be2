"""Datasets as foregate reads them against pyarrow and Python's csv and json."""
import csv
import gzip
import json
import os
import pathlib
import random
import subprocess

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
PROGRAM = os.environ.get("FOREGATE_DUMP_TEXTS", str(ROOT / "build/cpu/tests/text/foregate_dump_texts"))

# What the hub's Parquet files and the classic files of the presets look like, and the text of each row.
ROWS = 400
LABELS = [i % 4 for i in range(ROWS)]


def texts(seed):
    """With everything that CSV has to quote, of many lengths, different from each other."""
    chooser = random.Random(seed)
    words = ["plain", 'say "hi"', "a,b", "two\nlines", "tab\there", "naïve", "世界", "it's", "\\n", "{x}"]
    return [f"{i} " + " ".join(chooser.choices(words, k=chooser.randint(8, 40))) for i in range(ROWS)]


TITLES, BODIES = [f"Title {i}, of it" for i in range(ROWS)], texts(1)
JOINED = [f"{title} {body}" for title, body in zip(TITLES, BODIES)]
HUB = {
    "imdb": ({"text": BODIES, "label": LABELS}, BODIES),
    "yelp_review_full": ({"label": LABELS, "text": BODIES}, BODIES),
    "ag_news": ({"text": JOINED, "label": LABELS}, JOINED),
    "squad": ({"id": [str(i) for i in range(ROWS)], "title": TITLES, "context": [BODIES[i // 3] for i in range(ROWS)],
               "question": [f"Who is {i}?" for i in range(ROWS)],
               "answers": [{"text": ["He"], "answer_start": [i]} for i in range(ROWS)]},
              BODIES[:(ROWS + 2) // 3]),
    "amazon_polarity": ({"label": LABELS, "title": TITLES, "content": BODIES}, BODIES),
    "dbpedia_14": ({"label": LABELS, "title": TITLES, "content": BODIES}, BODIES),
}
CLASSIC = {  # header, columns
    "imdb": (["review", "sentiment"], [BODIES, ["positive"] * ROWS]),
    "yelp_review_full": (None, [LABELS, BODIES]),
    "ag_news": (None, [LABELS, TITLES, BODIES]),
    "amazon_polarity": (None, [LABELS, TITLES, BODIES]),
    "dbpedia_14": (None, [LABELS, TITLES, BODIES]),
}


def read(argument):
    """Texts, rows and what was skipped."""
    done = subprocess.run([PROGRAM, argument], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *lines, last = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    return [line["text"] for line in lines], [line["row"] for line in lines], last["skipped"]


def error_of(argument):
    done = subprocess.run([PROGRAM, argument], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    return done.stderr


def write_csv(path, header, columns, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(([header] if header else []) + list(zip(*columns)))


def write_arrow(path, table, stream):
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def records(columns):
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


WRITERS = {
    "parquet": lambda path, columns: pa.parquet.write_table(pa.table(columns), path, row_group_size=150),
    "arrow": lambda path, columns: write_arrow(path, pa.table(columns), False),
    "stream.arrow": lambda path, columns: write_arrow(path, pa.table(columns), True),
    "jsonl": lambda path, columns: path.write_text("".join(json.dumps(r) + "\n" for r in records(columns))),
    "json": lambda path, columns: path.write_text(json.dumps(records(columns), indent=1)),
    "csv": lambda path, columns: write_csv(path, list(columns), columns.values()),
    "tsv": lambda path, columns: write_csv(path, list(columns), columns.values(), "\t"),
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("name", HUB)
def test_presets_in_every_form(name, form, tmp_path):
    columns, expected = HUB[name]
    path = tmp_path / f"file.{form}"
    WRITERS[form](path, columns)
    got, _, skipped = read(f"{name}={path}")
    assert got == expected
    assert skipped == ({"repeated text": ROWS - len(expected)} if name == "squad" else {})


@pytest.mark.parametrize("name", CLASSIC)
def test_presets_in_their_classic_csv(name, tmp_path):
    header, columns = CLASSIC[name]
    path = tmp_path / "train.csv"
    write_csv(path, header, columns)
    assert read(f"{name}={path}")[0] == (JOINED if name == "ag_news" else BODIES)


def test_squad_in_its_classic_json_and_as_nested_parquet(tmp_path):
    articles = [{"title": f"T{i}", "paragraphs": [{"context": BODIES[2 * i + j], "qas": [{"question": "?"}]}
                                                  for j in range(2)]} for i in range(ROWS // 2)]
    document, table = tmp_path / "train-v1.1.json", tmp_path / "squad.parquet"
    document.write_text(json.dumps({"version": "1.1", "data": articles}))
    pa.parquet.write_table(pa.Table.from_pylist(articles), table)
    lines = tmp_path / "squad.jsonl"
    lines.write_text("".join(json.dumps(article) + "\n" for article in articles))
    for path in (document, table, lines):
        got, rows, skipped = read(f"squad={path}")
        assert (got, rows, skipped) == (BODIES, list(range(ROWS)), {})


def test_columns_are_joined_by_name_and_number(tmp_path):
    path, headless = tmp_path / "a.csv", tmp_path / "b.csv"
    write_csv(path, ["kind", "headline", "body"], [LABELS, TITLES, BODIES])
    write_csv(headless, None, [LABELS, TITLES, BODIES])
    for argument in (f"x={path}:headline+body", f"x={path}:1+2", f"x={headless}:1+2"):
        assert read(argument)[0] == JOINED


NESTED = [
    {"a": {"b": [{"c": "one", "n": 1}, {"c": "two", "n": 2}]}, "s": ["x", "y"], "t": "first"},
    {"a": {"b": []}, "s": [], "t": "second"},
    {"a": {"b": [{"c": None, "n": 3}, {"c": "three", "n": 4}]}, "s": ["z"], "t": "third"},
]


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl"])
def test_nested_columns_by_path(form, tmp_path):
    path = tmp_path / f"nested.{form}"
    table = pa.Table.from_pylist(NESTED)
    if form == "parquet":
        pa.parquet.write_table(table, path, row_group_size=1)
    elif form == "arrow":
        write_arrow(path, table, False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in NESTED))
    null = "field 'a.b.c' is not a text" if form == "jsonl" else "null text"
    assert read(f"x={path}:a.b.c") == (["one", "two", "three"], [0, 1, 4], {"empty list": 1, null: 1})
    assert read(f"x={path}:s") == (["x", "y", "z"], [0, 1, 3], {"empty list": 1})
    assert read(f"x={path}:t+s")[0] == ["first x y", "second", "third z"]
    assert read(f"x={path}")[0] == ["first", "second", "third"]
    assert "'a.b.c'" in error_of(f"x={path}:a.b")


@pytest.mark.parametrize("kind", [pa.large_list, lambda item: pa.list_(item, 2)], ids=["large", "fixed"])
def test_other_lists(kind, tmp_path):
    path = tmp_path / "lists.parquet"
    table = pa.table({"s": pa.array([["a", "b"], None, ["c", "d"]], kind(pa.string()))})
    write_arrow(path.with_suffix(".arrow"), table.slice(1), False)
    pa.parquet.write_table(table, path)
    assert read(f"x={path}:s")[0] == ["a", "b", "c", "d"]
    assert read(f"x={path.with_suffix('.arrow')}:s") == (["c", "d"], [1, 2], {"null text": 1})


def compressed(data, how):
    if how == "gz":
        half = len(data) // 2  # two members, as pigz and bgzip write
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    return pa.Codec("zstd").compress(data, asbytes=True)


@pytest.mark.parametrize("how", ["gz", "zst"])
@pytest.mark.parametrize("form", ["csv", "tsv", "json", "jsonl", "txt"])
def test_compressed_texts(form, how, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    plain = tmp_path / f"a.{form}"
    if form == "txt":
        plain.write_text("\n".join(TITLES))
    else:
        WRITERS[form](plain, HUB["imdb"][0])
    packed = tmp_path / f"b.{form}.{how}"
    data = plain.read_bytes()
    packed.write_bytes(compressed(data, how))
    assert read(f"x={packed}") == read(f"x={plain}")
    packed.write_bytes(compressed(data, how)[:-20])
    assert str(packed) in error_of(f"x={packed}")
    assert not list(temporary.iterdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    assert "TMPDIR" in error_of(f"x={packed}")


def test_patterns_and_directories(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for part in range(3):
            (tmp_path / folder / f"part-{part}.jsonl").write_text(json.dumps({"text": f"{folder}{part}"}) + "\n")
    (tmp_path / "a" / "other.json").write_text('{"text": "other"}')
    (tmp_path / "a" / "more.txt.gz").write_bytes(gzip.compress(b"a note\n"))
    assert read(f"x={tmp_path}/a")[0] == ["other", "a0", "a1", "a2"]
    assert read(f"x={tmp_path}/a/part-*.jsonl")[0] == ["a0", "a1", "a2"]
    assert read(f"x={tmp_path}/?/part-[12].jsonl:text")[0] == ["a1", "a2", "b1", "b2"]
    assert read(f"x={tmp_path}/[ab]")[0] == ["other", "a0", "a1", "a2", "b0", "b1", "b2"]
    assert "no file matches" in error_of(f"x={tmp_path}/c*")


def shared(path):
    if not path.exists():
        pytest.skip(f"{path} is not here (set FOREGATE_SHARED to the folder that has it)")
    return path


def test_real_nested_parquet():
    path = shared(SHARED / "data/parquet/race_nested.parquet")
    table = pa.parquet.read_table(path)
    got, _, skipped = read(f"race={path}:options")
    options = [option for row in table["options"].to_pylist() for option in row]
    assert got == [option for option in options if option.strip()]
    assert len(got) + sum(skipped.values()) == len(options)
    assert read(f"race={path}")[0] == table["article"].to_pylist()


def test_real_parquet():
    path = shared(SHARED / "data/parquet/ag_news_test.parquet")
    assert read(f"ag_news={path}")[0] == pa.parquet.read_table(path)["text"].to_pylist()


def test_real_csv():
    path = shared(SHARED / "data/imdb/test.csv")
    with open(path, newline="", encoding="utf-8") as file:
        assert read(f"imdb={path}")[0] == [row["text"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", ["amazon_bom_spaces.tsv", "amazon_malformed.csv", "amazon_no_header.csv",
                                  "dbpedia_blank_rows.csv"])
def test_messy_files_are_read_or_skipped_with_a_reason(name):
    got, rows, skipped = read(f"x={shared(SHARED / 'data/messy' / name)}")
    assert got and all(skipped) and all(count > 0 for count in skipped.values())
    assert rows == sorted(set(rows)) and rows[-1] < len(got) + sum(skipped.values())
