"""Texts instead of pictures: a sentence encoder, fine-tuned as a whole on a table of sentences.

    tftransfer train --config=configs/text.py --data=sst2/train.tsv --test_data=sst2/test.tsv \\
        --workdir=runs/text

`--backbone` is the folder of a transformer in Hugging Face's or KerasHub's format, or the name of a
KerasHub preset. `pip install 'tftransfer[text]'` brings what that needs; with
`--backbone=word_vectors --weights=glove.txt` nothing more is needed. Figures are in
`benchmarks/results/text.json`.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="all_minilm_l6_v2_en",
        length=40,
        recipe={
            "name": "fine_tune",
            "unfreeze": 7,
            "decay": 0.85,
            "learning_rate": 2e-4,
            "head_epochs": 5,
            "epochs": 3,
        },
    )
