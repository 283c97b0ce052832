"""Records of evaluations: which settings make another evaluation."""

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


def test_what_is_overwritten_is_forgotten_but_for_the_other_parts(tmp_path):
    for shard, left in (((0, 2), {"1of2.0.jsonl"}), (None, set())):
        record = EvaluationRecord(tmp_path, CONFIG, ["a", "b"], shard)
        mark = record.mark
        for part in ("0", "1", "0of2.0", "0of2.1", "1of2.0"):
            (tmp_path / f"objects.{mark}.{part}.jsonl").touch()
        for name in ("objects.0123456789ab.0.jsonl", *WRITTEN):
            (tmp_path / name).touch()
        record.forget()
        assert {path.name.split(".", 2)[2] for path in tmp_path.iterdir()} == left
