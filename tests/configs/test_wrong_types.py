"""Overrides of wrong types: each is one line that names the key as a person writes it."""

import re
from pathlib import Path

import pytest
from torch import nn

from configs import Node, build, check_arguments, load, parse, resolve
from configs.run import duration
from interseg.errors import InputError
from tests.helpers.commands import called


def build_all(config: Node) -> None:
    """Build what the commands build."""
    resolved = resolve(config)
    for key in ("callbacks", "data", "model"):
        build(resolved[key], path=key)


SMALL, VOLUMES = ("small.yaml", "data/samples.yaml"), ("dynamic3d.yaml", "data/volume_folder.yaml")


@pytest.mark.parametrize(
    ("files", "override", "message"),
    [
        (SMALL, "seed=abc", "seed is 'abc'; it takes int"),
        (SMALL, "targets=0.8", "targets is 0.8; it takes [float, ...]"),
        (SMALL, "max_clicks=true", "max_clicks is True; it takes int"),
        (SMALL, "full_curves=3", "full_curves is 3; it takes bool"),
        (SMALL, "logger=[csv]", "logger is ['csv']; it takes str or null"),
        (SMALL, "checkpoint=3", "checkpoint is 3; it takes str or null"),
        (SMALL, "run=7", "run is 7; it takes str or null"),
        (SMALL, "name=null", "name is null; it takes str"),
        (SMALL, "shard=[0,3]", "shard is [0, 3]; it takes str or int or null"),
        (SMALL, "flip=maybe", "flip is 'maybe'; it takes bool"),
        (SMALL, "model=itis.yaml", "model is 'itis.yaml'; it takes a mapping or null"),
        (SMALL, "callbacks.loop=3", "callbacks.loop is 3; it takes a mapping or null"),
        (SMALL, "loading.batch_size='4'", "loading.batch_size is '4'; it takes int"),
        (SMALL, "loading.augment=[3]", "data.loading.augment[0] is 3; it takes BasicTransform"),
        (SMALL, "model.long_side=x", "model.long_side is 'x'; it takes int or [int, int] or null"),
        (SMALL, "model.guidance=disk", "model.guidance is 'disk'; it takes Guidance or null"),
        (SMALL, "model.optimisation.rates.decoder=x", "rates.decoder is 'x'; it takes float"),
        (SMALL, "callbacks.progress.refresh_rate=often", "rate is 'often'; it takes int"),
        (VOLUMES, "data.size=[1,2]", "data.size is [1, 2]; it takes [int, int, int] or null"),
        (VOLUMES, "data.size=[1.5,2,2]", "data.size[0] is 1.5; it takes int"),
        (VOLUMES, "protocol.first=[0,all]", "protocol.first[1] is 'all'; it takes int"),
        (VOLUMES, "data.spacing=3", "data.spacing is 3; it takes [float, float, float] or null"),
        (VOLUMES, "data.held_out=2.5", "data.held_out is 2.5; it takes int"),
        (VOLUMES, "data.channel=2.5", "data.channel is 2.5; it takes int or null"),
        (VOLUMES, "model.network.strides=2", "model.network.strides is 2; it takes [int, ...]"),
        (("clis.yaml",), "data.size=[1,2,3]", "data.size is [1, 2, 3]; it takes [int, int]"),
    ],
)
def test_an_override_of_a_wrong_type_is_one_line(
    files: tuple[str, ...],
    override: str,
    message: str,
) -> None:
    with pytest.raises(InputError) as error:
        build_all(load(files, [override]))
    assert str(error.value).endswith(message)


