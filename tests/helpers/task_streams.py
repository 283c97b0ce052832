"""Sequences of tasks on small photos: data, tiny methods, their trainer and what a run leaves."""

import numpy as np
import torch

from callbacks.annotation_loop import AnnotationLoop
from callbacks.checkpoint import LastCheckpoint
from callbacks.transfer import Transfer
from datamodules.base import Loading
from datamodules.tasks import ClassFolderDataModule
from interseg.continual.consolidation import EWC, Consolidation, LwF, PackNet
from interseg.continual.embedding import ImageEmbedding
from interseg.continual.protocol import StreamProtocol
from interseg.continual.superpixels import SuperpixelUser
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS
from lightning_modules.continual_baselines import ContinualBaseline
from lightning_modules.optimisation import Optimisation
from tests.helpers.training import quiet_trainer

RATE = Optimisation("adam", learning_rate=3e-3)


def data(folder, kind="sequence", rounds=2, sequence=None, **options):
    protocol = {"sequences": 2, "rounds": rounds, "sequence": sequence}
    protocol = protocol if kind == "sequence" else {}
    given = {
        "classes": 2,
        "size": (40, 56),
        "pretraining_images": 4,
        "length": 3,
        "protocol": StreamProtocol(kind, **protocol),
        "loading": Loading(batch_size=2, num_workers=0),
    }
    return ClassFolderDataModule(str(folder), **given | options)


def clis(pretrained=None, **options):
    torch.manual_seed(3)
    network = CLISNetwork(2, 6, 8)
    given = {"samples": 3, "steps": 2, "optimisation": RATE} | options
    return CLIS(network, ImageEmbedding((16, 24), 5, 4), pretrained=pretrained, **given)


def baseline(kind=Consolidation):
    def make(pretrained=None, steps=2):
        torch.manual_seed(3)
        network = CLISNetwork(2, 6, 8, variational=False)
        return ContinualBaseline(
            network,
            kind(),
            relearn_pretraining=0,
            pretrained=pretrained,
            steps=steps,
            optimisation=RATE,
        )

    return make


METHODS = {
    "clis": clis,
    "naive": baseline(),
    "lwf": baseline(LwF),
    "ewc": baseline(EWC),
    "packnet": baseline(PackNet),
}


def trainer(root, *callbacks, epochs=2, devices=1, precision="32-true", user=None, every=None):
    """A Trainer that writes checkpoints at the ends of epochs, and within them every few rounds."""
    root.mkdir(parents=True, exist_ok=True)
    loop = AnnotationLoop(user or SuperpixelUser(count=4, apart=25), segments=60)
    return quiet_trainer(
        root,
        [loop, Transfer(forward_after=1, backward_after=3), LastCheckpoint(every), *callbacks],
        epochs,
        devices,
        precision,
    )


class Satisfied(SuperpixelUser):
    """Annotates nothing."""

    def annotate(self, scene, generator, scale=1.0):
        return np.full(scene.mask.shape, 255, np.uint8), 0
