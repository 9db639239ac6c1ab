"""`scripts/plan.py` on a built study: it says what Snakemake does, and why in the study's own words."""

import json
from collections import Counter

import pytest
from workflow.working_copy import Clone

from coherence.planning.jobs import FIGURES


def plan(clone: Clone, *arguments: str, config: str = "config/tiny.yaml") -> tuple[int, str, str]:
    done = clone.python("scripts/plan.py", "--configfile", config, *arguments)
    return done.returncode, done.stdout, done.stderr


def test_what_would_run_is_what_snakemake_would_run(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda text: text.replace("steps: 2\n", "steps: 4\n"))
    code, out, err = plan(clone, "--json")
    assert code == 0, err
    rows = {row["stage"]: row for row in json.loads(out)["stages"]}
    runs = Counter({name: row["run"] for name, row in rows.items() if row["run"]})
    planned = clone.planned()
    drawn = sum(n for rule, n in planned.items() if rule not in rows) + planned.get("report", 0) * ("report" in rows)
    assert runs.pop(FIGURES) == drawn
    assert runs == Counter({rule: n for rule, n in planned.items() if rule in rows and rule != "report"})
    assert rows["grpo"]["why"] == {"grpo.steps 2 -> 4": 2}
    assert list(rows["generate"]["why"]) == ["input: grpo"]
    assert rows["sft"] | {"memory": 0} == rows["sft"] | {"memory": 0, "cached": 1, "run": 0, "why": {}, "hours": 0.0}
    assert rows["grpo"]["past_jobs"] == 2 and rows["grpo"]["wall_s_p50"] > 0
    assert rows["grpo"]["hours"] == pytest.approx(2 * rows["grpo"]["wall_s_p50"] / 3600)
    peaks = {name: row["memory"]["peak"] for name, row in rows.items() if row["memory"]}
    assert set(peaks) == {"base", "sft", "start", "grpo", "generate"}


def test_the_table_names_edited_code_and_what_is_unknown(clone: Clone) -> None:
    clone.edit("src/coherence/core/gate.py", lambda text: text + "\nMORE = 1\n")
    clone.edit("config/tiny.yaml", lambda text: text.replace("batch_size: 8", "batch_size: 16"))
    code, out, err = plan(clone)
    assert code == 0, err
    line = next(line for line in out.splitlines() if line.startswith("sft ") and "runs: " in line)
    assert "sft.batch_size 8 -> 16" in line and "code: src/coherence/core/gate.py changed" in line
    assert "unknown" in next(line for line in out.splitlines() if line.startswith("sft "))


def test_what_cannot_fit_is_refused_with_what_would(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda text: text.replace("max_steps: 25", "max_steps: 26"))
    code, out, err = plan(clone, "--memory-gb", "0.004")
    assert code == 2 and out
    assert err.startswith("error: sft needs ") and err.count("\n") == 1
    assert "it would with " in err and "sft.batch_size 8 -> " in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "config/mine.yaml does not exist"),
        ("base: default.yaml\nmodel: {kind: run, study: other, checkpoint: base}\n", "build it first"),
        ("base: default.yaml\nmodel: {kind: local, path: nowhere}\n", "data_root"),
        ("base: default.yaml\ndata_root: .\nmodel: {kind: local, path: config}\n", "safetensors"),
    ],
    ids=["no file", "not built", "no root", "no model"],
)
def test_a_mistake_is_one_line(clone: Clone, text: str | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARL_DATA_ROOT", raising=False)
    if text is not None:
        (clone.root / "config/mine.yaml").write_text(text)
    code, out, err = plan(clone, config="config/mine.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and told in err
