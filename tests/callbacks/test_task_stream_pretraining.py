"""Pretraining of task streams: resume, rates, and the sequences of all methods that it serves."""

import pytest
import torch
from pytorch_lightning import Callback

from interseg.continual.embedding import ImageEmbedding
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.drawing import draw_classes
from tests.helpers.task_streams import METHODS, RATE, Satisfied, baseline, clis, data, trainer
from tests.helpers.training import Kill, Killed, assert_equal, last


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("classes"), 9)


def test_killed_in_pretraining_it_goes_on_with_equal_weights(folder, tmp_path):
    trainer(tmp_path / "whole", epochs=3).fit(clis(), data(folder, "offline"))
    cut = trainer(tmp_path / "cut", Kill(3, True), epochs=3, every=1)
    with pytest.raises(Killed):
        cut.fit(clis(), data(folder, "offline"))
    file = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    trainer(tmp_path / "cut", epochs=3).fit(
        clis(), data(folder, "offline"), ckpt_path=file, weights_only=True
    )
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "cut")["state_dict"])


def test_any_baselines_pretraining_serves_the_others(folder, tmp_path):
    for first, second in (("ewc", "packnet"), ("packnet", "lwf")):
        trainer(tmp_path / first, epochs=1).fit(METHODS[first](), data(folder, "offline"))
        file = str(tmp_path / first / "checkpoints" / "last.ckpt")
        learner = METHODS[second](file)
        trainer(tmp_path / f"{first}-{second}", epochs=1).fit(learner, data(folder))
        given = torch.load(file, weights_only=True)["state_dict"]["network.convolutions.3.weight"]
        start = learner.beginning["network.convolutions.3.weight"]
        kept = start != 0  # PackNet has pruned the others
        assert torch.equal(start[kept], given[kept])
        assert kept.all() == (second != "packnet")


@pytest.mark.parametrize("name", ["naive", "packnet"])
def test_clis_pretraining_serves_the_others(name, folder, pretrained, tmp_path):
    trainer(tmp_path / name, epochs=1, user=Satisfied()).fit(
        METHODS[name](pretrained["clis"]), data(folder, sequence=0)
    )
    state = torch.load(pretrained["clis"], weights_only=True)["state_dict"]
    assert bool(state["plain"])
    found = last(tmp_path / name)["state_dict"]["network.convolutions.3.weight"]
    kept = found != 0
    assert torch.equal(found[kept], state["network.convolutions.3.weight.mean"][kept])
    assert kept.all() == (name == "naive")


def test_the_mean_answer_of_the_first_task_is_the_plain_networks(folder, pretrained, tmp_path):
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(pl_module.network(batch["image"], sample=0.0).softmax(1))

    plain = baseline()(pretrained["clis"])
    plain.load_pretrained(pretrained["clis"])
    trainer(tmp_path / "clis", Watch(), epochs=1).fit(
        clis(pretrained["clis"]), data(folder, rounds=1, sequence=0)
    )
    first = data(folder).images_of(0)[0]
    answer = plain.predict_current(data(folder).batch_of([first])["image"]).probabilities
    assert torch.allclose(seen[0], answer, atol=1e-4)


def test_spare_kernels_come_with_the_tasks_and_are_opened_by_them(folder, pretrained, tmp_path):
    def spare(pretrained):
        torch.manual_seed(3)
        network = CLISNetwork(2, 6, 8, spare=2)
        options = {
            "samples": 3,
            "steps": 4,
            "update": "isolated",
            "optimisation": RATE,
            "pretrained": pretrained,
        }
        return CLIS(network, ImageEmbedding((16, 24), 5, 4), **options)

    trainer(tmp_path, epochs=1).fit(spare(pretrained["clis"]), data(folder))
    start, end = (
        torch.load(pretrained["clis"], weights_only=True)["state_dict"],
        last(tmp_path)["state_dict"],
    )
    assert end["network.convolutions.3.weight.mean"].shape == (10, 10, 3, 3)
    given = start["network.convolutions.3.weight.mean"]
    assert torch.allclose(0.9 * end["network.convolutions.3.weight.mean"][:8, :8], given, atol=1e-5)
    assert end["network.head.weight.mean"][:, 8:].abs().sum() > 0
    opened = end["memory.pairs"][:, 2 * 5 :].split([8, *[10] * 13], 1)[3][:, 8:] > 0.5
    assert opened[0].all()
    assert (opened[1:].sum(1) == 1).all(), "none is left, and the least open one is learned"
    with pytest.raises(InputError, match="spare kernels come with the tasks"):
        spare(None)


def test_log_variances_learn_at_their_own_rate(folder, tmp_path):
    spreads = []
    for rate in (1, 20):
        module = clis(
            optimisation=Optimisation("adam", learning_rate=1e-3, rates={"variances": rate}),
            pretraining="variational",
        )
        trainer(tmp_path / str(rate), epochs=5).fit(module, data(folder, "offline"))
        assert last(tmp_path / str(rate))["optimizer_states"][0]["state"]
        found = [
            value.flatten()
            for name, value in module.named_parameters()
            if name.endswith("log_variance")
        ]
        spreads.append(torch.cat(found).std().item())
    assert spreads[1] > 5 * spreads[0]
