import sys
from pathlib import Path

import pytest
import yaml

from callbacks.user_loop import UserLoop
from configs import FOLDER, build, find, load, merge, parse, resolve
from configs.checkpoints import without_download
from datamodules.mask_kinds import KINDS
from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.users import RandomUser
from interseg.continual.superpixels import ORDERS
from interseg.errors import InputError
from lightning_modules.clis import PRETRAININGS, RETRIEVALS, UPDATES


def write(tmp_path, text, name="a.yaml"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_files_merge_in_order_and_overrides_come_last():
    config = resolve(
        load(["itis.yaml", "data/samples.yaml"], ["trainer.max_epochs=3", "loading.batch_size=2"])
    )
    assert config["name"] == "itis"
    assert config["data"]["_target_"] == "datamodules.samples.SamplesDataModule"
    assert config["data"]["loading"]["batch_size"] == 2
    assert len(config["data"]["loading"]["augment"]) > 3
    assert config["trainer"]["max_epochs"] == 3


def test_a_node_whose_target_changes_is_replaced_and_others_are_merged():
    below = {"_target_": "interseg.clicks.guidance.GaussianGuidance", "std": 3}
    assert merge({"g": below}, {"g": {"_target_": "interseg.clicks.guidance.DiskGuidance"}}) == {
        "g": {"_target_": "interseg.clicks.guidance.DiskGuidance"}
    }
    assert merge({"g": below}, {"g": {"clip": 9}})["g"] == below | {"clip": 9}
    assert below == {"_target_": "interseg.clicks.guidance.GaussianGuidance", "std": 3}


def test_a_data_set_that_a_file_names_has_no_option_of_the_one_before_it():
    before = load(["small.yaml", "data/folder.yaml"], ["data.split=[0.8,0.2]", "data.root=x"])
    data = load(["data/davis345.yaml"], ["data.root=y"], base=before)["data"]
    assert data == load(["small.yaml", "data/davis345.yaml"], ["data.root=y"])["data"]
    assert "split" not in data
    assert load([], ["data.kind=ids"], base=before)["data"]["split"] == [0.8, 0.2]


def test_an_empty_mapping_clears_one_and_leaves_a_class_its_arguments():
    for name in ("ritm", "simpleclick"):
        optimisation = load([f"{name}.yaml", f"{name}/small.yaml"])["model"]["optimisation"]
        assert optimisation["milestones"] == {}
    assert load(["itis.yaml"], ["callbacks.loop={}"]) == load(["itis.yaml"])
    assert merge({"a": {"b": 5}}, {"a": {"b": {}}}) == {"a": {"b": {}}}


@pytest.mark.parametrize("text", ["#ffffff", "/data/set #2/x", "#", "a #b"])
def test_a_number_sign_in_an_override_is_no_comment(text):
    config = load(["small.yaml", "data/folder.yaml"], [f"data.background={text}"])
    assert config["data"]["background"] == text


@pytest.mark.parametrize("text", ["'a #b'", '"a #b"', "[a, '#b']"])
def test_what_is_quoted_in_an_override_is_read_as_yaml(text):
    assert parse(f"name={text}")["name"] == yaml.safe_load(text)


@pytest.mark.parametrize("mode", [*UPDATES, *PRETRAININGS, *RETRIEVALS, *ORDERS, *KINDS])
def test_no_mode_is_a_word_that_yaml_reads_as_true_or_false(mode):
    assert parse(f"mode={mode}") == {"mode": mode}


def test_overrides_of_a_node_stand_whenever_its_class_is_named():
    best = "pytorch_lightning.callbacks.ModelCheckpoint"
    words = ["callbacks.best.monitor=val/noc@85", f"callbacks.best._target_={best}"]
    for given in (words, words[::-1]):
        assert load(["small.yaml"], given)["callbacks"]["best"] == {
            "_target_": best,
            "monitor": "val/noc@85",
        }
    again = load(["small.yaml"], [words[1], "callbacks.best._target_=callbacks.requeue.Requeue"])
    assert again["callbacks"]["best"] == {"_target_": "callbacks.requeue.Requeue"}, "the last one"
    given = [words[0], "callbacks.best=null", words[1]]
    assert load(["small.yaml"], given)["callbacks"]["best"] == {"_target_": best}, "null removed it"
    assert load(["small.yaml"], ["run=None"])["run"] is None, "as wandb's agent writes null"


def test_null_removes_a_callback_and_a_new_name_adds_one():
    config = load(
        ["itis.yaml"],
        ["callbacks.report=null", "callbacks.mine._target_=pytorch_lightning.callbacks.Timer"],
    )
    assert config["callbacks"]["report"] is None
    assert config["callbacks"]["mine"] == {"_target_": "pytorch_lightning.callbacks.Timer"}


def test_an_argument_of_the_target_need_not_be_in_the_yaml():
    assert load(["itis.yaml"], ["model.long_side=7"])["model"]["long_side"] == 7
    assert (
        load(["itis.yaml"], ["model.network.options.decoder_channels=8"])["model"]["network"][
            "options"
        ]["decoder_channels"]
        == 8
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=3", "unknown key trainer.max_epoch; did you mean max_epochs?"),
        ("sed=3", "unknown key sed; did you mean seed?"),
        ("model.network.encodr=x", "unknown key model.network.encodr; did you mean encoder?"),
        ("model.network.zzz=x", "unknown key model.network.zzz; known here: architecture"),
        ("trainer", "'trainer' is no override; write key=value"),
        ("data.root=%5", "'data.root=%5' is no override, its value no YAML: "),
        ("targets=[0.8", "'targets=[0.8' is no override, its value no YAML: while parsing"),
        ("name=${a", "'name=${a' is no override, its value no YAML: "),
        ("model._target_=os.system", "the package os is not trusted"),
        ("model._target_=torch.load", "torch.load is no class that a config may build"),
        ("model._target_=torch.nn.Linea", "torch.nn has no Linea; did you mean Linear?"),
        ("model._target_=interseg.nothing.Here", "there is no module interseg.nothing"),
        ("model._target_=3", "_target_ is 3"),
        ("name=${nothing}", "cannot be resolved"),
    ],
)
def test_bad_overrides_are_one_clear_line(override, message):
    with pytest.raises(InputError) as error:
        resolve(load(["itis.yaml"], [override]))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no config itiss.yaml.*itis.yaml"):
        load(["itiss.yaml"])
    with pytest.raises(InputError, match=r"a.yaml is no valid YAML"):
        load([write(tmp_path, "a: [1")])
    with pytest.raises(InputError, match="a config is a mapping"):
        load([write(tmp_path, "- 1")])


