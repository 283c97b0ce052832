"""Bodies of the commands that an installed package has too, and parts of other commands."""
