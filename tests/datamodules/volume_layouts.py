"""Published layouts of volumes, drawn in miniature; each gives its data module."""

import json
import locale

import numpy as np
import SimpleITK

from datamodules.brats import BratsDataModule
from datamodules.msd import MsdDataModule
from datamodules.nci_isbi import NciIsbiDataModule
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from tests.helpers.volumes import case, draw_volumes, save


def folder(root):
    draw_volumes(root)
    return VolumeFolderDataModule


def msd(root):
    rows = []
    for i in range(6):
        image, mask = case(i)
        rows.append({"image": f"./imagesTr/c{i}.nii.gz", "label": f"./labelsTr/c{i}.nii.gz"})
        save(image, root / rows[-1]["image"])
        save(mask, root / rows[-1]["label"])
    (root / "dataset.json").write_text(json.dumps({"training": rows}))
    return MsdDataModule


def brats_2020(root):
    for i in range(6):
        image, mask = case(i)
        save(image, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_flair.nii.gz")
        save(image, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_t1.nii.gz")
        save(mask * 4, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_seg.nii.gz")
    return BratsDataModule


def brats_2015(root):
    for i in range(6):
        image, mask = case(i)
        save(
            image,
            root
            / "HGG"
            / f"p{i}"
            / f"VSD.Brain.XX.O.MR_Flair.{i}"
            / f"VSD.Brain.XX.O.MR_Flair.{i}.mha",
        )
        save(
            mask * 2,
            root
            / "HGG"
            / f"p{i}"
            / f"VSD.Brain_3more.XX.O.OT.{i}"
            / f"VSD.Brain_3more.XX.O.OT.{i}.mha",
        )
    return BratsDataModule


def dicom(root):
    before = locale.setlocale(locale.LC_ALL)
    for i in range(6):
        image, mask = case(i)
        for number, pixels in enumerate(image.astype(np.int16)):
            one = SimpleITK.GetImageFromArray(pixels[None])
            one.SetSpacing((0.5, 1.0, 2.0))
            tags = {
                "0020|000e": f"1.2.3.{i}",
                "0020|000d": f"1.2.{i}",
                "0020|0013": str(number),
                "0008|0060": "MR",
            }
            tags |= {
                "0020|0032": f"0\\0\\{2.0 * number}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
                "0018|0050": "2.0",
            }
            for tag, value in tags.items():
                one.SetMetaData(tag, value)
            path = root / "images" / f"Prostate{i}" / "study" / "series" / f"{number:03}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = SimpleITK.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetFileName(str(path))
            writer.Execute(one)
        save(mask, root / "labels" / f"Prostate{i}_truth.nrrd")
    locale.setlocale(
        locale.LC_ALL, before
    )  # writing DICOM leaves the process in "C", where nothing reads UTF-8
    return NciIsbiDataModule


def nifti_pairs(root):
    folder(root)
    return NciIsbiDataModule


PLAYED = StreamProtocol("stream", sequences=2, rounds=2)
SMALL = {"size": (8, 16, 16), "held_out": 2, "protocol": PLAYED, "margin": 1}


def make_folder(root):
    """Draw a folder of volumes, and return a function that makes its data module."""

    def make(**options):
        given = {"cache": str(root / "cache"), **SMALL, **options}
        return VolumeFolderDataModule(str(root / "set"), **given)

    folder(root / "set")
    return make