def test_a_file_in_the_working_folder_comes_before_ours(tmp_path, monkeypatch):
    write(tmp_path, "name: mine", "itis.yaml")
    monkeypatch.chdir(tmp_path)
    assert load(["itis.yaml"])["name"] == "mine"


def test_build_makes_nested_objects_and_lists():
    node = {
        "_target_": "callbacks.user_loop.UserLoop",
        "user": {"_target_": "interseg.clicks.users.RandomUser"},
        "targets": [0.5, 0.6],
    }
    loop = build(node)
    assert isinstance(loop, UserLoop)
    assert isinstance(loop.user, RandomUser)
    assert loop.target == 0.6
    assert isinstance(
        build([{"_target_": "interseg.clicks.guidance.DiskGuidance", "radius": 2}])[0], DiskGuidance
    )
    assert build({"a": {"b": 1}}) == {"a": {"b": 1}}


def test_build_names_bad_arguments():
    with pytest.raises(InputError, match=r"DiskGuidance: radus; did you mean radius\?"):
        build({"_target_": "interseg.clicks.guidance.DiskGuidance", "radus": 2})
    with pytest.raises(InputError, match=r"CropNonEmptyMaskIfExists cannot be built"):
        build({"_target_": "albumentations.CropNonEmptyMaskIfExists", "height": "tall", "width": 3})


