"""Every shipped config parses; mistakes are one line that names the key; a study cuts into settings per cell."""

from pathlib import Path

import pytest
import yaml
from repository import REPO

from coherence.config.resolved import model_files
from coherence.config.study import Study, deep_merge, load_study, read_values

ADAPT = {
    "prompts": 4,
    "batch_size": 2,
    "slot": {"steps": 8, "learning_rate": 0.002},
    "micro": {"learning_rate": 0.0001},
}
CONFIGS = sorted(path for path in (REPO / "config").rglob("*.yaml") if path.name != "claims.yaml")


def default() -> dict:
    return yaml.safe_load((REPO / "config/default.yaml").read_text())


TRANSITIONS = {"level": 0.95, "least_climb": 0.2, "sharp": 0.5, "narrowest": 4, "least_jump": 0.1}
CHECKS = {"studies": 10, "worlds": 10}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_parses(path: Path) -> None:
    assert load_study(path).seeds


def test_schema_is_the_one_that_the_models_give() -> None:
    from scripts.write_schema import SCHEMA, schema_text

    assert (REPO / SCHEMA).read_text() == schema_text(), "run `make schema`"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c["sft"].update(learning_rte=1), "sft.learning_rte: unknown key (did you mean 'learning_rate'?)"),
        (lambda c: c["sft"].pop("batch_size"), "sft.batch_size: this key is missing"),
        (lambda c: c["sft"]["gate"].update(count=6), "a gate that needs 6 of 5 steps can never fire"),
        (lambda c: c["sft"]["gate"].update(threshold=1.5), "sft.gate.threshold"),
        (lambda c: c["grpo"]["arms"].update(new={"rewards": {"clik": 1.0}}), "no reward 'clik' in task 'grounding'"),
        (lambda c: c["grpo"]["arms"].update({"a b": {"rewards": {"carl": 1.0}}}), "arm name 'a b'"),
        (lambda c: c["grpo"]["arms"].update(sft={"rewards": {"carl": 1.0}}), "'sft' is taken"),
        (lambda c: c.update(seeds=[1, 1]), "seeds must be distinct"),
        (lambda c: c.update(seeds=[]), "seeds"),
        (lambda c: c["model"].update(heads=5), "must be an even whole number"),
        (lambda c: c["model"].update(hiden_size=96), "did you mean 'hidden_size'?"),
        (lambda c: c["data"].update(heldout_per_line=12), "at least one training cell"),
        (lambda c: c.update(model={"kind": "local", "path": "/abs"}), "relative to data_root"),
        (lambda c: c.update(model={"kind": "run", "study": "x", "checkpoint": "../y"}), "model.checkpoint"),
        (lambda c: c.update(model={"kind": "hub", "id": "a/b", "revision": "main"}), "revision"),
        (lambda c: c["compute"].update(processes=3), "sft.batch_size is 50, no multiple of compute.processes"),
        (lambda c: c["compute"].update(accumulate=25), "num_generations is 64, no multiple of"),
        (lambda c: c["grpo"].update(generation="vllm"), "vllm is for device: cuda"),
        (lambda c: c.update(lora={"r": 0, "alpha": 1}), "lora.r"),
        (lambda c: c["figures"].update(transitions=TRANSITIONS), "of `curves`, and this study has none"),
        (lambda c: c["figures"].update(transition_checks=CHECKS), "need the thresholds of figures.transitions"),
        (lambda c: c.update(adapt=ADAPT), "adapt and figures.adaptation come together"),
        (lambda c: c.update(adapt=ADAPT | {"batch_size": 1}), "adapt.batch_size"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(edit, said: str) -> None:
    values = default()
    values["sft"]["batch_size"] = 50
    edit(values)
    with pytest.raises(ValueError) as error:
        Study("x", values)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_deep_merge_joins_mappings_replaces_variants_and_drops_nulls() -> None:
    below = {"a": {"x": 1, "y": 2}, "model": {"kind": "embedded", "layers": 2}, "arms": {"task": 1, "carl": 2}}
    above = {"a": {"y": 3}, "model": {"kind": "local", "path": "m"}, "arms": {"carl": None}}
    assert deep_merge(below, above) == {
        "a": {"x": 1, "y": 3},
        "model": {"kind": "local", "path": "m"},
        "arms": {"task": 1},
    }


def test_a_base_file_has_no_base_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: c.yaml\n")
    with pytest.raises(ValueError, match="one level only"):
        read_values(tmp_path / "a.yaml")


def test_an_arm_does_not_see_its_neighbours() -> None:
    values = default()
    before = Study("x", values).settings("grpo", arm="task", seed=0)
    values["grpo"]["arms"]["new"] = {"rewards": {"carl": 1.0}}
    values["seeds"] = [0, 1, 2, 3]
    assert Study("x", values).settings("grpo", arm="task", seed=0) == before


def test_a_cell_that_the_study_does_not_have_is_a_key_error() -> None:
    study = load_study(REPO / "config/default.yaml")
    with pytest.raises(KeyError):
        study.settings("sft", seed=99)
    with pytest.raises(KeyError):
        study.settings("grpo", arm="none", seed=0)


def test_another_studys_checkpoint_is_its_manifest_and_must_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = {"model": {"kind": "run", "study": "first", "checkpoint": "sft/seed0"}}
    with pytest.raises(ValueError) as error:
        model_files(study, Path("results/second"))
    manifest = Path("results/first/sft/seed0/manifest.json")
    command = f"snakemake --cores 2 {manifest} --configfile config/first.yaml"
    assert str(error.value) == f"model: {manifest} is missing: build it first, `{command}`"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert model_files(study, Path("results/second")) == {"checkpoint": manifest}


def test_a_commit_that_begins_like_a_number_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("revision: 4e20de362430cd3b72f300e6b0f18e50e7166e08\nrate: 1e-3\n")
    assert read_values(tmp_path / "a.yaml") == {"revision": "4e20de362430cd3b72f300e6b0f18e50e7166e08", "rate": 1e-3}


def test_how_many_processes_train_is_nothing_to_the_stages_that_take_one() -> None:
    values = default()
    one, cells = Study("x", values), {"seed": 0, "arm": "task"}
    values["compute"] |= {"processes": 2, "accumulate": 2}
    two = Study("x", values)
    for stage, cell in {"base": {}, "compat": {}, "start": {"seed": 0}, "generate": cells}.items():
        assert one.settings(stage, **cell) == two.settings(stage, **cell)
    for stage, cell in {"sft": {"seed": 0}, "grpo": cells}.items():
        assert one.settings(stage, **cell) != two.settings(stage, **cell)


def claims_study() -> dict:
    return read_values(REPO / "config/claims_study.yaml")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c["claims"]["melt"].update(figure="contrast"), "claims.melt.figure: no figure 'contrast' here"),
        (
            lambda c: c["claims"]["melt"]["take"].update(arm="melted"),
            "take.arm: no 'melted' (has: sft, task,",
        ),
        (lambda c: c["claims"]["melt"].update(figure="arms"), "'arms' decides no claim (contrasts, transitions,"),
        (lambda c: c["claims"]["melt"]["take"].pop("against"), "claims.melt.take: it must name arm, quantity, against"),
        (lambda c: c["claims"]["melt"]["take"].update(quantity="distinct"), "no 'distinct' (has: first_loss,"),
        (lambda c: c["claims"]["cascade"]["take"].update(against="carl"), "no 'carl' (has: null, "),
        (
            lambda c: c["claims"]["phi-knows"]["take"].update(score="psi"),
            "take.score: no 'psi' (has: phi, ",
        ),
        (lambda c: c["claims"]["slot"]["take"].update(method="slots"), "take.method: no 'slots' (has: none, slot,"),
        (lambda c: c["claims"]["slot"]["take"].update(gate="sigma"), "take.gate: no 'sigma' (has: null)"),
        (lambda c: c["claims"]["irrational"]["take"].update(name="pi"), "take.name: no 'pi' (has: kappa,"),
        (lambda c: c["claims"]["irrational"].update(comparator=">", threshold=0.0), "`constants` are exact"),
        (lambda c: c["figures"]["transitions"].update(widths=["narrow", "wider"]), "'wider' is not a curve"),
        (lambda c: c["figures"]["transitions"].update(widths=["blank", "mismatched"]), "differ, got [96, 96]"),
        (
            lambda c: c["figures"]["contrasts"]["against"].update(blank="task"),
            "'blank' and 'task' are an arm",
        ),
        (
            lambda c: c["claims"]["slot"]["take"].update(method="none"),
            "no 'strict_difference' (has: strict,",
        ),
        (lambda c: c["claims"]["trap-diversity"]["take"].update(arm="task", against="sft"), "no 'sft' (has: null)"),
        (lambda c: c["claims"]["cloud-knows-more"]["take"].update(score="logp"), "no 'logp' (has: phi, cloud_quality"),
        (lambda c: c.update(seeds=[0, 1]), "needs 3 seeds, the study has 2"),
        (lambda c: c["claims"]["melt"].pop("threshold"), "comparator and threshold go together"),
        (lambda c: c["claims"]["melt"].update(not_testable="why"), "or why it is `not_testable`"),
        (lambda c: c["claims"]["melt"].update(treshold=1), "did you mean 'threshold'?"),
        (lambda c: c["figures"]["contrasts"].update(level=0.8), "figures.contrasts.level is 0.8, but figures.claims"),
        (lambda c: c.pop("claims"), "`claims` and `figures.claims` go together"),
        (lambda c: c["figures"]["contrasts"]["against"].update(tusk="task"), "'tusk' is neither an arm nor a curve"),
        (lambda c: c["figures"].update(shown=["task", "crl"]), "figures.shown: 'crl' is not an arm"),
        (lambda c: c["curves"]["runs"]["matched"].update(base="macthed"), "no base 'macthed' (has: matched, blank, "),
        (lambda c: c["curves"]["bases"]["matched"].update(heads=5), "curves.bases.matched"),
        (
            lambda c: c["grpo"]["arms"]["cascade+metric"]["cascade"]["gate"].update(metric="task/clik"),
            "cascade.gate.metric: no metric 'task/clik'",
        ),
    ],
)
def test_a_mistake_about_arms_curves_or_claims_is_named_before_anything_trains(edit, said: str) -> None:
    values = claims_study()
    edit(values)
    with pytest.raises(ValueError) as error:
        Study("x", values)
    assert said in str(error.value)


def test_the_curves_differ_in_what_they_name_and_share_the_rest() -> None:
    study = Study("claims_study", claims_study())
    base, own = study.settings("base")["model"], study.settings("bases", base="matched")["model"]
    assert own == base | {"prior": "format"}
    fast, plain = (study.settings("curves", curve=name, seed=0)["sft"] for name in ("mismatched-fast", "mismatched"))
    assert fast == plain | {"learning_rate": 2e-3} and plain["max_steps"] == 400
