"""What standard error looks like on terminals of all kinds, and what happens when a stream is closed."""
import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

from conftest import MODEL, contents, demo_data, program, run

ESCAPE = "\x1b"


def on_terminal(*arguments, columns=80, **environment):
    """What a command says on a terminal of so many columns; variables of None are taken away."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", **environment}
    for name in ("NO_COLOR", "COLUMNS"):
        if name not in environment:
            env.pop(name, None)
    process = subprocess.Popen([program(), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=follower,
                               env={name: value for name, value in env.items() if value is not None})
    os.close(follower)
    said = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is gone
            break
        if not part:
            break
        said += part
    os.close(leader)
    process.wait(timeout=60)
    return said.decode()


def collect(output, traces=30):
    return ("collect", "--model", MODEL, *demo_data(["news-briefs"]), "--traces", traces, "--output", output)


@pytest.mark.parametrize("environment, colored", [
    ({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "0"}, False),
    ({"TERM": "dumb"}, False), ({"TERM": None}, False)], ids=str)
def test_errors_are_colored_where_that_is_wanted(environment, colored):
    said = on_terminal("inspect", "/nowhere", **environment)
    assert "error: " in said
    assert (ESCAPE in said) == colored, repr(said)


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_dumb_terminal_gets_plain_lines(term, tmp_path):
    said = on_terminal(*collect(tmp_path / "o"), TERM=term)
    assert "collect 30/30 traces" in said
    assert ESCAPE not in said and "[#" not in said and "\r" not in said.replace("\r\n", "")


@pytest.mark.parametrize("columns, environment", [(40, {}), (200, {"COLUMNS": "40"})])
def test_the_bar_goes_before_the_numbers(columns, environment, tmp_path):
    said = on_terminal(*collect(tmp_path / "o", traces=60), columns=columns, **environment)
    drawn = [part.split(ESCAPE)[0] for part in said.replace("\r\n", "\n").split("\r")[1:]]
    drawn = [line for line in drawn if line.startswith("collect ")]
    assert drawn, repr(said)
    for line in drawn:
        assert len(line) < 40 and "/60 traces" in line, line


def test_a_wide_terminal_has_a_bar(tmp_path):
    assert "collect [" in on_terminal(*collect(tmp_path / "o", traces=60), columns=120)


def test_a_closed_stream_is_no_file(tmp_path):
    """Without care the first shard that is opened becomes standard error."""
    run(*collect(tmp_path / "usual"))
    for closed in ("2>&-", "2>&- <&-"):
        output = tmp_path / closed.replace(" ", "")
        subprocess.run(["bash", "-c", f'exec "$@" {closed}', "-", program(), *map(str, collect(output))], check=True,
                       stdout=subprocess.DEVNULL, timeout=120)
        assert contents(output) == contents(tmp_path / "usual")


def test_a_result_that_nobody_can_read_is_an_error():
    done = subprocess.run(["bash", "-c", 'exec "$@" >&-', "-", program(), "inspect", str(MODEL)], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "cannot write the result" in done.stderr
