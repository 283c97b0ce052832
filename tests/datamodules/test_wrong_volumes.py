"""Wrong volumes and missing sets end in an error that names them."""

import json

import numpy as np
import pytest
import SimpleITK

from datamodules.brats import BratsDataModule
from datamodules.msd import MsdDataModule
from datamodules.nci_isbi import NciIsbiDataModule
from datamodules.volume_files import VolumeFiles, read_case
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from tests.datamodules.volume_layouts import (
    SMALL,
    brats_2020,
    folder,
    make_folder,
    msd,
    nifti_pairs,
)
from tests.helpers.volumes import case, save


@pytest.fixture
def data(tmp_path):
    return make_folder(tmp_path)


def test_what_is_wrong_with_volumes_is_named(data, tmp_path):
    images, labels = tmp_path / "set" / "images", tmp_path / "set" / "labels"
    image, mask = case(0)

    def error(match, **options):
        with pytest.raises(InputError, match=match):
            data(**options).objects("train").read(0)

    error("crop is 'brain'", crop="brain")
    error("normalise is 'batch'", normalise="batch")
    error("kind is 'sequence'; these data", protocol=StreamProtocol("sequence"))
    error(r"size is \[8, 0, 8\]; give D, H and W", size=[8, 0, 8])
    error("margin=-1", margin=-1)
    error("seed is -1", seed=-1)
    error(
        r"spacing is \[1, 1, 1\], size \[8, 16, 16\]; give mm along D, H and W with data.size=null",
        spacing=(1, 1, 1),
    )
    error(r"spacing is \[1, 0, 1\], size null", spacing=(1, 0, 1), size=None)
    error(r"spacing is \[nan, 1, 1\], size null", spacing=(float("nan"), 1, 1), size=None)
    error("has 1 channels, data.channel=1", channel=1)
    error(r"cannot be written \(.*; give data.cache=FOLDER", cache=str(images / "c0.nii.gz"))
    many = StreamProtocol("offline", first=(0, 9))
    error(r"first is \[0, 9\]; the stream has", protocol=many)
    static = StreamProtocol("static")
    error("plays the held-out volumes, and there are none", protocol=static, held_out=0)
    error("6 volumes; lower data.held_out=6", held_out=6)
    save(mask[:, :-1], labels / "c0.nrrd")
    error(r"c0.nrrd has \(12, 13, 10\) voxels, its image \(12, 14, 10\)")
    save(mask, labels / "c0.nrrd", origin=(5, 0, 0))
    error(
        r"lies elsewhere than its image: its voxel \(0, 0, 0\) at \(5, 0, 0\) mm, "
        r"the image's at \(0, 0, 0\)"
    )
    save(mask, labels / "c0.nrrd", spacing=(0.5, 1.0, 2.5))
    error("lies elsewhere than its image: its voxel")
    save(
        mask, labels / "c0.nrrd", spacing=(0.5, 1.0, 2.03)
    )  # 0.27 mm over nine slices, above a tenth of 0.5 mm
    error("lies elsewhere than its image: its voxel")
    for angle in (0.3, 0.01):
        c, s = np.cos(angle), np.sin(angle)
        save(mask, labels / "c0.nrrd", direction=(c, -s, 0, s, c, 0, 0, 0, 1))
        error("lies elsewhere than its image: its voxel")
    save(mask, labels / "c0.nrrd", origin=(0.01, 0, 0), spacing=(0.5, 1.0, 2.0001))
    read_case(VolumeFiles(images / "c0.nii.gz", labels / "c0.nrrd"))
    save(mask * np.float32(0.3), labels / "c0.nrrd")
    error("has voxels of 0.3; labels are whole numbers")
    save(np.where(mask > 0, np.float32(np.nan), 0), labels / "c0.nrrd")
    error("has voxels of nan; labels are whole numbers")
    save(mask * 0, labels / "c0.nrrd")
    error("has no voxel of the target")
    save(mask, labels / "c0.nrrd")
    error(r"has no voxel of the target \(labels \[7\]\)", values=[7])
    image[4, 4, 4] = np.nan
    save(mask, labels / "c0.nrrd")
    save(image, images / "c0.nii.gz")  # NIfTI's own library reads such voxels as 0
    case_of = VolumeFiles(images / "c0.nii.gz", labels / "c0.nrrd")
    assert np.array_equal(read_case(case_of).image, np.nan_to_num(image))
    (images / "c0.nii.gz").unlink()
    save(image, images / "c0.nrrd")
    error("has 1 voxels that are not finite numbers")
    (images / "c0.nrrd").unlink()
    (images / "c0.nii.gz").write_bytes(b"nothing")
    error("cannot be read as a volume")
    (labels / "c0.nrrd").unlink()
    error("c0.nii.gz has no labels of its name")


@pytest.mark.parametrize("layout", [folder, brats_2020, nifti_pairs])
def test_a_case_that_lies_there_twice_is_named(layout, tmp_path):
    kind = layout(tmp_path / "set")
    unpacked = sorted(
        (tmp_path / "set").rglob("*000_*.nii.gz" if layout is brats_2020 else "c0.nii.gz")
    )
    for path in unpacked:
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path).removesuffix(".gz"))
    image = unpacked[0]
    with pytest.raises(
        InputError,
        match=(
            rf"{image.name.removesuffix('.gz')} and .*{image.name} are one case; "
            r"remove one of them"
        ),
    ):
        kind(str(tmp_path / "set"), cache=str(tmp_path / "cache"), **SMALL).objects("train")


def test_a_case_that_is_named_twice_is_named(tmp_path):
    msd(tmp_path)
    rows = json.loads((tmp_path / "dataset.json").read_text())["training"]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [*rows, rows[2]]}))
    with pytest.raises(InputError, match=r"c2\.nii\.gz are one case"):
        MsdDataModule(str(tmp_path), cache=str(tmp_path / "cache"), **SMALL).objects("train")


@pytest.mark.parametrize(
    "kind", [MsdDataModule, BratsDataModule, NciIsbiDataModule, VolumeFolderDataModule]
)
def test_a_missing_set_says_how_to_get_it(kind, tmp_path):
    with pytest.raises(InputError, match="is expected in"):
        kind(str(tmp_path / "none"), **SMALL).objects("train")
    with pytest.raises(InputError):
        kind(str(tmp_path), **SMALL).objects("train")


def test_a_decathlon_that_is_not_whole_is_named(tmp_path):
    msd(tmp_path)
    (tmp_path / "imagesTr" / "c1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"c1.nii.gz does not exist"):
        MsdDataModule(str(tmp_path), **SMALL).files()
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="is not the decathlon's"):
        MsdDataModule(str(tmp_path), **SMALL).files()
