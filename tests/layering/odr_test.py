"""No qualified type name is defined in two headers: two types of one name are one type to the linker.

The link with -Wodr (./run odr) sees what the compiler sees; this scan sees headers that no program
includes together yet.
"""
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["src", "apps", "include", "tests", "bench"]

TOKEN = re.compile(
    r'(?P<skip>//[^\n]*|/\*.*?\*/|R"(?P<delimiter>\w*)\(.*?\)(?P=delimiter)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*)'
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>::|\S)", re.DOTALL | re.MULTILINE)


def tokens(text):
    return [m.group() for m in TOKEN.finditer(text) if not m.group("skip")]


def name_of_scope(head):
    """What a '{' opens, from the tokens since the last ';', '{' or '}': ('namespace' or 'type', name) or None."""
    if head[:1] == ["inline"]:
        head = head[1:]
    if head[:1] == ["namespace"]:
        return "namespace", "".join(head[1:]) or "(anonymous)"
    if head[:2] == ["template", "<"]:
        depth, i = 0, 1
        while i < len(head):
            depth += {"<": 1, ">": -1}.get(head[i], 0)
            i += 1
            if depth == 0:
                break
        head = head[i:]
    if head[:2] in (["enum", "class"], ["enum", "struct"]):
        head = head[1:]
    if head[:1] and head[0] in ("class", "struct", "union", "enum") and len(head) > 1:
        if "(" in head and head[1] != "alignas":
            return None  # a function that returns one
        name, i = "", 1
        while i < len(head) and (re.match(r"\w", head[i]) or head[i] == "::") and head[i] != "final":
            name += head[i]
            i += 1
        specialization = head[i] if i < len(head) and head[i] == "<" else ""
        if specialization:
            name += "".join(head[i:])
        return ("type", name) if name else None
    return None


def types_defined(text):
    """The qualified names of the types that a source defines at namespace scope or within a type."""
    found, scopes, head = [], [], []
    for token in tokens(text):
        if token == "{":
            scope = name_of_scope(head)
            scopes.append(scope)
            if scope and scope[0] == "type" and all(scopes):
                found.append("::".join(name for _, name in scopes))
            head = []
        elif token == "}":
            if scopes:
                scopes.pop()
            head = []
        elif token == ";":
            head = []
        elif token == ":" and head[-1:] and head[-1] in ("public", "private", "protected"):
            head = []
        else:
            head.append(token)
    return found


def defined_twice(sources):
    """sources: name -> text. -> type -> the headers that define it, for those that several define."""
    where = collections.defaultdict(set)
    for name, text in sources.items():
        for type_name in types_defined(text):
            if "(anonymous)" not in type_name:
                where[type_name].add(name)
    return {type_name: sorted(names) for type_name, names in where.items() if len(names) > 1}


def headers():
    return {str(path.relative_to(ROOT)): path.read_text()
            for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))
            if path.suffix in {".h", ".cuh"}}


def test_no_type_is_defined_in_two_headers():
    assert not defined_twice(headers())


def test_the_scan_finds_the_types_that_there_are():
    names = {name for text in headers().values() for name in types_defined(text)}
    assert {"foregate::text::Column", "foregate::report::Column", "foregate::text::Split",
            "foregate::trace::Split", "foregate::DataError"} <= names
    assert len(names) > 300


def test_a_planted_fault_is_found():
    one = "namespace foregate::text {\nstruct Column { std::string name; double value[2] = {0, 1}; };\n}"
    two = "namespace foregate {\nnamespace text {\n// struct Other {\nclass Column final : public Base {\n public:\n  int x;\n};\n}\n}"
    other = "namespace foregate::report { struct Column { int unit; }; struct Row; Column f(Row row) { return {}; } }"
    assert defined_twice({"a.h": one, "b.h": two, "c.h": other}) == {"foregate::text::Column": ["a.h", "b.h"]}
    assert not defined_twice({"a.h": one, "c.h": other})
