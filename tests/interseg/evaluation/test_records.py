"""Records of evaluations: which settings make another evaluation."""

from interseg.evaluation.records import played_of

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