@pytest.mark.parametrize("text", ["1:00:00:00", "600"])
def test_a_time_that_yaml_reads_as_a_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"trainer\.max_time is the number \d+; write 10m"):
        duration(parse(f"a={text}")["a"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_clicks=many", "error: max_clicks is 'many'; it takes int"),
        ("model.long_side=x", "error: model.long_side is 'x'; it takes int or [int, int] or null"),
        ("callbacks.loop.seed=x", "error: callbacks.loop.seed is 'x'; it takes int"),
        ("trainer.max_epochs=2.0", "error: trainer.max_epochs is 2.0; it takes int or null"),
        ("data.loading=3", "error: data.loading is 3; it takes Loading or null"),
        ("zoom={_target_: interseg.inference.zoom.ZoomIn, expansion: x}", "error: zoom.expansion"),
        (
            "refiner={_target_: interseg.inference.refiners.BRSRefiner, weight: x}",
            "error: refiner.weight",
        ),
    ],
)
def test_commands_name_the_key_as_it_is_written(
    override: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datamodules.samples.SamplesDataModule.prepare_data", lambda self: None)
    monkeypatch.setattr("datamodules.samples.SamplesDataModule.objects", lambda self, split: None)
    files = ("--config", "small.yaml", "--config", "data/samples.yaml")
    result = called("train.py", *files, f"run={tmp_path}", "trainer.accelerator=cpu", override)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in result.stderr


def test_an_error_without_a_place_names_the_class() -> None:
    with pytest.raises(InputError, match=r"^DiskGuidance.radius is 'x'; it takes float$"):
        build({"_target_": "interseg.clicks.guidance.DiskGuidance", "radius": "x"})
    user = {"_target_": "interseg.clicks.boundary.BoundaryUser"}
    with pytest.raises(InputError, match=r"^users\[1\].least_share is 'x'"):
        build([user, user | {"least_share": "x"}], path="users")


LAB = """
from typing import TYPE_CHECKING
from datamodules.tasks import ClassFolderDataModule
from interseg.clicks.users import User
if TYPE_CHECKING:
    from nowhere import Thing

class Odd(User):
    def __init__(self, thing: "Thing", count: int = 3, size: int = None, more: 3 = 4) -> None:
        self.values = thing, count, size, more

class Mine(ClassFolderDataModule):
    def __init__(self, shelf: str, classes: str, **options) -> None:
        super().__init__(shelf, classes=len(classes), **options)
"""


def test_hints_that_cannot_be_resolved_take_anything(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "lab_hints.py").write_text(LAB)
    monkeypatch.syspath_prepend(tmp_path)
    odd = {"_target_": "lab_hints.Odd", "thing": [3], "size": None, "more": "x"}
    assert build(odd, ["lab_hints"]).values == ([3], 3, None, "x")
    with pytest.raises(InputError, match=r"^Odd.count is 'x'; it takes int$"):
        build(odd | {"count": "x"}, ["lab_hints"])
    mine = {"_target_": "lab_hints.Mine", "shelf": "a", "classes": "car, cat", "images": "photos"}
    data = build(mine | {"size": [8, 8]}, ["lab_hints"])
    assert (data.size, data.images) == ((8, 8), "photos")
    for key in ("images", "length"):  # of its base, and of that one's base
        with pytest.raises(InputError, match=f"^Mine.{key} is 1.5; it takes"):
            build(mine | {key: 1.5}, ["lab_hints"])
    with pytest.raises(InputError, match=r"^Mine.classes is 2; it takes str$"):
        build(mine | {"classes": 2}, ["lab_hints"])


def test_a_librarys_hints_are_checked_but_for_its_classes() -> None:
    layer = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 1}
    assert build(layer | {"kernel_size": [3, 1]}).kernel_size == (3, 1)
    with pytest.raises(InputError, match=r"^Conv2d.in_channels is '3'; it takes int"):
        build(layer | {"kernel_size": 3, "in_channels": "3"})
    encoder = nn.TransformerEncoder
    check_arguments(encoder, {"num_layers": 2, "norm": "layer"}, "model.network")
    with pytest.raises(InputError, match=r"^model.network.num_layers is 'two'; it takes int$"):
        check_arguments(encoder, {"num_layers": "two"}, "model.network")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.lenth=4", "unknown key data.lenth; did you mean length?"),
        ("data.self=4", "unknown key data.self"),
        (
            "refiner={_target_: interseg.inference.refiners.FeatureRefiner, pont: a}",
            "unknown key refiner.pont; did you mean point?",
        ),
    ],
)
def test_options_that_a_class_hands_to_its_base_are_known(override: str, message: str) -> None:
    configs = ["clis.yaml", "data/isic.yaml"]
    load(configs, ["data.length=4"])
    with pytest.raises(InputError, match=re.escape(message)):
        load(configs, [override])
