"""Several labels of each image, such as flower and season, learned by one network.

    tftransfer train --config=multi_task --data=photos/table.csv --workdir=runs/tasks

Each label column of the table is a task: `path,flower,season,indoors`. An empty cell is an unknown
label, so that several data sets with a task each are one table with empty cells. Trained variances
weight the losses; `balance=gradnorm` lets all tasks learn equally fast, and `balance=fixed` uses
`weights`. Report and SavedModel (`label_flower`, ...) have the metrics and labels of each task.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        problem_type="multi_task",
        image_size=160,
        recipe={"name": "multi_task", "balance": "uncertainty"},
    )
