"""The exception for errors that a person can repair: bad data, a wrong path, an unknown key."""


class InputError(ValueError):
    """An error whose one line tells the value received and what to do.

    The commands print it without a traceback.
    """
