"""What comes from the hub: fetched by the hub's own library from a server here, then used with the hub out of reach."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pandas as pd
import pytest
from repository import REPO
from safetensors.torch import load_file
from workflow.local_hub import COMMIT, Hub, checksum, serve
from workflow.working_copy import copy_repository

from coherence.config.data import HubDataset
from coherence.config.hub import repositories
from coherence.config.study import Study, read_values
from coherence.provenance.artifact import read_card, read_manifest
from coherence.tasks.source import records
from scripts.fetch_hub import main
from scripts.make_base import main as make_base

MODEL, CALLS = "models--tiny--llama", "datasets--tiny--calls"
STUDY = f"""\
base: default.yaml
model: {{kind: hub, id: tiny/llama, revision: {COMMIT}}}
data:
  task: tools
  train: {{hub: tiny/calls, revision: {COMMIT}, split: train}}
  test: {{hub: tiny/calls, revision: {COMMIT}, split: test}}
  columns: {{query: query, name: name, arguments: arguments}}
  prompt: "Q: {{query}} A:"
  validation_rows: 2
  max_tokens: 110
  grpo_max_completion_chars: 60
  seed: 0
grpo: {{arms: {{task: {{rewards: {{click: null, exact: 1.0}}}}, carl: null, task+carl: null}}}}
"""
README = """\
---
configs:
- config_name: default
  data_files:
  - {split: train, path: rows/train.jsonl}
  - {split: test, path: rows/test.jsonl}
