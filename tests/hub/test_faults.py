"""What goes wrong on the way: servers that fail, connections that break, contents that are not right, full disks."""
import resource
import signal
import subprocess
import time

import pytest

from conftest import LARGE, Hub, blob_name, contents, noise, tiny_files, usual
from fake_hub import Fault

SIZE = 3_000_000  # of LARGE


@pytest.fixture
def tiny(hub):
    """A repository, and the name of its largest blob."""
    files = tiny_files()
    hub.model("acme/tiny", files)
    hub.large = blob_name(files[LARGE])
    hub.files = usual(files)
    return hub


def is_whole(hub):
    """Every file right, and nothing else in the cache."""
    assert contents(hub.pull("acme/tiny")) == hub.files
    assert hub.blobs("acme/tiny") == sorted(map(blob_name, hub.files.values()))


def has_nothing_half(hub):
    """Whatever has a name is right; no name leads to a commit that is not whole."""
    root = hub.folder("acme/tiny")
    for path in root.glob("blobs/*"):
        if path.suffix != ".incomplete":
            assert blob_name(path.read_bytes()) == path.name
    for path in root.glob("snapshots/*/*"):
        assert path.read_bytes() == hub.files[path.name]
    assert not (root / "refs/main").exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answers_that_pass(tiny, status):
    tiny.faults = [Fault("/revision/", status=status, headers={"Retry-After": "0"}),
                   Fault("/tree/", status=status, headers={"Retry-After": "0"}),
                   Fault("config.json", status=status, headers={"Retry-After": "0"}),
                   Fault(tiny.large, status=status, headers={"Retry-After": "0"})]
    done = tiny.run("pull", "acme/tiny")
    assert done.stderr.count(f"answers {status}") == 4 and "trying again" in done.stderr
    is_whole(tiny)


def test_the_wait_that_the_server_asks_for(tiny):
    tiny.faults = [Fault("/revision/", status=429, headers={"Retry-After": "2"})]
    begin = time.monotonic()
    tiny.pull("acme/tiny")
    assert time.monotonic() - begin >= 2


def test_nobody_waits_for_hours(tiny):
    tiny.faults = [Fault("/revision/", status=429, headers={"RateLimit": '"api";r=0;t=7200'})]
    tiny.fails("pull", "acme/tiny", saying=["429", "2:00:00", "HF_TOKEN"])


def test_giving_up(tiny):
    tiny.faults = [Fault(LARGE, times=100, status=503, headers={"Retry-After": "0"})]
    tiny.fails("pull", "acme/tiny", "--jobs", 1, saying=[LARGE, "503", "5 tries"])
    has_nothing_half(tiny)
    assert tiny.faults[0].times == 95
    tiny.faults = []
    is_whole(tiny)


