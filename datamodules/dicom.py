"""DICOM folders: one series of whole slices, or an error that says what there is to choose from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK

from datamodules.itk import quiet
from interseg.errors import InputError

DESCRIPTION, POSITION, ORIENTATION = "0008|103e", "0020|0032", "0020|0037"
"""Tags of a series' description, and of a slice's place and axes in mm (DICOM PS3.3, C.7.6.2)."""
SUFFIXES = (".dcm", ".dicom", ".ima")
MAGIC_AT, MAGIC = 128, b"DICM"
UNEVEN = 1.5
"""Distances between slices, of their median, from which on one lacks between."""


class Series(NamedTuple):
    """A series in a folder."""

    folder: Path
    id: str
    description: str
    files: tuple[str, ...]


def slices_of(folder: Path, wanted: str | None = None) -> tuple[str, ...]:
    """List the slices of a folder's series, in order.

    Args:
        folder: of the slices.
        wanted: id or description of the series; None for the only one.

    Raises:
        InputError: none, several and none chosen, a damaged slice, slices that lack or lie at one
            place.
    """
    known = series_in([folder])
    chosen = choose(known, folder, wanted)
    check_strays(folder, {file for series in known for file in series.files})
    check_places(folder, chosen.files)
    return chosen.files


def series_folder(case: Path, wanted: str | None = None) -> Path:
    """Find the folder of a case, or below it, that holds its series; the case's own where there is none, which reading names.

    Raises `InputError` for several series and none chosen.
    """
    known = series_in([case, *sorted(path for path in case.rglob("*") if path.is_dir())])
    return choose(known, case, wanted).folder if known else case


def series_in(folders: Sequence[Path]) -> list[Series]:
    """List the series of folders."""
    reader = SimpleITK.ImageSeriesReader
    found = []
    with quiet():
        for folder in folders:
            ids = (
                reader.GetGDCMSeriesIDs(str(folder))
                if any(path.is_file() for path in folder.iterdir())
                else ()
            )
            files = {id: reader.GetGDCMSeriesFileNames(str(folder), id) for id in ids}
            found += [
                Series(folder, id, tags_of(names[0])[DESCRIPTION], names)
                for id, names in files.items()
                if names
            ]
    return found


def choose(known: Sequence[Series], where: Path, wanted: str | None) -> Series:
    """Take the series that is wanted; raises `InputError` unless that is one."""
    if not known:
        raise InputError(f"{where} holds no DICOM series; give the folder of its slices")
    chosen = [
        series for series in known if wanted is None or wanted in (series.id, series.description)
    ]
    if len(chosen) == 1:
        return chosen[0]
    listed = "; ".join(
        f"{series.id} ({series.description or 'no description'}, {len(series.files)} slices)"
        for series in known
    )
    given = "" if wanted is None else f", {len(chosen)} of them {wanted!r}"
    raise InputError(
        f"{where} holds {len(known)} DICOM series{given}: {listed}; "
        "say which by data.series=ID_OR_DESCRIPTION"
    )


def check_strays(folder: Path, known: set[str]) -> None:
    """Raise `InputError` for a slice that is of no series: GDCM passes over what is damaged or cut short."""
    for path in sorted(folder.iterdir()):
        if (
            str(path) in known
            or not path.is_file()
            or path.name.startswith(".")
            or path.name.upper() == "DICOMDIR"
        ):
            continue
        if path.suffix.lower() in SUFFIXES or is_dicom(path):
            raise InputError(
                f"{path} is of no DICOM series, it is damaged or cut short; "
                "copy or download it again, or remove it"
            )


def is_dicom(path: Path) -> bool:
    """Tell by its magic whether a file is one of DICOM's."""
    with path.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC


def check_places(folder: Path, files: Sequence[str]) -> None:
    """Raise `InputError` where slices lack between others, or several lie at one place; those without a place are not looked at."""
    tags = [tags_of(file) for file in files]
    points = [numbers(found[POSITION]) for found in tags]
    axes = numbers(tags[0][ORIENTATION])
    if len(files) < 3 or len(axes) != 6 or any(len(point) != 3 for point in points):
        return
    places = np.sort(np.array(points) @ np.cross(axes[:3], axes[3:]))
    steps = np.diff(places)
    if steps.min() < 1e-3:
        raise InputError(
            f"{folder} has several slices at {places[steps.argmin()]:.4g} mm: it mixes volumes; "
            "leave one in the folder"
        )
    if steps.max() > UNEVEN * np.median(steps):
        low, high = places[steps.argmax()], places[steps.argmax() + 1]
        raise InputError(
            f"{folder} lacks slices between {low:.4g} and {high:.4g} mm; "
            "copy or download the series again"
        )


def tags_of(file: str) -> dict[str, str]:
    """Read what a slice says of its series, place and axes; empty where it says nothing."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(file)
    with quiet():
        reader.ReadImageInformation()
    return {
        tag: reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""
        for tag in (DESCRIPTION, POSITION, ORIENTATION)
    }


def numbers(text: str) -> list[float]:
    """Read DICOM's decimal strings; none of what is no number."""
    try:
        return [float(part) for part in text.split("\\")]
    except ValueError:
        return []
