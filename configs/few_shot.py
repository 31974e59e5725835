"""A handful of labels: the head is solved on frozen features, in closed form, in seconds.

    tftransfer train --config=configs/few_shot.py --data=flower_photos --labels_per_class=5 \\
        --workdir=runs/few

`--config.recipe.solve=prototypes`, `cosine` and `logistic` are the other ways; `benchmarks/
results/methods.json` has all of them over 600 episodes.
"""

import tftransfer


def get_config():
    return tftransfer.config(image_size=160, recipe={"name": "few_shot", "solve": "ridge"})
