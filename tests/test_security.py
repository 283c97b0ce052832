"""Strangers' files run no code and lead nowhere: out of a data set, an archive, into a pickle."""

import ast
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from configs import build, load
from configs.targets import find
from datamodules.coco_source import CocoSource
from datamodules.davis import DavisDataModule
from datamodules.downloads import SBD, unpack
from datamodules.msd import MsdDataModule
from datamodules.sbd import SbdDataModule
from datamodules.volume_files import read_volume
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.labels import read_labels
from interseg.listing import inside, leads_out
from tests.helpers.drawing import draw, write
from tests.helpers.others import Squares

ROOT = Path(__file__).parent.parent
SOURCES = [
    *(
        path
        for folder in (
            "interseg",
            "datamodules",
            "callbacks",
            "configs",
            "lightning_modules",
            "benchmarks",
            "annotate",
        )
        for path in (ROOT / folder).rglob("*.py")
    ),
    *ROOT.glob("*.py"),
]
RULES = {
    "torch.load": {"weights_only": True},
    "np.load": {"allow_pickle": False},
    "numpy.load": {"allow_pickle": False},
}
FORBIDDEN = (
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "pickle.load",
    "joblib.load",
    "shutil.unpack_archive",
)
OUTSIDE = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "..\\secret",
    "C:\\secret",
    "\\\\host\\secret",
    "a\0b",
]


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield (
                ast.unparse(node.func),
                {word.arg: getattr(word.value, "value", None) for word in node.keywords},
            )


def test_no_source_unpickles_or_unpacks_unguarded():
    seen = set()
    for path in SOURCES:
        for name, words in calls(path):
            assert name not in FORBIDDEN, f"{path} calls {name}"
            for key, value in RULES.get(name, {}).items():
                assert words.get(key) is value, f"{path} calls {name} without {key}={value}"
            if name.endswith(".extractall"):
                assert words.get("filter") == "data", f"{path} unpacks without a filter"
            seen |= {name} & {*RULES, "file.extractall"}
    assert seen == {"torch.load", "np.load", "file.extractall"}, (
        "the rules are looked for under the names in use"
    )


class Trap:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_that_is_pickled_runs(tmp_path):
    trap = Trap(tmp_path / "sprung")
    pickle.loads(pickle.dumps(trap))
    assert trap.path.exists(), "the trap works"
    trap.path.unlink()
    torch.save({"state_dict": trap}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt"):
        read_checkpoint(tmp_path / "a.ckpt")
    np.save(tmp_path / "a.npy", np.array([trap], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy cannot be read as an array"):
        read_labels(tmp_path / "a.npy")
    (tmp_path / "a.yaml").write_text(f"name: !!python/object/apply:os.mknod ['{trap.path}']\n")
    with pytest.raises(InputError, match=r"a\.yaml is no valid YAML"):
        load([tmp_path / "a.yaml"])
    assert not trap.path.exists()


@pytest.mark.parametrize(
    "target",
    ["os.system", "subprocess.Popen", "torch.load", "numpy.load", "builtins.eval", "pathlib.Path"],
)
def test_a_config_builds_nothing_but_what_the_list_allows(target):
    with pytest.raises(InputError):
        build({"_target_": target, "command": "true"})


@pytest.mark.parametrize(
    "target",
    [
        "monai.losses.PerceptualLoss",  # runs what torch.hub finds in its `cache_dir`
        "monai.losses.perceptual.PerceptualLoss",
        "torchmetrics.image.PeakSignalNoiseRatio",
        "torch.distributed.nn.RemoteModule",
    ],
)
def test_a_librarys_class_that_may_run_code_from_elsewhere_has_to_be_trusted(target, tmp_path):
    package = target.split(".")[0]
    with pytest.raises(InputError, match=f"may run code from elsewhere; .*--trust {package}$"):
        build({"_target_": target, "cache_dir": str(tmp_path)})
    assert find(target, [package]).__name__ == target.split(".")[-1]


def test_networks_losses_and_metrics_of_libraries_need_no_trust():
    for target in (
        "monai.networks.nets.UNet",
        "monai.losses.DiceCELoss",
        "segmentation_models_pytorch.Unet",
        "torch.nn.Conv2d",
        "torchmetrics.JaccardIndex",
        "torchmetrics.MeanMetric",
        "pytorch_lightning.callbacks.EarlyStopping",
        "pytorch_lightning.loggers.CSVLogger",
        "torchvision.ops.FrozenBatchNorm2d",
        "albumentations.HorizontalFlip",
    ):
        assert find(target).__name__ == target.split(".")[-1]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_its_folder_is_told(name, tmp_path):
    assert leads_out(name)
    with pytest.raises(InputError, match=r"list\.txt names .*, which leads out of"):
        inside(tmp_path, name, "list.txt")


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "a..b/c", "..a", "a:b.png"])
def test_a_name_below_its_folder_is_none_of_these(name, tmp_path):
    assert inside(tmp_path, name, "list.txt") == tmp_path / name


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_coco_file_reads_no_image_outside_its_folder(name, tmp_path):
    image, _ = draw(0)
    write(tmp_path / "secret.png", image)
    row = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[10, 10, 40, 10, 40, 40, 10, 40]],
    }
    photo = {"id": 1, "file_name": f"{name}.png", "height": 72, "width": 96}
    (tmp_path / "a.json").write_text(
        json.dumps({"images": [photo], "annotations": [row], "categories": []})
    )
    (tmp_path / "images").mkdir()
    source = CocoSource(tmp_path / "a.json", tmp_path / "images")
    assert len(source) == 0
    assert "leads out of the folder of images" in source.problems[0]