def test_a_users_own_package_is_trusted_on_the_command_line_only(tmp_path, monkeypatch):
    write(
        tmp_path,
        "from interseg.clicks.users import User\nclass Mine(User):\n    pass\n",
        "ourlab.py",
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="--trust ourlab"):
        find("ourlab.Mine")
    assert find("ourlab.Mine", ["ourlab"]).__name__ == "Mine"


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("import lab_tools", "lab_nets.Mine", "lab_nets imports lab_tools, which is not there"),
        ("import lab_nets.deep", "lab_nets.Mine", "lab_nets imports lab_nets.deep, which is not"),
        ("from math import tau_", "lab_nets.Mine", r"lab_nets fails at its import \(ImportError: "),
        (
            "[].x",
            "lab_nets.Mine",
            r"lab_nets fails at its import \(AttributeError: 'list' object has no",
        ),
        (
            "x = (",
            "lab_nets.Mine",
            r"lab_nets fails at its import \(SyntaxError: '\(' was never closed",
        ),
        (
            "raise ValueError('a\\nb')",
            "lab_nets.Mine",
            r"lab_nets fails at its import \(ValueError: a b\)",
        ),
        ("", "lab_nets.deep.Mine", "there is no module lab_nets.deep$"),
        ("Mined = 1", "lab_nets.Mine", r"lab_nets has no Mine; did you mean Mined\?"),
    ],
)
def test_a_missing_module_is_told_from_one_that_fails(
    content: str,
    target: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, content, "lab_nets.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_nets", raising=False)
    with pytest.raises(InputError, match=f"_target_ {target}: {message}") as error:
        find(target, ["lab_nets"])
    assert "\n" not in str(error.value)


YAMLS = [
    p.relative_to(FOLDER)
    for p in FOLDER.rglob("*.yaml")
    if p.name != "default.yaml" and p.parent.name != "sweeps"
]


@pytest.mark.parametrize("file", sorted(YAMLS), ids=str)
def test_every_yaml_resolves_over_a_method(file):
    own = f"{file.parts[0]}.yaml"
    method = own if (FOLDER / own).exists() else "itis.yaml"
    config = resolve(
        load(["data/samples.yaml", method, file])
    )  # not every method names its paper's data
    assert find(config["model"]["_target_"])
    assert find(config["data"]["_target_"])


def test_a_data_module_that_takes_nothing_from_the_top_level_gets_nothing(tmp_path, monkeypatch):
    text = """
from datamodules.base import ClickDataModule
class Own(ClickDataModule):
    def __init__(self, root): super().__init__()
"""
    write(tmp_path, text, "own_data.py")
    monkeypatch.syspath_prepend(tmp_path)
    config = resolve(load([], ["data._target_=own_data.Own", "data.root=x"], trusted=["own_data"]))
    assert config["data"] == {"_target_": "own_data.Own", "root": "x"}


@pytest.mark.parametrize(
    ("network", "frozen", "fetched"),
    [
        ("once_network.OnceNetwork", None, "hub"),
        ("once_network.OnceNetwork", True, "hub"),
        ("once_network.OnceNetwork", False, None),
        ("two_in_one_once.TwoInOneOnceNetwork", None, "hub"),
        ("ritm_network.RITMNetwork", None, None),
        ("simpleclick_network.SimpleClickNetwork", None, None),
        ("brs_network.BRSNetwork", None, None),
    ],
)
def test_a_frozen_encoder_is_fetched_for_a_checkpoint_and_one_that_it_holds_is_not(
    network, frozen, fetched
):
    model = {"network": {"_target_": f"interseg.networks.{network}", "pretrained": "hub"}}
    if frozen is not None:
        model["network"]["frozen"] = frozen
    without_download(model)
    assert model["network"]["pretrained"] == fetched


@pytest.mark.parametrize("network", [{}, {"_target_": "not_there.Own"}])
def test_a_network_of_ones_own_is_not_imported_to_tell_what_its_checkpoint_holds(network):
    for frozen, fetched in ((None, "hub"), (True, "hub"), (False, None)):
        given = network | {"pretrained": "hub", "weights": "hub"}
        given |= {} if frozen is None else {"frozen": frozen}
        without_download({"network": given})
        assert (given["pretrained"], given["weights"]) == (fetched, None)


def test_a_default_yaml_of_the_folder_one_stands_in_is_not_the_projects(tmp_path, monkeypatch):
    expected = load(["small.yaml"])
    (tmp_path / "default.yaml").write_text("a: 1")
    monkeypatch.chdir(tmp_path)
    assert load(["small.yaml"]) == expected
