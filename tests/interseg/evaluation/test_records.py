"""Records of evaluations: which settings make another evaluation."""

import json

from interseg.evaluation.records import WRITTEN, EvaluationRecord, played_of

CONFIG = {
    "model": {"_target_": "lightning_modules.itis.ITIS"},
    "max_clicks": 20,
    "run": "runs/a",
    "callbacks": {"loop": {"user": "ritm"}, "progress": {"refresh_rate": 1}},
    "trainer": {"precision": "32-true", "devices": 1},
}


def test_figures_depend_on_model_user_and_precision_and_not_on_places_and_devices():
    played = played_of(CONFIG)
    same = {"run": "runs/b", "loading": {"num_workers": 4}, "logger": "wandb"}
    same |= {"callbacks": CONFIG["callbacks"] | {"progress": None}}
    same |= {"trainer": CONFIG["trainer"] | {"devices": 2}}
    assert played_of(CONFIG | same) == played
    for other in (
        {"max_clicks": 5},
        {"callbacks": {"loop": {"user": "border"}}},
        {"trainer": {"precision": "bf16-mixed"}},
    ):
        assert played_of(CONFIG | other) != played


def test_an_evaluation_is_forgotten_whole(tmp_path):
    record = EvaluationRecord(tmp_path, CONFIG, ["a", "b"])
    kept = ("config.yaml", "wandb.id")
    for part in ("0", "1", "0of2.0", "1of2.0"):
        (tmp_path / f"objects.{record.mark}.{part}.jsonl").touch()
    for name in ("objects.0123456789ab.0.jsonl", *WRITTEN, *kept):
        (tmp_path / name).touch()
    record.forget()
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_a_report_is_of_its_games_whatever_it_shows(tmp_path):
    record = EvaluationRecord(tmp_path, CONFIG, ["a", "b"])
    assert not record.is_reported()
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"fingerprint_played": record.mark, "fingerprint": "other"}))
    assert record.is_reported()
    report.write_text(json.dumps({"fingerprint_played": "0123456789ab"}))
    assert not record.is_reported()
