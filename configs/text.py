"""Texts: a sentence encoder is fine-tuned as a whole on a table of sentences.

    tftransfer train --config=text --data=sst2/train.tsv --test_data=sst2/test.tsv \\
        --workdir=runs/text

`--backbone` is the folder of a transformer in the format of Hugging Face or KerasHub, or the name
of a KerasHub preset; `pip install 'tftransfer[text]'` installs what these need. With
`--backbone=word_vectors --weights=glove.txt` nothing more is needed.
`benchmarks/results/text.json` holds the accuracy to expect.
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
