"""pull writes the cache that huggingface_hub reads, and reads the one that it wrote."""
import json
import os

import pytest

from conftest import LARGE, USUAL, blob_name, contents, noise, tiny_files, usual


def test_the_cache(hub):
    """Blobs by hash, snapshots of relative links, the name of the branch; only what foregate reads."""
    files = tiny_files()
    repo = hub.model("acme/tiny", files)
    snapshot = hub.pull("acme/tiny")
    commit = repo.find("main")
    root = hub.cache / "models--acme--tiny"
    assert snapshot == root / "snapshots" / commit
    assert (root / "refs/main").read_text() == commit
    assert contents(snapshot) == usual(files)
    assert hub.blobs("acme/tiny") == sorted(blob_name(content) for content in usual(files).values())
    for path, content in usual(files).items():
        assert os.readlink(snapshot / path) == f"../../blobs/{blob_name(content)}"
    assert (hub.cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_pulling_again_downloads_nothing(hub):
    hub.model("acme/tiny", tiny_files())
    first = hub.pull("acme/tiny")
    downloads = len(hub.downloads())
    assert hub.pull("acme/tiny") == first
    assert len(hub.downloads()) == downloads
    assert "5 already in the cache" in hub.run("pull", "acme/tiny").stderr


def test_include_exclude_all_files(hub):
    files = tiny_files()
    hub.model("acme/tiny", files)
    snapshot = hub.pull("acme/tiny", "--include", "*.json", "--include", "README*", "--exclude", "tokenizer*")
    assert sorted(contents(snapshot)) == ["README.md", "config.json", "model.safetensors.index.json"]
    assert sorted(contents(hub.pull("acme/tiny", "--all-files"))) == sorted(files)
    hub.fails("pull", "acme/tiny", "--include", "*.gguf", code=2, saying=["--include '*.gguf'", "config.json"])
    hub.fails("pull", "acme/tiny", "--include", "*", "--all-files", code=2, saying=["--all-files", "--include"])


def test_json(hub):
    files = tiny_files()
    repo = hub.model("acme/tiny", files)
    said = json.loads(hub.run("pull", "acme/tiny", "--json").stdout)
    assert said["repository"] == "acme/tiny" and said["kind"] == "model" and said["commit"] == repo.find("main")
    assert {file["path"]: file["bytes"] for file in said["files"]} == {
        path: len(content) for path, content in usual(files).items()}
    assert said["received_bytes"] == sum(map(len, usual(files).values())) and said["resumed_bytes"] == 0
    again = json.loads(hub.run("pull", "acme/tiny", "--json").stdout)
    assert again["received_bytes"] == 0 and all(file["cached"] for file in again["files"])


def test_a_model_without_safetensors(hub):
    hub.model("acme/old", {"config.json": "{}", "pytorch_model.bin": "x"})
    hub.fails("pull", "acme/old", saying=["safetensors", "pytorch_model.bin"])
    assert not hub.cache.exists()


def test_a_dataset(hub):
    files = {"README.md": "a card", "dataset_infos.json": "{}", ".gitattributes": "", "LICENSE.txt": "free",
             "plain_text/train.parquet": noise(20_000), "extra/part.jsonl.gz": "x", "extra/part.csv.zst": "y",
             "loader.py": "import os"}
    hub.dataset("acme/reviews", files)
    snapshot = hub.pull("--dataset", "acme/reviews")
    assert snapshot.parent.parent == hub.cache / "datasets--acme--reviews"
    assert sorted(contents(snapshot)) == ["extra/part.csv.zst", "extra/part.jsonl.gz", "plain_text/train.parquet"]
    hub.fails("pull", "acme/reviews", saying=["model acme/reviews", "--dataset"])


def test_revisions(hub):
    repo = hub.model("acme/tiny", tiny_files())
    old = repo.find("main")
    new = repo.commit({**tiny_files(), "config.json": '{"model_type": "mixtral"}'}, "main", "refs/pr/1", "v2")
    assert hub.pull("acme/tiny").name == new
    downloads = len(hub.downloads())
    for revision, commit in (("refs/pr/1", new), ("v2", new), (old, old)):
        snapshot = hub.pull("acme/tiny", "--revision", revision)
        assert snapshot.name == commit
    # The old commit differs in one file; the others are the same blobs.
    assert len(hub.downloads()) == downloads + 1
    assert b"qwen2_moe" in (snapshot / "config.json").read_bytes()
    refs = {str(path.relative_to(hub.folder("acme/tiny") / "refs")): path.read_text()
            for path in (hub.folder("acme/tiny") / "refs").rglob("*") if path.is_file()}
    assert refs == {"main": new, "refs/pr/1": new, "v2": new}
    hub.fails("pull", "acme/tiny", "--revision", "v3", saying=["no revision 'v3'"])
    hub.fails("pull", "acme/tiny", "--revision", "../main", code=2, saying=["--revision"])


def test_lists_of_several_pages(hub):
    files = {f"folder {i % 7}/file {i}.json": f"{{{i}}}" for i in range(53)}
    hub.model("acme/many", files)
    hub.page = 4
    snapshot = hub.pull("acme/many", "--all-files")
    assert contents(snapshot) == {path: content.encode() for path, content in files.items()}


def test_odd_files(hub):
    """Names that addresses escape, empty files, and two files of the same content."""
    files = {"a b.txt": "1", "100%.txt": "2", "ü/ß?#&+.txt": "3", "empty": "", "deep/er/empty": "",
             "same.bin": noise(30_000), "deep/same.bin": noise(30_000), "'quoted\"": "4", "back\\slash": "5"}
    hub.model("acme/odd", files)
    snapshot = hub.pull("acme/odd", "--all-files")
    assert contents(snapshot) == {path: content if isinstance(content, bytes) else content.encode()
                                  for path, content in files.items()}
    assert len(hub.fetched()) == 1


@pytest.mark.parametrize("entry", [
    {"path": "../../evil"}, {"path": "/tmp/evil"}, {"path": "a/../../evil"}, {"path": ""}, {"path": "a//b"},
    {"oid": "../../../evil"}, {"oid": "A" * 40}, {"size": -1}, {"size": "5"},
    {"lfs": {"oid": "0" * 40, "size": 5}}, {"path": "a\0b"}])
def test_a_hub_that_cannot_be_trusted(hub, entry):
    """Nothing that a list says leads out of the repository's folder."""
    repo = hub.model("acme/evil", {"config.json": "{}"})
    repo.tree_entries = [{"type": "file", "oid": "0" * 40, "size": 5, "path": "harmless", **entry}]
    hub.fails("pull", "acme/evil", "--all-files", saying=["/api/models/acme/evil/tree/"])
    assert not hub.cache.exists()


def test_answers_that_are_not_the_hubs(hub):
    hub.fails("pull", "acme/tiny", env={"HF_ENDPOINT": hub.url + "/elsewhere"}, saying=["has no model acme/tiny"])
    hub.fails("pull", "acme/tiny", env={"HF_ENDPOINT": "ftp://x"}, code=2, saying=["HF_ENDPOINT"])
    hub.fails("pull", "a/b/c", code=2, saying=["OWNER/NAME"])


def test_where_the_cache_is(hub, tmp_path):
    hub.model("acme/tiny", tiny_files())
    unset = {name: "" for name in ("HF_HOME", "HF_HUB_CACHE")}
    assert hub.pull("acme/tiny", env={"HF_HUB_CACHE": str(tmp_path / "x")}).is_relative_to(tmp_path / "x")
    home = {**unset, "HOME": str(tmp_path / "home")}
    assert hub.pull("acme/tiny", env=home).is_relative_to(tmp_path / "home/.cache/huggingface/hub")
    xdg = {**home, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert hub.pull("acme/tiny", env=xdg).is_relative_to(tmp_path / "xdg/huggingface/hub")


def test_the_token_goes_to_the_hub_alone(hub):
    """From HF_TOKEN or the token file; a redirect to another host leaves it behind."""
    hub.model("acme/secret", tiny_files(), token="hf_secret")
    hub.fails("pull", "acme/secret", saying=["has no model acme/secret", "private", "HF_TOKEN"])
    hub.home.mkdir(parents=True, exist_ok=True)
    (hub.home / "token").write_text("hf_secret\n")
    hub.seen.clear()
    done = hub.run("pull", "acme/secret")
    assert {seen.authorization for seen in hub.seen if seen.server == "hub"} == {"Bearer hf_secret"}
    assert len(hub.fetched()) == 2  # the two shards
    assert {seen.authorization for seen in hub.fetched()} == {None}
    assert "hf_secret" not in done.stderr + done.stdout and "Signature" not in done.stderr
    hub.fails("pull", "acme/secret", env={"HF_TOKEN": "hf_other"}, saying=["has no model acme/secret", "token"])
    hub.fails("pull", "acme/secret", env={"HF_TOKEN": "expired"}, saying=["refuses the token"])


def test_gated(hub):
    hub.model("acme/gated", tiny_files(), token="hf_secret", gated=True)
    page = hub.url + "/acme/gated"
    hub.fails("pull", "acme/gated", saying=["gated", page, "HF_TOKEN"])
    hub.fails("pull", "acme/gated", env={"HF_TOKEN": "hf_other"}, saying=["gated", page, "valid"])
    hub.pull("acme/gated", env={"HF_TOKEN": "hf_secret"})


def test_offline(hub):
    hub.model("acme/tiny", tiny_files())
    offline = {"HF_HUB_OFFLINE": "1"}
    hub.fails("pull", "acme/tiny", env=offline, saying=["HF_HUB_OFFLINE", "not in the cache"])
    snapshot = hub.pull("acme/tiny")
    hub.seen.clear()
    assert hub.pull("acme/tiny", env=offline) == snapshot
    assert hub.seen == []


def test_huggingface_hub_reads_what_was_pulled(hub):
    files = tiny_files()
    repo = hub.model("acme/tiny", files)
    hub.dataset("acme/reviews", {"test.csv": "text\nfine\n"})
    snapshot = hub.pull("acme/tiny")
    dataset = hub.pull("--dataset", "acme/reviews")
    hub.seen.clear()
    said = hub.python(f"""
print(json.dumps([
    snapshot_download("acme/tiny", local_files_only=True),
    snapshot_download("acme/tiny", revision="{repo.find('main')}", local_files_only=True),
    hf_hub_download("acme/tiny", "{LARGE}", local_files_only=True),
    snapshot_download("acme/reviews", repo_type="dataset", local_files_only=True)]))""")
    assert said == [str(snapshot), str(snapshot), str(snapshot / LARGE), str(dataset)]
    assert [seen for seen in hub.seen if "acme" in seen.path] == []
    # With the network it asks, and downloads nothing.
    said = hub.python(f"""
print(json.dumps([snapshot_download("acme/tiny", allow_patterns={USUAL}), hf_hub_download("acme/tiny", "config.json")]))
""")
    assert said == [str(snapshot), str(snapshot / "config.json")]
    assert hub.downloads() == []


def test_huggingface_hub_finds_the_cache_in_order(hub):
    files = tiny_files()
    hub.model("acme/tiny", files)
    hub.pull("acme/tiny")
    said = hub.python("""
found = scan_cache_dir()
print(json.dumps([len(found.warnings), [[repo.repo_id, repo.size_on_disk, [
    [sorted(file.file_name for file in revision.files), sorted(revision.refs)] for revision in repo.revisions]]
    for repo in found.repos]]))""")
    size = sum(map(len, usual(files).values()))
    assert said == [0, [["acme/tiny", size, [[USUAL, ["main"]]]]]]


def test_what_huggingface_hub_pulled_is_not_downloaded_again(hub):
    files = tiny_files()
    hub.model("acme/tiny", files)
    theirs = hub.python(f'print(json.dumps(snapshot_download("acme/tiny", allow_patterns={USUAL})))')
    hub.seen.clear()
    ours = hub.pull("acme/tiny")
    assert str(ours) == theirs and hub.downloads() == []
    # What it did not pull is added to the same snapshot.
    assert contents(hub.pull("acme/tiny", "--include", "README.md"))["README.md"] == b"# Tiny\n"
    assert [seen.path.rsplit("/", 1)[1] for seen in hub.downloads()] == ["README.md"]
    said = hub.python('print(json.dumps(hf_hub_download("acme/tiny", "README.md", local_files_only=True)))')
    assert said == str(ours / "README.md")
