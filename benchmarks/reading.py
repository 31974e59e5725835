"""Measures what reading the data takes: the scan, near copies, and all that the plan shows of them.

    python benchmarks/reading.py --data=flowers

Plans a run on a folder of photographs with an empty cache and again with a full one, in a new
process each; with --before=FOLDER, a checkout of an earlier version takes turns. Then plans runs on
growing numbers of small images. Prints tables and writes `benchmarks/results/reading.json`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data", None, "a folder of photographs, one sub-folder per class", required=True
)
flags.DEFINE_string("before", "", "a checkout of another version to compare with")
flags.DEFINE_integer("repetitions", 5, "number of turns")
flags.DEFINE_list("sizes", ["10000", "20000", "50000", "100000"], "numbers of small images")

SIDE, CLASSES = 64, 4
PLAN = """
import sys
import tftransfer
experiment = tftransfer.Experiment(
    data=sys.argv[1], backbone="mobilenet:alpha=0.25", weights="none", recipe="scratch"
)
print(tftransfer.plan(experiment, cache_dir=sys.argv[2]).clock.seconds["scan"])
"""


def seconds(data, cache, root=""):
    """Seconds for reading the data, by the version in the folder `root`, or by this one."""
    environment = os.environ | ({"PYTHONPATH": str(Path(root).resolve())} if root else {})
    command = [sys.executable, "-c", PLAN, str(data), str(cache)]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tempfile.gettempdir(),
    )
    return float(done.stdout.split()[-1])


def compare(data):
    """Rows of seconds: for each version, the first reading and the next one."""
    here = str(Path(__file__).resolve().parents[1])
    roots = {"this version": here} | ({"before": FLAGS.before} if FLAGS.before else {})
    found = {name: ([], []) for name in roots}
    for turn in range(FLAGS.repetitions):
        for name in list(roots)[:: -1 if turn % 2 else 1]:
            with tempfile.TemporaryDirectory() as cache:
                for times in found[name]:
                    times.append(seconds(data, cache, roots[name]))
    files = sum(path.is_file() for path in Path(data).rglob("*"))
    return [
        {
            "version": name,
            "files": files,
            "first reading, s": statistics.median(first),
            "next reading, s": statistics.median(later),
        }
        for name, (first, later) in found.items()
    ]


def write_images(folder, start, stop):
    """Adds small images of noise around one color per class; no two are the same."""
    import numpy as np
    from PIL import Image

    for number in range(start, stop):
        rng = np.random.default_rng(number)
        soft = rng.integers(0, 256, (6, 6, 3), np.uint8)
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(soft).resize((SIDE, SIDE)).save(path, quality=80)


def grow():
    """Rows of seconds for growing numbers of images."""
    rows, written = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, FLAGS.sizes):
            write_images(Path(folder) / "data", written, size)
            written = size
            with tempfile.TemporaryDirectory() as cache:
                first, later = (seconds(Path(folder) / "data", cache) for _ in range(2))
            rows.append({"files": size, "first reading, s": first, "next reading, s": later})
            rows[-1]["first, µs per file"] = round(1e6 * first / size)
            print(rows[-1], flush=True)
    return rows


def main(_):
    from results import write_results

    tables = {"photographs": compare(FLAGS.data)}
    for row in tables["photographs"]:
        print(row, flush=True)
    tables["growth"] = grow()
    write_results("reading", tables, sys.argv)


if __name__ == "__main__":
    app.run(main)
