"""Fine-tuning of a network that ships: what it is shown, and what it starts from."""

import pytest

from configs import load, resolve
from configs.checkpoints import find_checkpoint, load_method
from configs.weights import start_model, trained_model
from interseg.errors import InputError

CONFIGS = ["itis/once.yaml", "itis/ritm.yaml", "finetune.yaml"]


def config_of(*overrides, configs=CONFIGS):
    config = resolve(load(configs, list(overrides)))
    return config | {"weights": str(find_checkpoint(config["weights"])[1])}


def test_all_weights_are_taken_and_the_network_is_shown_what_it_was():
    model, lines = start_model(config_of())
    count = len(model.state_dict())
    assert lines == [f"weights: {count} of {count} are those of {config_of()['weights']}"]


def test_what_it_is_shown_otherwise_and_another_encoder_are_told():
    _, lines = start_model(config_of(configs=[CONFIGS[0], CONFIGS[2]]))
    assert lines[1:] == ["weights were trained with model.mask_map=probabilities, here it is mask"]
    with pytest.raises(InputError, match=r"give model.network.encoder=vit_small_patch14_dinov2"):
        start_model(config_of("weights=interseg-s"))


def test_a_method_that_was_trained_compiled_is_loaded_as_it_is_written():
    method = load_method("interseg-lite", ["model.network.compile={backend: eager}"])
    assert method.network.decoder._compiled_call_impl is None


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("model: {mask_map: mask}", {"mask_map": "mask"}),
        ({"model": {"long_side": 8}}, {"long_side": 8}),
        ("model: {long_side: '${oc.env:NOWHERE}'}", {}),
        ("model: unet", {}),
        ("[1]", {}),
        (None, {}),
    ],
)
def test_what_other_programs_call_a_config_is_passed_over(config, found):
    assert trained_model({"config": config}) == found
