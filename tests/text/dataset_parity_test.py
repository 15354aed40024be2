"""Datasets as foregate reads them against pyarrow and Python's csv and json."""
import base64
import bz2
import csv
import gzip
import json
import os
import pathlib
import random
import struct
import subprocess
import zlib

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pyarrow.parquet.encryption as encryption
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


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_every_separator_under_either_name(form, separator, quoting, header, end, tmp_path):
    path = tmp_path / f"a.{form}"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)
        writer.writerows(([["nr", "kopf", "rumpf"]] if header else []) + list(zip(range(ROWS), TITLES, BODIES)))
    for column in [":2", ""] + [":rumpf"] * header:
        assert read(f"x={path}{column}") == (BODIES, list(range(ROWS)), {})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_backslash_escapes(separator, tmp_path):
    """As Spark and MySQL write quotes."""
    path = tmp_path / "a.csv"
    texts = [body.replace("\\n", "/n") for body in BODIES]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\")
        writer.writerows([["id", "text"], *zip(LABELS, texts)])
    assert read(f"x={path}")[0] == texts


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


def one_member(data, how):
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(how)
    return pack(data) if pack else pa.Codec({"zst": "zstd", "lz4": "lz4"}[how]).compress(data, asbytes=True)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columns_of_one_name(form, tmp_path):
    path = tmp_path / f"a.{form}"
    columns = [pa.array(["x"]), pa.array(["y"]), pa.array([1]), pa.array(["other"]), pa.array([{"text": "inner"}])]
    table = pa.Table.from_arrays(columns, ["text", "text", "text", "body", "a"])
    pa.parquet.write_table(table, path) if form == "parquet" else write_arrow(path, table, False)
    message = error_of(f"x={path}:text")
    assert str(path) in message and "two columns are called 'text'; give a number: 0, 1" in message
    assert "two columns" in error_of(f"x={path}")
    for column, text in [("0", "x"), ("1", "y"), ("body", "other"), ("1+body", "y other"), ("a.text", "inner")]:
        assert read(f"x={path}:{column}")[0] == [text]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_tables_without_texts_say_what_they_hold(form, tmp_path):
    path = tmp_path / f"a.{form}"
    table = pa.table({"id": [1], "tags": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string()))})
    pa.parquet.write_table(table, path) if form == "parquet" else write_arrow(path, table, False)
    assert "id (int64), tags (map<string, string" in error_of(f"x={path}")


def test_of_lists_only_the_longest_texts_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1, "messages": [{"content": "a longer answer", "role": "user"}]}) + "\n")
    assert read(f"x={path}")[0] == ["a longer answer"]
    table = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.Table.from_pylist([{"c": [{"from": "h", "value": "a longer answer"}]}]), table)
    assert read(f"x={table}")[0] == ["a longer answer"]


def compressed(data, how):
    half = len(data) // 2  # two members, as pigz, bgzip, pbzip2 and pzstd write
    return one_member(data[:half], how) + one_member(data[half:], how)


@pytest.mark.parametrize("how", ["gz", "zst", "bz2", "lz4"])
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


