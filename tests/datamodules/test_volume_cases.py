"""Cases of volumes where archives, systems and people put them."""

import pytest

from datamodules.brats import BratsDataModule
from datamodules.nci_isbi import NciIsbiDataModule
from interseg.errors import InputError
from tests.datamodules.volume_layouts import brats_2020, dicom, make_folder


@pytest.fixture
def data(tmp_path):
    return make_folder(tmp_path)


def test_cases_behind_links_and_labels_of_another_name_are_read(tmp_path):
    brats_2020(tmp_path / "brats")
    first, second = (tmp_path / "brats" / f"BraTS20_00{i}" for i in (0, 1))
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    (second / "BraTS20_001_seg.nii.gz").rename(second / "W39_1998.09.19_Segm.nii.gz")
    (second / "._BraTS20_001_flair.nii.gz").touch()
    files = BratsDataModule(str(tmp_path / "brats")).files()
    assert len(files) == 6
    assert files[1].label.name == "W39_1998.09.19_Segm.nii.gz"


def test_cases_are_left_out_by_the_names_of_their_labels(data, tmp_path):
    (tmp_path / "set" / "images" / "Thumbs.db").touch()
    (tmp_path / "set" / "labels" / "README.md").touch()
    whole, fewer = data(), data(without=["c1"])
    names = [case.image.name for case in whole.cases() if not case.image.name.startswith("c1.")]
    assert [case.image.name for case in fewer.cases()] == names
    assert len(fewer.objects("train")) == len(names) == 5
    with pytest.raises(InputError, match=r"without has 'c9'; the labels in .* are c0, c1"):
        data(without=["c9"]).cases()


def test_labels_of_series_may_lie_in_the_archives_folders(tmp_path):
    dicom(tmp_path)
    (tmp_path / "labels" / "Training").mkdir()
    moved = tmp_path / "labels" / "Training" / "Prostate0_truth.nrrd"
    (tmp_path / "labels" / "Prostate0_truth.nrrd").rename(moved)
    assert moved in [case.label for case in NciIsbiDataModule(str(tmp_path)).files()]
