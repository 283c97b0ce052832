"""A click network's forward pass against its refinements, as one table (BRS' Table 2).

    python -m benchmarks.refinement RUN FOLDER [key=value ...] --test '--config data/grabcut.yaml
    data.root=PATH' [--rows forward brs ...]

Every line is made by evaluate.py itself, one after the other; what is finished is not done again.
Overrides are the evaluation's.
"""

import argparse
import csv
import json
from pathlib import Path

from benchmarks.running import add_data, run_once

REFINERS = "interseg.inference.refiners"
COARSE = "model.network.output=coarse"
ROWS = {
    "forward": ["refiner=null"],
    "brs": ["refiner=brs"],
    **{
        name: [f"refiner={name}"]
        for name in ("dist_map_brs", "rgb_brs", "f_brs_a", "f_brs_b", "f_brs_c")
    },
    **{
        name: [f"refiner={{_target_: {REFINERS}.{words}}}"]
        for name, words in {
            "f_brs_b_pixels": "FeatureRefiner, point: b, reach: 0",
            "f_brs_a_free": "FeatureRefiner, point: a, weight: 0.0",
            "f_brs_b_settled": "FeatureRefiner, point: b, settled: 0.99",
            "f_brs_b_shown": "FeatureRefiner, point: b, shown: 8",
            "f_brs_b_as_its_code": "FeatureRefiner, point: b, settled: 0.99, shown: 8",
            "dist_map_brs_as_its_code": "MapRefiner, settled: 0.99, shown: 5",
        }.items()
    },
    "coarse": ["refiner=null", COARSE],
    **{
        f"coarse_{name}": [f"refiner={name}", COARSE]
        for name in ("brs", "dist_map_brs", "f_brs_a", "f_brs_b")
    },
}
"""Words of evaluate.py for each row. `f_brs_b_pixels` constrains the clicked pixels alone, as BRS
does, not 3 x 3 around each; `f_brs_a_free` lets features change at no cost; a row as its code ends
where the mask hardly changes and shows the network the first clicks alone, the two before it one
each; coarse rows are for a network with a fine decoder."""
FIGURES = {
    "NoC@85": "noc@85",
    "NoC@90": "noc@90",
    "failures@90": "failures@90",
    "mIoU@5": "miou@5",
    "AuC": "auc",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("run", type=Path)
    arguments.add_argument("folder", type=Path)
    add_data(arguments, "test")
    arguments.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    reports = {}
    for row in options.rows:
        folder = options.folder / row
        line = [
            "--checkpoint",
            str(options.run),
            *options.test,
            *ROWS[row],
            *options.overrides,
            f"run={folder}",
            "trainer.devices=1",
        ]
        run_once(folder / "report.json", "evaluate.py", *line)
        reports[row] = json.loads((folder / "report.json").read_text())
        with (folder / "objects.csv").open() as file:
            reports[row]["answers"] = sum(
                len(played["clicks"].split()) for played in csv.DictReader(file)
            )
    print_markdown(reports)


def print_markdown(reports: dict[str, dict[str, float]]) -> None:
    """Print the figures of every row; times are multiples of the first row's."""
    titles = [
        *FIGURES,
        "clicked pixels right",
        "refined answers",
        "not improved",
        "evaluations each",
        "time a click",
    ]
    titles.append("time a refined answer adds")
    print("| | " + " | ".join(titles) + " |\n" + "|---" * (len(titles) + 1) + "|")
    first = next(iter(reports.values()))["network_seconds_per_click"]
    for row, report in reports.items():
        right = 1 - report["clicked_wrong"] / report["clicked"]
        refined = report.get("refinements", 0)  # a forward pass has none
        each = f"{report['refinement_evaluations'] / refined:.1f}" if refined else "-"
        cells = [f"{report[key]:.4g}" for key in FIGURES.values()]
        cells += [
            f"{100 * right:.2f} %",
            f"{refined} of {report['answers']}",
            f"{report.get('refinements_failed', 0)}",
            each,
        ]
        time = report["network_seconds_per_click"] / first
        cells += [
            f"{time:.2f}",
            f"{(time - 1) * report['answers'] / refined:.2f}" if refined else "-",
        ]
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
