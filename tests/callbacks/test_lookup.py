"""Look-ups in a Trainer: what is found, what is none of its kind and how it is named."""

import pytest
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from torch import nn

from callbacks.annotation_loop import AnnotationLoop
from callbacks.checkpoint import LastCheckpoint
from callbacks.dice import VolumeDice
from callbacks.lookup import (
    callback_of,
    callbacks_of,
    data_of,
    find_callback,
    find_method,
    method_of,
)
from callbacks.offers import OffersImages, OffersQuality, OffersTables
from callbacks.slice_loop import SliceLoop
from callbacks.task_report import TaskReport
from callbacks.transfer import Transfer
from callbacks.volume_report import VolumeReport
from datamodules.tasks import ClassFolderDataModule
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.stream import GatedMethod, TaskMethod, TaskStream
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from interseg.volumes.stream import VolumeMethod, VolumeStream
from lightning_modules.clis import CLIS
from lightning_modules.continual_baselines import ContinualBaseline
from lightning_modules.dynamic3d import Dynamic3D


def trainer(*callbacks, data=None):
    made = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks],
    )
    made.datamodule = data
    return made


class Own(LightningModule):
    """A person's own method, related to none of ours."""

    def __init__(self):
        super().__init__()
        self.network = nn.Conv2d(3, 2, 1)

    def begin_round(self, batch): ...

    def updates(self, batch): ...

    def learn(self, batch): ...

    def finish(self, batch): ...

    def predict(self, batch, task=None): ...


def test_callbacks_are_found_by_their_class():
    loop, first, second = SliceLoop(), LearningRateMonitor("step"), LearningRateMonitor("epoch")
    found = trainer(loop, first, second)
    assert callbacks_of(found)[:3] == [loop, first, second]
    assert find_callback(found, LearningRateMonitor) is first
    assert find_callback(found, Transfer) is None
    assert callback_of(found, SliceLoop) is loop
    with pytest.raises(
        InputError, match=r"no callback is a Transfer; .* callbacks\.transfer\.Transfer$"
    ):
        callback_of(found, Transfer)


def test_methods_and_data_of_streams_are_what_their_callbacks_need(tmp_path):
    network = CLISNetwork(2, 4, 4)
    plain = CLISNetwork(2, 4, 4, variational=False)
    for method in (CLIS(network), ContinualBaseline(plain), Own()):
        assert method_of(method, TaskMethod) is method
    gated = CLIS(network)
    assert find_method(gated, GatedMethod) is gated
    assert find_method(ContinualBaseline(plain), GatedMethod) is None
    volumes = Dynamic3D(nn.Conv3d(1, 1, 1))
    assert method_of(volumes, VolumeMethod) is volumes
    for data, kind in (
        (ClassFolderDataModule(str(tmp_path), classes=2), TaskStream),
        (VolumeFolderDataModule(str(tmp_path)), VolumeStream),
    ):
        assert data_of(trainer(data=data), kind) is data


def test_what_is_of_another_kind_is_named_with_all_that_it_lacks():
    with pytest.raises(
        InputError,
        match=r"model is a Dynamic3D without activation, neighbour; .*GatedMethod",
    ):
        method_of(Dynamic3D(nn.Conv3d(1, 1, 1)), GatedMethod)
    with pytest.raises(
        InputError,
        match=r"data is a ClassFolderDataModule without crop, .* \(interseg\.volumes\.stream\)",
    ):
        data_of(trainer(data=ClassFolderDataModule("nowhere", classes=2)), VolumeStream)
    del (bare := Own()).network
    with pytest.raises(InputError, match="model is a Own without network;"):
        method_of(bare, TaskMethod)
    with pytest.raises(
        InputError, match=r"data is a LightningDataModule without batch_of, classes, .*, protocol; "
    ):
        data_of(trainer(data=LightningDataModule()), TaskStream)
    with pytest.raises(InputError, match="data is a NoneType without crop"):
        data_of(trainer(), VolumeStream)


@pytest.mark.parametrize(
    ("callback", "hook"),
    [
        (AnnotationLoop(), "on_train_batch_start"),
        (Transfer(), "on_train_batch_start"),
        (TaskReport(), "on_train_batch_start"),
        (VolumeDice(), "on_train_batch_end"),
    ],
)
def test_a_callback_of_a_stream_says_so_where_the_method_learns_none(callback, hook):
    batch = {"sequence": 0, "task": 0, "round": 0, "last_round": 0, "image": None}
    outputs = [None] * (hook == "on_train_batch_end")
    with pytest.raises(
        InputError,
        match=r"model is a LightningModule without .*: give model and callbacks that belong "
        "together",
    ):
        getattr(callback, hook)(trainer(callback), LightningModule(), *outputs, batch, 0)


def test_who_has_a_method_for_the_dashboard_offers_it():
    offering = {
        OffersQuality: (VolumeDice, Transfer),
        OffersImages: (TaskReport, VolumeReport),
        OffersTables: (Transfer,),
    }
    for kind in (VolumeDice, Transfer, TaskReport, VolumeReport, LastCheckpoint):
        assert [isinstance(kind(), offer) for offer in offering] == [
            kind in kinds for kinds in offering.values()
        ]
