"""Segment photos by scripted clicks: `python predict.py --checkpoint RUN --images FOLDER ...`.

The command itself, which an installed package has as `interseg predict`, is in commands/predict.py.
"""

from commands.predict import main
from configs.console import run_guarded

if __name__ == "__main__":
    run_guarded(main)