def test_nobody_there(tiny):
    # Nothing listens on this port of a closed server.
    tiny.fails("pull", "acme/tiny", env={"HF_ENDPOINT": "http://127.0.0.1:9"}, saying=["127.0.0.1:9", "network"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_answers_that_stay(tiny, status):
    tiny.faults = [Fault("/revision/", status=status)]
    tiny.fails("pull", "acme/tiny", saying=["acme/tiny"])
    assert len(tiny.seen) == 1  # asked once


def test_a_file_that_may_not_be_read(tiny):
    tiny.faults = [Fault("/resolve/.*config.json", status=403, headers={"X-Error-Message": "Not\tfor you"})]
    tiny.fails("pull", "acme/tiny", saying=["may not be read", "(Not for you)", "HF_TOKEN"])
    has_nothing_half(tiny)


def test_a_signed_address_that_ran_out(tiny):
    """403 of the content server: the hub is asked for a new address."""
    tiny.faults = [Fault(tiny.large, status=403)]
    tiny.pull("acme/tiny")
    assert len([seen for seen in tiny.seen if LARGE in seen.path]) == 2
    is_whole(tiny)


def test_a_connection_that_breaks_is_resumed(tiny):
    tiny.faults = [Fault(tiny.large, cut=1_000_000), Fault(tiny.large, cut=500_000)]
    done = tiny.run("pull", "acme/tiny", "--json")
    ranges = [seen.range for seen in tiny.fetched() if tiny.large in seen.path]
    assert ranges[0] is None and len(ranges) == 3
    first, second = (int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges[1:])
    assert 0 < first <= 1_000_000 and first < second <= 1_500_000
    assert f'"received_bytes": {sum(map(len, tiny.files.values()))},' in done.stdout  # no byte came twice
    is_whole(tiny)


def test_truncation_that_no_length_betrays(tiny):
    tiny.faults = [Fault(tiny.large, short=1_000_000), Fault("config.json", short=3)]
    done = tiny.run("pull", "acme/tiny")
    assert f"ended after 1000000 of {SIZE} bytes" in done.stderr
    is_whole(tiny)


def test_a_server_without_ranges(tiny):
    tiny.faults = [Fault(tiny.large, cut=1_000_000), Fault(tiny.large, ignore_range=True)]
    tiny.pull("acme/tiny")
    is_whole(tiny)


def test_a_server_that_breaks_off_at_the_same_byte_forever(tiny):
    """Receiving the same bytes again is no progress."""
    tiny.faults = [Fault(tiny.large, times=100, cut=1_000_000, ignore_range=True)]
    tiny.fails("pull", "acme/tiny", saying=["tries in a row"])
    assert tiny.faults[0].times >= 90
    has_nothing_half(tiny)


def test_another_part_than_was_asked_for(tiny):
    tiny.faults = [Fault(tiny.large, cut=1_000_000), Fault(tiny.large, wrong_range=True)]
    assert "another part" in tiny.run("pull", "acme/tiny").stderr
    is_whole(tiny)


def test_silence(tiny):
    tiny.faults = [Fault(tiny.large, stall=700_000)]
    begin = time.monotonic()
    done = tiny.run("pull", "acme/tiny", env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    assert time.monotonic() - begin < 30 and "trying again" in done.stderr
    is_whole(tiny)


def test_a_wrong_byte_is_noticed_and_had_again(tiny):
    tiny.faults = [Fault(tiny.large, corrupt=True), Fault("config.json", corrupt=True)]
    done = tiny.run("pull", "acme/tiny")
    assert done.stderr.count("from the start") == 2 and tiny.large in done.stderr
    is_whole(tiny)


@pytest.mark.parametrize("path", ["config.json", LARGE])
def test_content_that_stays_wrong_gets_no_name(tiny, path):
    tiny.faults = [Fault(path if path == "config.json" else tiny.large, times=100, corrupt=True)]
    tiny.fails("pull", "acme/tiny", saying=[path, "hash", "twice"])
    has_nothing_half(tiny)
    assert blob_name(tiny.files[path]) not in tiny.blobs("acme/tiny")
    tiny.faults = []
    is_whole(tiny)


def test_more_than_the_list_says(tiny):
    tiny.faults = [Fault(tiny.large, times=2, surplus=1000)]
    tiny.fails("pull", "acme/tiny", saying=[f"more than the {SIZE} bytes", "twice"])
    has_nothing_half(tiny)
    is_whole(tiny)


@pytest.mark.parametrize("left", [b"", b"not this file", "first half", "whole", "too long"])
def test_what_an_earlier_run_left(tiny, left):
    content = tiny.files[LARGE]
    left = {"first half": content[:SIZE // 2], "whole": content, "too long": content + b"x"}.get(left, left)
    blobs = tiny.folder("acme/tiny") / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{tiny.large}.incomplete").write_bytes(left)
    done = tiny.run("pull", "acme/tiny")
    requests = [seen.range for seen in tiny.fetched() if tiny.large in seen.path]
    if left == content:
        assert requests == []
    elif left == content[:SIZE // 2]:
        assert requests == [f"bytes={SIZE // 2}-"] and "1.5 MB were there from before" in done.stderr
    else:
        assert requests[-1] is None
    is_whole(tiny)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def start_slowly(hub):
    """A pull that is in the middle of its largest file."""
    hub.faults = [Fault(hub.large, rate=400_000)]
    process = hub.start("pull", "acme/tiny")
    partial = hub.folder("acme/tiny") / "blobs" / f"{hub.large}.incomplete"
    wait_for(lambda: partial.exists() and partial.stat().st_size > 100_000)
    return process


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tiny, which):
    process = start_slowly(tiny)
    process.send_signal(which)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in stderr and "to continue" in stderr
    has_nothing_half(tiny)
    left = (tiny.folder("acme/tiny") / "blobs" / f"{tiny.large}.incomplete").stat().st_size
    tiny.seen.clear()
    is_whole(tiny)
    assert [seen.range for seen in tiny.fetched() if tiny.large in seen.path] == [f"bytes={left}-"]


def test_killed(tiny):
    process = start_slowly(tiny)
    process.kill()
    process.communicate()
    has_nothing_half(tiny)
    tiny.seen.clear()
    is_whole(tiny)
    assert [seen.range for seen in tiny.fetched() if tiny.large in seen.path][0].startswith("bytes=")


def test_an_update_that_fails_leaves_the_old_snapshot_in_place(tiny):
    old = tiny.pull("acme/tiny")
    files = {**tiny_files(), LARGE: noise(SIZE, 9)}
    tiny.models["acme/tiny"].commit(files)
    tiny.faults = [Fault(blob_name(files[LARGE]), times=2, corrupt=True)]
    tiny.fails("pull", "acme/tiny", saying=[LARGE])
    assert (tiny.folder("acme/tiny") / "refs/main").read_text() == old.name
    assert contents(old) == tiny.files
    assert tiny.pull("acme/tiny") != old


def test_a_disk_that_is_too_small(tiny, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk to fill cannot be mounted here")
    try:
        tiny.fails("pull", "acme/tiny", env={"HF_HUB_CACHE": str(small)}, saying=["4.0 MB", "free", "HF_HUB_CACHE"])
        assert tiny.downloads() == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_disk_that_fills_up_on_the_way(tiny):
    """A limit on the size of files stands in for the disk: the write fails in the same place."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    tiny.fails("pull", "acme/tiny", preexec_fn=limit, saying=["cannot write", tiny.large, "File too large"])
    has_nothing_half(tiny)
    left = tiny.folder("acme/tiny") / "blobs" / f"{tiny.large}.incomplete"
    assert left.read_bytes() == tiny.files[LARGE][:2_000_000]
    tiny.seen.clear()
    is_whole(tiny)
    assert [seen.range for seen in tiny.fetched() if tiny.large in seen.path] == ["bytes=2000000-"]


def test_a_cache_that_cannot_be_made(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    tiny.fails("pull", "acme/tiny", env={"HF_HUB_CACHE": str(tmp_path / "file")}, saying=["cannot create", "file"])


def test_certificates(tmp_path):
    """A hub whose certificate nobody knows is refused, and a redirect that gives up encryption is not followed."""
    certificate = tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", certificate, "-out", tmp_path / "public.pem"],
                   check=True, capture_output=True)
    with certificate.open("a") as file:
        file.write((tmp_path / "public.pem").read_text())
    with Hub(tmp_path, certificate) as hub:
        hub.model("acme/tiny", tiny_files())
        unknown = {"SSL_CERT_FILE": "", "CURL_CA_BUNDLE": ""}
        hub.fails("pull", "acme/tiny", env=unknown, saying=["certificate", "SSL_CERT_FILE"])
        assert hub.seen == []
        known = {"SSL_CERT_FILE": str(tmp_path / "public.pem"), "HF_TOKEN": "hf_secret"}
        snapshot = hub.pull("acme/tiny", "--include", "*.json", env=known)
        assert len(contents(snapshot)) == 3
        hub.fails("pull", "acme/tiny", env=known, saying=["without encryption"])
        assert hub.fetched() == []


@pytest.mark.parametrize("target, saying", [
    ("file:///etc/passwd", "expected http"), ("/acme/tiny/resolve/loop/x", "redirects"), ("http://[", "no address")])
def test_redirects_that_lead_nowhere(tiny, target, saying):
    tiny.faults = [Fault("/resolve/", times=1000, status=302, headers={"Location": target})]
    tiny.fails("pull", "acme/tiny", saying=[saying])
    has_nothing_half(tiny)
