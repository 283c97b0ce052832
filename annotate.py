"""Annotate in the browser: `python annotate.py --checkpoint RUN --images FOLDER`.

`--out FOLDER` takes the journals, `--classes cat,dog` names classes.
The page is at the address that is printed. Every click is on the disk before it is answered;
`--export`, or the page, writes masks.
"""

from annotate.command import main
from configs.console import run_guarded

if __name__ == "__main__":
    run_guarded(main)
