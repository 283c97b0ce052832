"""ITK as a guest: it leaves the process as it found it."""

import locale
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK


@contextmanager
def quiet() -> Iterator[None]:
    """Let ITK warn of nothing, what matters of it is an error here, and keep the locale.

    Its reader of VTK and its writer of DICOM leave the process in "C", where Python opens no more
    text as UTF-8.
    """
    warns = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    before = locale.setlocale(locale.LC_ALL)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warns)
        locale.setlocale(locale.LC_ALL, before)
