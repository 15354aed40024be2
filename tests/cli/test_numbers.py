"""Every number on the command line: what cannot be meant is refused in words, with the range that is allowed."""
import re

import pytest

from conftest import fails, run

COMMANDS = [("pull",), ("collect",), ("import",), ("export",), ("tokenize",), ("inspect",), ("train",), ("evaluate",),
            ("analyze",), ("generate",), ("simulate",), ("bench", "collect"), ("bench", "generate")]
OPTION = re.compile(r"^  (?:-\w,)?(--[\w-]+) ([A-Z]+)\b", re.MULTILINE)


def options_of(command):
    """The options of a command with what its help calls their values."""
    return OPTION.findall(run(*command, "--help").stdout)


def numeric_options():
    return [(command, name) for command in COMMANDS for name, kind in options_of(command)
            if kind in ("NUMBER", "PROBABILITY")]


def test_all_commands_are_here():
    listed = run("--help").stdout.split("Subcommands:")[1].split("\n\n")[0]
    names = re.findall(r"^  (\w+) ", listed, re.MULTILINE)
    assert sorted(names) == sorted({command[0] for command in COMMANDS})


def test_help_has_examples_of_the_command_itself():
    for command in [*COMMANDS, ("bench",)]:
        footer = run(*command, "--help").stdout.split("\n\n")[-1]
        assert f"foregate {command[0]} " in footer, command


def test_no_number_is_read_in_another_way():
    """INT, UINT and FLOAT are the CLI library's own reading, which cuts numbers to what fits."""
    for command in COMMANDS:
        kinds = {kind for _, kind in options_of(command)}
        assert kinds <= {"NUMBER", "PROBABILITY", "DECIMAL", "TEXT"}, command


def test_the_numbers_are_found():
    found = {" ".join(command) + " " + name for command, name in numeric_options()}
    assert {"collect --traces", "collect --seed", "import --skip", "import --experts", "pull --jobs", "train --passes",
            "train --text-seed", "evaluate --budget", "evaluate --threshold", "inspect --texts",
            "bench collect --longest"} <= found


def test_every_number():
    """One value each: the C++ tests of the reader know all the others."""
    for command, name in numeric_options():
        fails(*command, f"{name}=-1", code=2, saying=[f"{name} is '-1'; expected", "from", "to"])


@pytest.mark.parametrize("value", ["", "many", "2.5", "0x10", "nan", "+5", "1,000", "5 "])
@pytest.mark.parametrize("command, name", [(("collect",), "--traces"), (("import",), "--skip"),
                                           (("evaluate",), "--budget")])
def test_what_is_no_number(command, name, value):
    fails(*command, name, value, code=2, saying=[f"{name} is '{value}'", "whole number from"])


@pytest.mark.parametrize("arguments, saying", [
    (("collect", "--traces="), ["--traces"]),
    (("collect", "--traces"), ["--traces"]),
    (("collect", "--traces", "5", "--traces", "6"), ["--traces"]),
    (("evaluate", "--threshold", "nan"), ["--threshold is 'nan'", "from 0 to 1"]),
    (("evaluate", "--threshold", "0,5"), ["--threshold is '0,5'", "from 0 to 1"]),
    (("generate", "--temperature", "inf"), ["--temperature is 'inf'", "from 0 to 1000"]),
    (("generate", "--presence-penalty", "-1e9"), ["--presence-penalty is '-1e9'", "from -1000 to 1000"]),
    (("generate", "-n", "1e3"), ["--max-tokens is '1e3'", "from 1 to"]),
])
def test_half_given(arguments, saying):
    fails(*arguments, code=2, saying=saying)
