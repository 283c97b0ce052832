"""Training on sources side by side: inner rounds, resume, two ranks."""

import pytest
import torch

from callbacks.checkpoint import LastCheckpoint
from callbacks.inner_rounds import number_of_rounds
from callbacks.user_loop import UserLoop
from interseg.networks.click_network import ClickNetwork
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.joined import draw_sets, joined
from tests.helpers.small_network import ENCODER
from tests.helpers.training import Kill, Killed, assert_equal, memory, quiet_trainer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_sets(tmp_path_factory.mktemp("sets"))


def module():
    torch.manual_seed(3)
    options = {"decoder_channels": 16, "encoder_output_stride": 16, "decoder_aspp_dropout": 0.0}
    network = ClickNetwork(encoder=ENCODER, pretrained=None, guidance_channels=3, options=options)
    return ITIS(
        network,
        mask_map="probabilities",
        optimisation=Optimisation(learning_rate=1e-3),
    )


def train(root, sets, *callbacks, devices=1, checkpoint=None):
    learner = module().double()  # a checkpoint is read before Lightning would do it
    loop = UserLoop(reset_probability=0.3, inner_rounds=3)
    trainer = quiet_trainer(root, [loop, *callbacks], 2, devices, "64-true")
    trainer.fit(
        learner,
        joined(sets, {"small": 0.5}, batch_size=4 // devices),
        ckpt_path=checkpoint,
        weights_only=True,
    )
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    assert [number_of_rounds(3, 0, step) for step in range(4)] == [0, 2, 0, 2]
    return train(tmp_path_factory.mktemp("undisturbed"), root, LastCheckpoint(1))


def test_a_killed_training_goes_on_as_if_it_had_not_been(root, undisturbed, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, root, LastCheckpoint(1), Kill(3, True))
    resumed = train(
        tmp_path, root, LastCheckpoint(1), checkpoint=tmp_path / "checkpoints" / "last.ckpt"
    )
    assert resumed["global_step"] == 4
    for part in ("state_dict", "optimizer_states"):
        assert_equal(undisturbed[part], resumed[part], part)
    assert_equal(memory(undisturbed), memory(resumed))


def test_two_ranks_learn_what_one_does(root, undisturbed, tmp_path):
    two = train(tmp_path, root, LastCheckpoint(1), devices=2)
    assert_equal(memory(undisturbed), memory(two))
    for name, weights in undisturbed["state_dict"].items():
        assert torch.allclose(weights, two["state_dict"][name], atol=1e-5), name
