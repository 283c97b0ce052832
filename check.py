"""Look at a data set before training: `python check.py --config data/folder.yaml data.root=PATH`.

The command itself, which an installed package has as `interseg check`, is in commands/check.py.
"""

from commands.check import main
from configs.console import run_guarded

if __name__ == "__main__":
    run_guarded(main)
