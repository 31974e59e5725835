"""Several things to say of each picture: one network learns them together.

    tftransfer train --config=configs/multi_task.py --data=photos/table.csv --workdir=runs/tasks

Each label column of the table is a task: `path,flower,season,indoors`. An empty cell is a label
that nobody knows, so several data sets with a task each are one table with empty cells. The losses
are weighed by trained variances; `gradnorm` lets all tasks learn equally fast, and `fixed` takes
`weights`. The report and the SavedModel (`label_flower`, ...) have figures and labels of each task.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        problem_type="multi_task",
        image_size=160,
        recipe={"name": "multi_task", "balance": "uncertainty"},
    )
