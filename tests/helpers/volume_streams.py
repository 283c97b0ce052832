"""Streams of small volumes: the data, a tiny method, its trainer and what a run writes."""

import csv

import torch
from torch import nn

from callbacks.checkpoint import LastCheckpoint
from callbacks.dice import VolumeDice
from callbacks.slice_loop import SliceLoop
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from interseg.volumes.users import SliceUser
from lightning_modules.dynamic3d import Dynamic3D
from tests.helpers.training import quiet_trainer

PLAYED = ("kind", "sequences", "sequence", "rounds", "labels", "volumes", "first")


def data(folder, **options):
    played = {key: options.pop(key) for key in PLAYED if key in options}
    if played.get("kind") != "offline":
        whole = played.get("labels") == "whole"
        played = {"sequences": 2, "rounds": 1 if whole else 2} | played
    given = {
        "size": (8, 16, 14),
        "held_out": 2,
        "stream": 3,
        "protocol": StreamProtocol(**played),
        "margin": 2,
        "cache": str(folder / "cache"),
    }
    return VolumeFolderDataModule(str(folder), **given | options)


def method(**options):
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.ReLU(), nn.Conv3d(6, 1, 3, padding=1)
    )
    return Dynamic3D(
        network,
        divisor=8,
        **{"replay": {"slots": 4, "size": 3}, "samples": 2, "steps": 3, "more_steps": 1} | options,
    )


def trainer(root, *callbacks, epochs=2, devices=1, precision="32-true", loop=None, every=None):
    """A Trainer that writes checkpoints at the ends of epochs, and within them every few rounds."""
    root.mkdir(parents=True, exist_ok=True)
    return quiet_trainer(
        root,
        [loop or SliceLoop(SliceUser()), VolumeDice(every=2), LastCheckpoint(every), *callbacks],
        epochs,
        devices,
        precision,
    )


def rows(root):
    return list(csv.DictReader((root / "dice.csv").open()))
