"""Several at once on one cache: two pulls, and pull beside huggingface_hub, whose locks it shares."""
import json
import time

import pytest

from conftest import LARGE, USUAL, blob_name, contents, tiny_files, usual
from fake_hub import Fault


@pytest.fixture
def tiny(hub):
    files = tiny_files()
    hub.model("acme/tiny", files)
    hub.large = blob_name(files[LARGE])
    hub.files = usual(files)
    return hub


def requests_for_large(hub):
    return [seen for seen in hub.fetched() if hub.large in seen.path]


def ended(process, timeout=120):
    stdout, stderr = process.communicate(timeout=timeout)
    assert process.returncode == 0, stderr
    return stdout.strip(), stderr


def when_large_is_asked_for(hub):
    end = time.monotonic() + 60
    while not requests_for_large(hub):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_pull_waits_for_huggingface_hubs_lock(tiny):
    """The lock is taken with the function that huggingface_hub takes it with."""
    lock = tiny.cache / ".locks/models--acme--tiny" / f"{tiny.large}.lock"
    lock.parent.mkdir(parents=True)
    holder = tiny.start_python(f"""
import time
from huggingface_hub.utils import WeakFileLock
with WeakFileLock({str(lock)!r}):
    print(json.dumps("held"), flush=True)
    time.sleep(4)
""")
    assert json.loads(holder.stdout.readline()) == "held"
    begin = time.monotonic()
    done = tiny.run("pull", "acme/tiny")
    assert time.monotonic() - begin > 2
    assert f"waiting for another process that downloads {LARGE}" in done.stderr
    ended(holder)
    assert contents(tiny.pull("acme/tiny")) == tiny.files


def test_huggingface_hub_waits_for_pull(tiny):
    """It finds the file that pull was downloading, and does not download it a second time."""
    tiny.faults = [Fault(tiny.large, rate=1_000_000)]
    pulling = tiny.start("pull", "acme/tiny")
    when_large_is_asked_for(tiny)
    said = tiny.python(f'print(json.dumps(hf_hub_download("acme/tiny", "{LARGE}")))')
    snapshot, _ = ended(pulling)
    assert said == f"{snapshot}/{LARGE}"
    assert len(requests_for_large(tiny)) == 1


def test_pull_waits_for_huggingface_hub(tiny):
    tiny.faults = [Fault(tiny.large, rate=1_000_000)]
    theirs = tiny.start_python(f'print(json.dumps(snapshot_download("acme/tiny", allow_patterns={USUAL})))')
    when_large_is_asked_for(tiny)
    snapshot = tiny.pull("acme/tiny")
    stdout, _ = ended(theirs)
    assert json.loads(stdout.splitlines()[-1]) == str(snapshot)
    assert len(requests_for_large(tiny)) == 1
    assert contents(snapshot) == tiny.files


def test_two_pulls_share_the_work(tiny):
    tiny.faults = [Fault(tiny.large, rate=1_500_000)]
    pulls = [tiny.start("pull", "acme/tiny") for _ in range(3)]
    snapshots = {ended(pull)[0] for pull in pulls}
    assert len(snapshots) == 1
    assert len(requests_for_large(tiny)) == 1
    assert contents(tiny.pull("acme/tiny")) == tiny.files
    assert tiny.blobs("acme/tiny") == sorted(map(blob_name, tiny.files.values()))


def test_a_killed_pull_leaves_no_lock_behind(tiny):
    tiny.faults = [Fault(tiny.large, rate=200_000)]
    pulling = tiny.start("pull", "acme/tiny")
    when_large_is_asked_for(tiny)
    pulling.kill()
    pulling.communicate()
    assert contents(tiny.pull("acme/tiny")) == tiny.files