def test_list_files_and_the_decathlons_json_lead_to_nothing_outside(tmp_path):
    (tmp_path / "sbd" / "img").mkdir(parents=True)
    (tmp_path / "sbd" / "train.txt").write_text("2007_1\n../../secret\n")
    with pytest.raises(
        InputError, match=r"train\.txt names '\.\./\.\./secret', which leads out of the data set"
    ):
        SbdDataModule(str(tmp_path / "sbd")).source("train")
    (tmp_path / "davis" / "ImageSets" / "480p").mkdir(parents=True)
    (tmp_path / "davis" / "initial").mkdir()
    (tmp_path / "davis" / "ImageSets" / "480p" / "val.txt").write_text("..\n")
    with pytest.raises(InputError, match=r"val\.txt names '\.\.', which leads out"):
        DavisDataModule(str(tmp_path / "davis")).source("test")
    (tmp_path / "dataset.json").write_text(
        json.dumps({"training": [{"image": "../a.nii.gz", "label": "b.nii.gz"}]})
    )
    with pytest.raises(
        InputError, match=r"dataset\.json names '\.\./a\.nii\.gz', which leads out of"
    ):
        MsdDataModule(str(tmp_path), held_out=1).files()


@pytest.mark.parametrize(
    ("name", "header"),
    [
        (
            "a.mhd",
            "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = "
            "MET_UCHAR\nElementDataFile = {}\n",
        ),
        (
            "a.nhdr",
            "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {}\n",
        ),
    ],
)
def test_a_volumes_header_names_voxels_beside_it_only(name, header, tmp_path):
    for folder in (tmp_path, tmp_path / "set"):
        folder.mkdir(exist_ok=True)
        (folder / "a.raw").write_bytes(bytes(range(8)))
    (tmp_path / "set" / name).write_text(header.format("a.raw"))
    assert read_volume(tmp_path / "set" / name).GetSize() == (2, 2, 2)
    for outside in ("../a.raw", str(tmp_path / "a.raw")):
        (tmp_path / "set" / name).write_text(header.format(outside))
        with pytest.raises(InputError, match="which leads out of its folder"):
            read_volume(tmp_path / "set" / name)


def archive(path, **members):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            else:
                member.type, member.linkname = tarfile.SYMTYPE, str(content)
            file.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)


@pytest.mark.parametrize(
    "members",
    [
        {"good.txt": b"1", "../out.txt": b"2"},
        {"good.txt": b"1", "a/../../out.txt": b"2"},
        {"good.txt": b"1", "link": Path("..")},
        {"good.txt": b"1", "link": Path("/etc")},
    ],
)
def test_an_archive_is_unpacked_inside_its_folder_only(members, tmp_path):
    archive(tmp_path / "a.tgz", **members)
    with pytest.raises(tarfile.FilterError):
        unpack(tmp_path / "a.tgz", tmp_path / "set")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.tgz", "set"}
    assert {path.name for path in (tmp_path / "set").iterdir()} <= {"good.txt"}


def test_an_archive_that_leads_out_is_one_line_for_a_person(tmp_path, monkeypatch):
    archive(tmp_path / "given.tgz", **{"../out.txt": b"2"})

    def download(url, root, name, md5):
        (Path(root) / name).write_bytes((tmp_path / "given.tgz").read_bytes())

    monkeypatch.setattr("datamodules.downloads.download_url", download)
    root = tmp_path / "inner" / "sbd"
    with pytest.raises(
        InputError,
        match=(
            r"the Semantic Boundaries Dataset is expected in .*'\.\./out\.txt' would be extracted "
            r"to"
        ),
    ):
        SBD.fetch(root, root / "wanted", lambda: None)
    assert not (tmp_path / "inner" / "out.txt").exists()


def test_a_trusted_packages_own_classes_and_functions_are_built_and_what_it_imports_is_not():
    assert find("tests.helpers.others.Squares", ["tests"]) is Squares
    assert find("tests.helpers.others.made", ["tests"]).__name__ == "made"
    for target in (
        "tests.helpers.commands.Path",
        "tests.helpers.commands.run_guarded",
        "tests.helpers.others.np",
    ):
        with pytest.raises(InputError, match="is no class that a config may build"):
            find(target, ["tests"])
    with pytest.raises(InputError, match="is not trusted"):
        find("tests.helpers.others.Squares")