def gzip_member(data, flags=0, fields=b""):
    """With the optional fields of RFC 1952, which mgzip, bgzip and gzip -N write."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(data) + packer.flush()
    return (b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields + body +
            struct.pack("<II", zlib.crc32(data), len(data)))


def skippable(data, kind=0):
    return struct.pack("<II", 0x184D2A50 + kind, len(data)) + data


A, B = (b'{"text":"first words"}\n', b'{"text":"second words"}\n')
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
LEGAL = {
    "gz": {
        "zeros": gzip.compress(A + B) + bytes(500),
        "zeros between": gzip.compress(A) + bytes(7) + gzip.compress(B) + bytes(1),
        "an empty member": gzip.compress(A) + gzip.compress(b"") + gzip.compress(B),
        "bgzip's end": gzip.compress(A + B) + BGZIP_END,
        "extra field": gzip_member(A, 4, b"\x04\x00abcd") + gzip_member(B, 4, b"\x00\x00"),
        "name and comment": gzip_member(A + B, 8 | 16, b"a.jsonl\0of it\0"),
        "many members": b"".join(gzip.compress(bytes([c])) for c in A + B),
        "stored": gzip.compress(A + B, 0),
        "packed twice": gzip.compress(gzip.compress(A + B)),
        "zstd inside": gzip.compress(one_member(A + B, "zst")),
    },
    "bz2": {
        "streams": bz2.compress(A) + bz2.compress(B),
        "an empty stream": bz2.compress(b"") + bz2.compress(A + B),
        "zeros": bz2.compress(A + B) + bytes(512),
    },
    "zst": {
        "a skippable frame first": skippable(b"\0\0\0\x2d") + compressed(A + B, "zst"),
        "skippable frames": skippable(b"", 3) + one_member(A, "zst") + skippable(bytes(99), 15) +
                            one_member(B, "zst") + skippable(b"seek table"),
        "an empty frame": one_member(A, "zst") + one_member(b"", "zst") + one_member(B, "zst"),
        "many frames": b"".join(one_member(bytes([c]), "zst") for c in A + B),
    },
    "lz4": {
        "frames": compressed(A + B, "lz4"),
        "skippable frames": skippable(b"x") + one_member(A, "lz4") + skippable(b"y") + one_member(B, "lz4"),
    },
}


@pytest.mark.parametrize("how, name", [(how, name) for how in LEGAL for name in LEGAL[how]])
def test_members_frames_and_padding_of_every_legal_kind(how, name, tmp_path):
    path = tmp_path / f"a.jsonl.{how}"
    path.write_bytes(LEGAL[how][name])
    assert read(f"x={path}")[0] == ["first words", "second words"]


DAMAGED = {
    "cut off": (gzip.compress(A)[:-3], "cut off"),
    "cut off in the second member": (gzip.compress(A) + gzip.compress(B)[:12], "cut off"),
    "a wrong checksum": (gzip.compress(A)[:-8] + bytes(4) + gzip.compress(A)[-4:], "incorrect data check"),
    "something behind": (gzip.compress(A) + b"\0\0garbage", "7 bytes behind the compressed data"),
    "a cut off frame": (one_member(A, "zst")[:-2], "cut off"),
    "a cut off skippable frame": (one_member(A, "zst") + skippable(b"12345678")[:-1], "cut off"),
    "xz": (b"\xfd7zXZ\0" + bytes(30), "xz -dk"),
    "zip": (b"PK\x03\x04" + bytes(30), "zip archive"),
    "tar in gzip": (gzip.compress(bytes(257) + b"ustar" + bytes(250)), "tar archive"),
    "nothing inside": (gzip.compress(b""), "no"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_and_other_archives(name, tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(DAMAGED[name][0])
    message = error_of(f"x={path}")
    assert str(path) in message and DAMAGED[name][1] in message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "txt"])
def test_encodings_with_a_mark(form, encoding, tmp_path):
    rows = ["first naïve 世界 😀", "second, \"of\" it"]
    plain, other = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    if form == "csv":
        write_csv(plain, ["id", "text"], [[0, 1], rows])
    elif form == "jsonl":
        plain.write_text("".join(json.dumps({"text": row}, ensure_ascii=False) + "\n" for row in rows))
    else:
        plain.write_text("\n".join(rows))
    other.write_bytes(plain.read_bytes().decode().encode(encoding))
    assert read(f"x={other}")[0] == rows
    other.write_bytes(gzip.compress(other.read_bytes()))
    assert read(f"x={other}")[0] == rows


def test_encodings_that_cannot_be_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,text\n1,a\n".encode("utf-32"))
    assert "UTF-32" in error_of(f"x={path}")
    path.write_bytes("id,text\n1,a\n".encode("utf-8-sig").join([b"\xef\xbb\xbf", b""]))
    assert read(f"x={path}")[0] == ["a"]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 1199003\n"
POINTERS = {
    "lfs": (POINTER, "is a Git LFS pointer (132 bytes), not the file of 1,199,003 bytes"),
    "crlf": (POINTER.replace(b"\n", b"\r\n"), "not the file of 1,199,003 bytes"),
    "with an extension": (POINTER.replace(b"oid", b"ext-0-foo sha256:" + b"cd" * 32 + b"\noid"), "git lfs pull"),
    "of old": (POINTER.replace(b"git-lfs", b"hawser"), "Git LFS"),
    "annex": (b"/annex/objects/SHA256E-s1199003--" + b"ab" * 32 + b".parquet\n", "git annex get"),
    "web page": (b"\n<!DOCTYPE html><html><head><title>Sign in</title></head>", "web page"),
}


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "csv.gz", "tsv", "json", "jsonl", "bin"])
@pytest.mark.parametrize("name", POINTERS)
def test_what_stands_in_a_files_place(name, form, tmp_path):
    path = tmp_path / f"a.{form}"
    path.write_bytes(POINTERS[name][0])
    message = error_of(f"x={path}")
    assert str(path) in message and POINTERS[name][1] in message


@pytest.mark.parametrize("name", list(POINTERS)[:5])
def test_pointers_in_folders_of_lines(name, tmp_path):
    (tmp_path / "a.txt").write_bytes(POINTERS[name][0])
    (tmp_path / "b.txt").write_text("a line\n")
    assert POINTERS[name][1] in error_of(f"x={tmp_path}")


def test_tables_that_are_none(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"text": ["one"]}), path)
    whole = path.read_bytes()
    for content, word in [(whole[:-1], "cut off"), (b"id,text\n1,a\n", "no Parquet file"), (whole[:8], "cut off"),
                          (b"PARE" + whole[4:-4] + b"PARE", "encrypted"), (b"", "empty")]:
        path.write_bytes(content)
        assert word in error_of(f"x={path}"), content[:20]
    write_arrow(path, pa.table({"text": ["one"]}), False)  # An Arrow file, whatever it is called.
    assert read(f"x={path}")[0] == ["one"]
    old = tmp_path / "a.feather"
    old.write_bytes(b"FEA1" + bytes(60) + b"FEA1")
    assert "Feather version 1" in error_of(f"x={old}")


class Keys(encryption.KmsClient):
    """Keeps keys as they are: the tests look at refusals only."""
    def __init__(self, config):
        super().__init__()

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_encrypted_parquet(plaintext_footer, tmp_path):
    factory = encryption.CryptoFactory(Keys)
    properties = factory.file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(footer_key="f", column_keys={"k": ["text"]}, plaintext_footer=plaintext_footer))
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["one"], "n": [1]})
    with pa.parquet.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    assert "encrypt" in error_of(f"x={path}") and str(path) in error_of(f"x={path}")


def test_folders_and_files_with_brackets(tmp_path):
    for name in ("[D_DATA]/x.csv", "D/x.csv", "a[1]/sub/y.csv", "a1/sub/y.csv", "star*/z.csv", "starry/z.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"id,text\n1,{name}\n")
    assert read(f"x={tmp_path}/[D_DATA]/*.csv")[0] == ["[D_DATA]/x.csv"]
    assert read(f"x={tmp_path}/[D_DATA]")[0] == ["[D_DATA]/x.csv"]
    assert read(f"x={tmp_path}/[D_DATA]/x.csv:text")[0] == ["[D_DATA]/x.csv"]
    assert read(f"x={tmp_path}/[D]/*.csv")[0] == ["D/x.csv"]  # no folder of that name: a pattern
    assert read(f"x={tmp_path}/a[1]/*/y.csv")[0] == ["a[1]/sub/y.csv"]
    assert read(f"x={tmp_path}/a?1]/sub")[0] == ["a[1]/sub/y.csv"]
    assert read(f"x={tmp_path}/star*/z.csv")[0] == ["star*/z.csv"]
    assert read(f"x={tmp_path}/star[*r]*/z.csv")[0] == ["star*/z.csv", "starry/z.csv"]
    assert read(f"x={tmp_path}/[[]D_DATA]/*.csv")[0] == ["[D_DATA]/x.csv"]
    assert "written [[]" in error_of(f"x={tmp_path}/[XYZ]/*.csv")


def test_folders_at_any_depth(tmp_path):
    for name in ("x.csv", "a/x.csv", "a/b/x.csv", "a/b/c/y.csv", ".hidden/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"id,text\n1,{name}\n")
    assert read(f"x={tmp_path}/**/x.csv")[0] == ["a/b/x.csv", "a/x.csv", "x.csv"]
    assert read(f"x={tmp_path}/a/**/*.csv")[0] == ["a/b/c/y.csv", "a/b/x.csv", "a/x.csv"]
    assert read(f"x={tmp_path}/**/c/**")[0] == ["a/b/c/y.csv"]
    assert "no file matches" in error_of(f"x={tmp_path}/**/z.csv")


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
