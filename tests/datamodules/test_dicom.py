"""Folders of DICOM series, written by GDCM; wrong slices are in test_volumes_people_have.py."""

import numpy as np
import pytest
import SimpleITK

from configs import build, load, resolve
from datamodules.dicom import series_folder
from datamodules.nci_isbi import NciIsbiDataModule
from datamodules.scans import orientation_of
from datamodules.volumes import VolumeFolderDataModule
from interseg.errors import InputError
from tests.helpers.people import TARGET, VOXELS, write_series

PLACES = [2.0 * number for number in range(6)]


def label(path):
    image = SimpleITK.GetImageFromArray(TARGET)
    image.SetSpacing((1, 1, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


@pytest.fixture
def two_series(tmp_path):
    """One case whose folder holds T2 and ADC."""
    write_series(tmp_path / "images" / "case", "1.2.3", "T2", PLACES)
    write_series(tmp_path / "images" / "case", "1.2.4", "ADC", PLACES[::-1])
    label(tmp_path / "labels" / "case.nrrd")
    return tmp_path


def volume(root, series):
    words = [
        f"data.root={root}",
        "data.held_out=0",
        "data.size=null",
        "data.crop=none",
        f"data.cache={root}/cache",
    ]
    words += [] if series is None else [f"data.series={series}"]
    data = build(resolve(load(["data/volume_folder.yaml"], words))["data"])
    assert isinstance(data, VolumeFolderDataModule)
    return data.objects("train").read(0)


def test_a_config_chooses_one_of_two_series(two_series):
    with pytest.raises(
        InputError,
        match=(
            r"case holds 2 DICOM series: 1\.2\.3 \(T2, 6 slices\); 1\.2\.4 \(ADC, 6 slices\); "
            r"say which by data\.series="
        ),
    ):
        volume(two_series, None)
    for series in ("T2", "'1.2.3'"):
        found = volume(two_series, series)
        assert np.array_equal(found.image, VOXELS)
        assert found.spacing == (2, 1, 1)
    assert np.array_equal(volume(two_series, "ADC").image, VOXELS[::-1]), (
        "in the order of their places, and no other series' cache"
    )


def test_a_case_of_nci_isbi_may_hold_several_folders_of_series(tmp_path):
    for name, id in (("T2", "1.2.3"), ("ADC", "1.2.4")):
        write_series(tmp_path / "images" / "P1" / "study" / name, id, name, PLACES)
    label(tmp_path / "labels" / "P1_truth.nrrd")
    with pytest.raises(InputError, match=r"P1 holds 2 DICOM series: .*ADC.*T2"):
        NciIsbiDataModule(str(tmp_path)).files()
    (files,) = NciIsbiDataModule(str(tmp_path), series="ADC").files()
    assert files.image == tmp_path / "images" / "P1" / "study" / "ADC"
    assert series_folder(tmp_path / "images" / "P1", "T2").name == "T2"


def test_other_files_beside_slices_are_no_slices(two_series):
    (two_series / "images" / "case" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (two_series / "images" / "case" / "notes.txt").write_text("of the archive")
    assert volume(two_series, "T2").image.shape == VOXELS.shape
    (two_series / "images" / "case" / "7.dcm").write_bytes(b"cut")
    with pytest.raises(
        InputError, match=r"7\.dcm is of no DICOM series, it is damaged or cut short"
    ):
        volume(two_series, "ADC")


def test_slices_a_little_apart_are_one_volume(tmp_path):
    write_series(tmp_path / "images" / "case", "1.2.3", "T2", [0, 2.01, 3.98, 6, 8.02, 10])
    label(tmp_path / "labels" / "case.nrrd")
    assert volume(tmp_path, None).image.shape == VOXELS.shape


@pytest.mark.parametrize(("sagittal", "axes"), [(False, "LPS"), (True, "PIR")])
def test_a_series_has_the_axes_of_its_slices(sagittal, axes, tmp_path):
    write_series(tmp_path, "1.2.3", "T2", PLACES, sagittal)
    assert orientation_of(tmp_path) == axes