---
Calls.
"""


@pytest.fixture(scope="session")
def repos(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, and a data set of tool calls, each with what must not be fetched beside it."""
    top = tmp_path_factory.mktemp("repos")
    shutil.copytree(tiny.base, top / "models/tiny/llama")
    for name in ("modeling_tiny.py", "pytorch_model.bin", "onnx/model.safetensors", ".gitattributes"):
        path = top / "models/tiny/llama" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('code of the hub was run')\n")
    calls = top / "datasets/tiny/calls"
    (calls / "rows").mkdir(parents=True)
    (calls / "README.md").write_text(README)
    (calls / "calls.py").write_text("raise SystemExit('code of the hub was run')\n")
    for split, first, count in (("train", 0, 30), ("test", 30, 8)):
        rows = [
            {"query": f"set lamp {n} in room {n % 5}", "name": "Lamp", "arguments": json.dumps({"number": str(n)})}
            for n in range(first, first + count)
        ]
        (calls / f"rows/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return top


@pytest.fixture
def hub(repos: Path) -> Iterator[Hub]:
    hub = Hub()
    hub.add("models/tiny/llama", repos / "models/tiny/llama")
    hub.add("datasets/tiny/calls", repos / "datasets/tiny/calls")
    with serve(hub):
        yield hub


def names(out: Path) -> set[str]:
    return {entry["name"] for entry in read_manifest(out)["files"]}


# ------------------------------------------------------------------------------- as a user runs it


def test_a_study_from_the_hub_is_fetched_and_then_needs_no_hub(
    repos: Path, tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = copy_repository(tmp_path / "clone")
    (clone.root / "config/hub.yaml").write_text(STUDY)
    hub = Hub()
    hub.add("models/tiny/llama", repos / "models/tiny/llama")
    hub.add("datasets/tiny/calls", repos / "datasets/tiny/calls")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    fetched = [f"results/hub/fetch/{repo}/manifest.json" for repo in (MODEL, CALLS)]
    with serve(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        done = clone.snakemake(*fetched, config="config/hub.yaml")
        (clone.root / "study.json").write_text(
            (clone.root / "results/hub/study.json").read_text().replace("llama", "x")
        )
        wrong = clone.python(
            "scripts/fetch_hub.py", "--config", "study.json", "--repo", "models--tiny--x", "--out", "x"
        )
    assert wrong.returncode == 2 and len(wrong.stderr.strip().splitlines()) == 1, wrong.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    results = clone.root / "results/hub"
    assert read_card(results / "fetch" / MODEL)["identity"]["parts"]["settings"] == {
        "repo": {"type": "model", "id": "tiny/llama", "revision": COMMIT}
    }

    shutil.rmtree(tmp_path / "hf")
    asked = len(hub.log)
    done = clone.snakemake("results/hub/data/manifest.json", config="config/hub.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(hub.log) == asked
    weights, given = (load_file(top / "model.safetensors") for top in (results / "base", tiny.base))
    assert all((weights[name] == given[name]).all() for name in given)
    rows = pd.read_parquet(results / "data/data.parquet")
    assert (rows["split"] == "heldout").sum() == 8 and rows["prompt"].str.contains("lamp 3 ").any()
    base = read_card(results / "base")
    assert base["identity"]["parts"]["inputs"].keys() == {MODEL}
    verified = clone.python("scripts/verify.py", "--configfile", "config/hub.yaml")
    assert verified.returncode == 0, verified.stdout


# ------------------------------------------------------------------------------- what goes wrong

Fetch = Callable[..., Path]


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """fetch(MODEL) runs the program in this process, against the server; the artifact's folder."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    url = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)

    def call(repo: str = MODEL, **changes: Any) -> Path:
        values = read_values(REPO / "config/default.yaml")
        model = {"kind": "hub", "id": "tiny/llama", "revision": COMMIT} | changes
        values |= {"model": model, "data": read_study()["data"]}
        values["grpo"]["arms"] = {"task": {"rewards": {"exact": 1.0}}}
        Study("hub", values).write(tmp_path / "results/hub/study.json")
        out = Path("results/hub/fetch", repo)
        main(Path("results/hub/study.json"), repo, out)
        return out

    return call


def read_study() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(STUDY))


def test_data_is_fetched_and_no_code(fetch: Fetch, tiny: SimpleNamespace) -> None:
    folder = fetch(MODEL)
    assert names(folder) == {path.name for path in tiny.base.iterdir()}
    shutil.rmtree(folder)
    (snapshot,) = Path(huggingface_hub.constants.HF_HUB_CACHE, MODEL, "snapshots").iterdir()
    for name in ("modeling_evil.py", "pytorch_model.bin"):
        (snapshot / name).write_text("put into the cache by another")
    assert names(fetch(MODEL)) == {path.name for path in tiny.base.iterdir()}
    assert names(fetch(CALLS)) == {"files/README.md", "files/rows/test.jsonl", "files/rows/train.jsonl"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "tiny/lama"}, "model tiny/lama: the hub has none of this name, or it is private: correct the name, or"),
        ({"revision": "f" * 40}, "model tiny/llama: it has no such commit: take the full hash from its page"),
        ({"id": "tiny/locked"}, "model tiny/locked: it is gated: accept its terms on its page, then `hf auth login`"),
        ({"id": "tiny/pickled"}, "model tiny/pickled: it has no .safetensors file"),
    ],
    ids=["name", "commit", "gated", "weights"],
)
def test_what_the_hub_does_not_give(hub: Hub, fetch: Fetch, changes: dict[str, str], said: str) -> None:
    hub.files["models/tiny/locked"] = hub.files["models/tiny/llama"]
    hub.files["models/tiny/pickled"] = {"pytorch_model.bin": b"pickle", "config.json": b"{}"}
    hub.gated.add("models/tiny/locked")
    repo = f"models--{changes.get('id', 'tiny/llama').replace('/', '--')}"
    with pytest.raises(ValueError, match=re.escape(said)):
        fetch(repo, **changes)
    assert not list(Path("results").rglob("manifest.json"))


def test_a_hub_out_of_reach(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    with pytest.raises(ValueError) as error:
        fetch()
    told = "model tiny/llama: not fetched; run again where the hub can be reached, what is whole is kept (Got: Conn"
    assert str(error.value).startswith(told) and "\n" not in str(error.value)
    assert "Retry" not in capfd.readouterr().err


def test_what_needs_a_fetch_names_its_command(fetch: Fetch, hub: Hub) -> None:
    with pytest.raises(ValueError):
        fetch("models--gpt2")
    manifest = f"results/hub/fetch/{MODEL}/manifest.json"
    with pytest.raises(ValueError, match=rf"{manifest} is missing: build it first, `snakemake {manifest}`"):
        make_base(Path("results/hub/study.json"), Path("results/hub/base"))


def test_a_repository_that_the_study_does_not_take(fetch: Fetch) -> None:
    with pytest.raises(ValueError, match=f"takes no models--gpt2 from the hub .has: {MODEL}, {CALLS}"):
        fetch("models--gpt2")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_bytes_that_are_not_those_of_the_hubs_checksum(hub: Hub, fetch: Fetch, name: str) -> None:
    data = hub.files["models/tiny/llama"][name]
    hub.wrong[name] = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
    with pytest.raises(ValueError, match=rf"{name} has other bytes than the hub's checksum says: remove .*/blobs/"):
        fetch()
    assert not list(Path("results").rglob("manifest.json"))


def test_a_transfer_that_breaks_off_is_taken_up_where_it_stopped(hub: Hub, fetch: Fetch) -> None:
    hub.cuts["model.safetensors"] = 1
    out = fetch()
    assert hub.gets().count("model.safetensors") == 2
    assert (out / "model.safetensors").read_bytes() == hub.files["models/tiny/llama"]["model.safetensors"]


def test_a_fetch_that_fails_leaves_nothing_finished_and_the_next_loads_the_rest(hub: Hub, fetch: Fetch) -> None:
    hub.cuts["model.safetensors"] = 99
    with pytest.raises(ValueError, match="not fetched; run again where the hub can be reached, what is whole is kept"):
        fetch()
    assert not list(Path("results").rglob("manifest.json"))
    hub.cuts.clear()
    hub.log.clear()
    out = fetch()
    assert hub.gets() == ["model.safetensors"]
    assert (out / "model.safetensors").read_bytes() == hub.files["models/tiny/llama"]["model.safetensors"]
    hub.log.clear()
    fetch()
    assert hub.log == [], "an artifact that is whole needs no hub"


def test_other_bytes_at_the_same_commit_are_not_taken_in_silence(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    out = fetch()
    (out / "config.json").unlink()
    hub.files["models/tiny/llama"]["config.json"] += b" "
    assert checksum("config.json", b"") != checksum("config.json", b" ")
    shutil.rmtree(tmp_path / "hf")
    with pytest.raises(ValueError, match=r"not those of before .*config\.json has \d+ bytes.*: remove results/hub"):
        fetch()
    shutil.rmtree(out)
    assert (fetch() / "config.json").read_bytes().endswith(b" ")


def test_a_damaged_artifact_is_fetched_again(hub: Hub, fetch: Fetch) -> None:
    out = fetch()
    before = (out / "manifest.json").read_bytes()
    (out / "config.json").write_text("{}")
    fetch()
    assert (out / "manifest.json").read_bytes() == before and names(out)
    assert (out / "config.json").read_bytes() == hub.files["models/tiny/llama"]["config.json"]


@pytest.mark.parametrize(
    ("changes", "said"), [({"split": "dev"}, "Unknown split"), ({"subset": "more"}, "BuilderConfig 'more' not found")]
)
def test_a_split_that_the_data_set_does_not_have(fetch: Fetch, changes: dict[str, str], said: str) -> None:
    files = {CALLS: fetch(CALLS) / "manifest.json"}
    source = HubDataset(hub="tiny/calls", revision=COMMIT, split="train")
    assert [number for number, *_ in records(source, files)] == list(range(1, 31))
    with pytest.raises(ValueError, match=f"data set tiny/calls: .*{said}"):
        next(records(source.model_copy(update=changes), files))


def test_one_data_set_at_two_commits_is_refused() -> None:
    study = read_study()
    study["data"]["test"]["revision"] = "f" * 40
    with pytest.raises(ValueError, match="tiny/calls is named at two commits"):
        repositories(study)
