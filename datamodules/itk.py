"""A context in which ITK changes nothing of the process."""

import locale
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK


@contextmanager
def quiet() -> Iterator[None]:
    """Silence ITK's warnings, and restore the locale afterwards.

    The warnings that matter are errors of ours. ITK's VTK reader and DICOM writer leave the process
    in the locale "C", in which Python no longer opens text as UTF-8.
    """
    warns = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    before = locale.setlocale(locale.LC_ALL)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warns)
        locale.setlocale(locale.LC_ALL, before)
