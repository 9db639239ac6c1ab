"""Clicks on images: bad images and boxes, splits, rewards, and images that enter what the data set is."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.screens import DATA, draw
from PIL import Image
from repository import REPO
from workflow.working_copy import copy_repository, planned_jobs

from coherence.config.data import REWARDS, ScreensData
from coherence.config.resolved import data_files
from coherence.config.study import Study, read_values
from coherence.evaluation.baselines import score_baselines
from coherence.provenance.artifact import Artifact
from coherence.tasks.rewards import PIXEL_DISTANCE, TASK_REWARDS
from coherence.tasks.rows import Report, check_splits, drop_long, to_table
from coherence.tasks.screens.rows import ScreenRow, make_rows, target

REWARD = TASK_REWARDS["screens"]


@pytest.fixture(autouse=True)
def own_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARL_DATA_ROOT", raising=False)


def study(root: Path, **changes: Any) -> dict[str, Any]:
    return {"data": DATA | changes, "data_root": str(root), "model": {"kind": "local"}}


def make(root: Path, **changes: Any) -> tuple[list[ScreenRow], Report]:
    report, values = Report(), study(root, **changes)
    config, rng = ScreensData.parse(values["data"], "data"), np.random.default_rng(0)
    rows = make_rows(config, data_files(values, root), str.upper, lambda text, image: image.width, rng, report)
    return rows, report


def test_splits_share_no_image_under_whatever_name(tmp_path: Path) -> None:
    again = [{"shot": f"shots/{n}b.png", "say": "Click it again", "box": [0, 0, 20, 20]} for n in range(20)]
    draw(tmp_path, 20, again)
    for n in range(20):
        (tmp_path / f"shots/{n}b.png").write_bytes((tmp_path / f"shots/{n}.png").read_bytes())
    rows, report = make(tmp_path)
    check_splits(rows, ("sft", "grpo", "validation", "heldout"))
    assert Counter(row.split for row in rows) == {"sft": 26, "grpo": 26, "validation": 4, "heldout": 10}
    assert not report.dropped
    assert rows == make(tmp_path)[0], "the same rows every time"


def test_every_gold_completion_earns_every_reward(tmp_path: Path) -> None:
    draw(tmp_path, 12)
    for row in make(tmp_path)[0]:
        assert REWARD["format"](row.completion, row.answer) == REWARD["click"](row.completion, row.answer) == 1
        assert REWARD["distance"](row.completion, row.answer) == 1
        assert [row.completion[a:b] for a, b in row.content] == list(map(str, row.answer["point"]))
        assert (row.prompt, row.prompt_tokens) == (row.instruction.upper(), row.answer["size"][0])


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    line = {"shot": "shots/0.png", "say": "Click", "box": [1, 1, 9, 9]}
    bad = [
        line | {"shot": "shots/gone.png"},
        line | {"shot": "/etc/hostname"},
        line | {"shot": "shots/text.png"},
        line | {"shot": "shots/half.png"},
        line | {"box": [1, 1, 999, 9]},
        line | {"box": [9, 9, 1, 1]},
        line | {"box": [9.001, 9, 9.002, 9.001]},
    ]
    draw(tmp_path, 12, bad)
    (tmp_path / "shots/text.png").write_text("no image")
    whole = (tmp_path / "shots/2.png").read_bytes()
    (tmp_path / "shots/half.png").write_bytes(whole[: len(whole) // 2])
    rows, report = make(tmp_path)
    assert sum(row.split != "grpo" for row in rows) == 12
    assert report.dropped == {
        "no such image under data_root": 2,
        "image cannot be read": 2,
        "box is empty, not inside its image, or too small to be hit": 3,
    }
    kept = drop_long(rows, lambda row: row.prompt_tokens, 64, report)  # type: ignore[attr-defined]
    assert len(kept) < len(rows) and max(row.answer["size"][0] for row in kept) == 64
    assert {"image_path", "image_sha256", "instruction", "prompt_tokens"} <= set(to_table(rows).columns)


def test_without_a_single_image_the_reasons_are_told(tmp_path: Path) -> None:
    draw(tmp_path, 6)
    for image in (tmp_path / "shots").iterdir():
        image.unlink()
    rows, report = make(tmp_path)
    with pytest.raises(ValueError, match=r"split 'sft' is empty \(dropped: 6 no such image under data_root"):
        check_splits(rows, ("sft",), report)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", "click.jsonl, line 4: not valid JSON"),
        ("[]", "click.jsonl, line 4: a JSON object is expected"),
        ({"shot": 3, "say": "Click", "box": [1, 1, 9, 9]}, "click.jsonl, line 4: column 'shot' is missing or not text"),
        ({"shot": "a.png", "box": [1, 1, 9, 9]}, "click.jsonl, line 4: column 'say' is missing or not text"),
        ({"shot": "a.png", "say": "Click", "box": [1, 1, 9]}, "column 'box': 4 numbers are expected"),
        ({"shot": "a.png", "say": "Click", "box": [1, 1, 9, math.nan]}, "column 'box': 4 numbers are expected"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, bad: Any, said: str) -> None:
    draw(tmp_path, 3, [bad])
    with pytest.raises(ValueError) as error:
        make(tmp_path)
    assert said in str(error.value) and "line 4" in str(error.value) and "\n" not in str(error.value)


def test_an_image_that_changes_makes_another_data_set(tmp_path: Path) -> None:
    draw(tmp_path, 4)

    def identity() -> str:
        inputs = data_files(study(tmp_path), tmp_path)
        script = Path("scripts/prepare_data.py")
        return Artifact(out=tmp_path / "out", stage="data", cell={}, script=script, settings={}, inputs=inputs).identity

    before = identity()
    assert before == identity()
    assert set(data_files(study(tmp_path), tmp_path)) == {"click.jsonl", *(f"shots/{n}.png" for n in range(4))}
    Image.new("RGB", (64, 48)).save(tmp_path / "shots/3.png")
    changed = identity()
    (tmp_path / "shots/3.png").unlink()
    assert len({before, changed, identity()}) == 3


def test_boxes_in_pixels_and_in_fractions_are_the_same_thousandths() -> None:
    pixels, fractions = (
        target([32, 12, 48, 24], (64, 48), "pixels"),
        target([0.5, 0.25, 0.75, 0.5], (64, 48), "fractions"),
    )
    assert pixels == fractions == {"box": [500, 250, 750, 500], "point": [625, 375], "size": [64, 48]}


@given(st.tuples(*[st.floats(0, 1)] * 4), st.tuples(*[st.integers(1, 9000)] * 2))
def test_a_target_can_be_hit_or_there_is_none(box: tuple[float, ...], size: tuple[int, int]) -> None:
    answer = target(box, size, "fractions")
    if answer is not None:
        x, y = answer["point"]
        assert REWARD["click"](f"click({x}, {y})", answer) == 1 and 0 <= x <= 1000 and 0 <= y <= 1000


@pytest.mark.parametrize(
    ("text", "scores", "pixels"),
    [
        ("click(625, 375)", (1, 1, 1), 0),
        ("click(750, 500)", (1, 1, math.exp(-math.hypot(125, 125) / 100)), 10),
        ("click(751, 375)", (1, 0, math.exp(-1.26)), 126 * 0.064),
        ("I click(625, 375)", (0, 0, 0), math.nan),
        ("", (0, 0, 0), math.nan),
    ],
)
def test_known_scores(text: str, scores: tuple[float, ...], pixels: float) -> None:
    answer = {"box": [500, 250, 750, 500], "point": [625, 375], "size": [64, 48]}
    assert tuple(REWARD[name](text, answer) for name in REWARDS["screens"]) == pytest.approx(scores)
    assert PIXEL_DISTANCE["screens"](text, answer) == pytest.approx(pixels, nan_ok=True)


def test_the_middle_of_the_image_is_a_baseline() -> None:
    answer = {"box": [400, 400, 600, 600], "point": [500, 500], "size": [10, 10]}
    row = {"id": "1", "family": "screen", "prompt": "Click", "completion": "click(1, 1)", "answer": answer}
    scores = score_baselines("screens", [row], [row]).set_index("baseline")
    assert scores["strict"].to_dict() == {"majority": 0, "nearest": 0, "middle": 1}


def test_an_embedded_model_sees_no_images() -> None:
    values = read_values(REPO / "config/gpu/grounding_vlm.yaml")
    values["model"] = read_values(REPO / "config/default.yaml")["model"]
    with pytest.raises(ValueError, match=r"task 'screens' shows images: model\.kind must be local, hub or run"):
        Study("grounding_vlm", values)


def test_the_gpu_study_can_be_planned(tmp_path: Path) -> None:
    clone, root = copy_repository(tmp_path / "clone"), tmp_path / "root"
    draw(root / "data/screens", 3)
    lines = [json.loads(line) for line in (root / "data/screens/click.jsonl").read_text().splitlines()]
    named = [{"image": f"data/screens/{x['shot']}", "instruction": x["say"], "bbox": x["box"]} for x in lines]
    (root / "data/screens/click.jsonl").write_text("\n".join(map(json.dumps, named)))
    model = root / read_values(REPO / "config/gpu/grounding_vlm.yaml")["model"]["path"]
    model.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    done = clone.snakemake("-n", "all", config="config/gpu/grounding_vlm.yaml", data_root=str(root))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    planned = planned_jobs(done.stdout + done.stderr)
    assert (planned["data"], planned["sft"], planned["grpo"]) == (1, 3, 9)
