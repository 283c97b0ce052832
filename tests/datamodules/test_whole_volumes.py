"""Volumes that are cut at every place, and headers of all kinds of NIfTI."""

import gzip
import locale

import numpy as np
import pytest
import SimpleITK

from datamodules.nifti import bytes_needed
from datamodules.volume_files import read_volume
from datamodules.volumes import VolumeFolderDataModule
from interseg.errors import InputError

VOXELS = np.random.default_rng(0).integers(1, 200, (5, 7, 9)).astype(np.int16)


def written(path, pixels=VOXELS, zipped=False):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(path), zipped)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.nii", "a.nii.gz", "a.mha", "a.nrrd", "a.gipl", "a.vtk", "a.mrc", "a.tif", "a.tif.zip"],
)
def test_a_volume_cut_anywhere_is_refused_or_whole(name, tmp_path):
    path = written(tmp_path / name.removesuffix(".zip"), zipped=name.endswith(".zip"))
    content = path.read_bytes()
    whole = SimpleITK.GetArrayFromImage(read_volume(path))
    assert np.array_equal(whole, VOXELS)
    refused = 0
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        try:
            assert np.array_equal(SimpleITK.GetArrayFromImage(read_volume(path)), whole), (
                f"{length} of {len(content)} bytes"
            )
        except InputError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
    assert refused > 0.9 * len(content) / 7


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("pair", [False, True])
def test_the_bytes_of_a_header_are_those_of_its_voxels(kind, pair, tmp_path):
    path = written(tmp_path / ("a.hdr" if pair else "a.nii"), VOXELS.astype(kind))
    data = path.with_suffix(".img") if pair else path
    assert bytes_needed(path.read_bytes()[:540], joined=not pair) == data.stat().st_size


def test_a_big_endian_header_is_understood_and_a_nifti_2_is_refused(tmp_path):
    header = written(tmp_path / "a.nii").read_bytes()[:348]
    swapped = bytearray(header)
    for at, size in [(0, 4), *((40 + 2 * i, 2) for i in range(8)), (72, 2), (108, 4)]:
        swapped[at : at + size] = header[at : at + size][::-1]
    assert (
        bytes_needed(bytes(swapped), joined=True)
        == bytes_needed(header, joined=True)
        == 352 + 2 * VOXELS.size
    )
    for order in ("little", "big"):
        (tmp_path / "second.nii").write_bytes((540).to_bytes(4, order) + bytes(1000))
        with pytest.raises(InputError, match=r"second\.nii is NIfTI-2.*convert it to NIfTI-1"):
            read_volume(tmp_path / "second.nii")
    assert bytes_needed(b"none", joined=True) is None
    assert bytes_needed(b"", joined=True) is None


def test_a_compressed_volume_with_a_wrong_checksum_is_refused(tmp_path):
    path = written(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(
        InputError,
        match=(
            r"a\.nii\.gz cannot be read as a volume, it is damaged or cut short \(CRC check failed"
        ),
    ):
        read_volume(path)


def test_a_compressed_file_of_too_few_voxels_is_refused(tmp_path):
    content = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:-10]))
    with pytest.raises(
        InputError, match=r"b\.nii\.gz is cut short: its voxels need 982 bytes, it has 972"
    ):
        read_volume(tmp_path / "b.nii.gz")


def test_voxels_as_text_are_read(tmp_path):
    values = " ".join(map(str, range(8)))
    lines = [
        "# vtk DataFile Version 3.0",
        "text",
        "ASCII",
        "DATASET STRUCTURED_POINTS",
        "DIMENSIONS 2 2 2",
        "ORIGIN 0 0 0",
        "SPACING 1 1 1",
    ]
    lines += ["POINT_DATA 8", "SCALARS scalars float 1", "LOOKUP_TABLE default", values, ""]
    (tmp_path / "a.vtk").write_text("\n".join(lines))
    assert SimpleITK.GetArrayFromImage(read_volume(tmp_path / "a.vtk")).ravel().tolist() == list(
        range(8)
    )


@pytest.mark.parametrize("name", ["a.vtk", "a.nrrd", "a.nii.gz", "none.vtk"])
def test_reading_leaves_the_locale_as_it_is(name, tmp_path):
    before = locale.setlocale(locale.LC_ALL)
    try:
        path = written(tmp_path / name)
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        if name.startswith("none"):
            path.write_text("# vtk DataFile Version 3.0\nnone\nASCII\n")
            with pytest.raises(InputError):
                read_volume(path)
        else:
            read_volume(path)
        assert locale.setlocale(locale.LC_CTYPE) == "C.UTF-8", (
            "else text is opened as ASCII from here on"
        )
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_a_stream_with_a_volume_cut_short_does_not_begin(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            written(tmp_path / folder / f"{number}.nii.gz", (VOXELS > 100).astype(np.uint8))
    path = tmp_path / "images" / "2.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    data = VolumeFolderDataModule(
        str(tmp_path), held_out=1, size=(4, 4, 4), cache=str(tmp_path / "cache")
    )
    with pytest.raises(InputError, match=r"2\.nii\.gz cannot be read as a volume"):
        data.train_dataloader()
