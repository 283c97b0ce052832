"""The one exception for what a person can mend: bad data, a wrong path, an unknown key."""


class InputError(ValueError):
    """Says in one line what was got and what to do; the commands print it without a traceback."""
