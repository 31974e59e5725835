"""Domain adaptation: labels in one domain, and images without labels in the target domain.

    tftransfer train --config=domain_adaptation --data=amazon --target_data=webcam \\
        --test_data=webcam_labeled --workdir=runs/webcam

`amazon` has one folder per class, `webcam` any images; `webcam_labeled` is only for the metrics at
the end. The recipe `dann` is fine-tuning with a domain discriminator; `dann`, `cdan`, `mmd`, `ddc`,
`coral`, `adda`, `adabn`, `entropy` and `reweight` can be joined by `+`. After each phase the run
reports the distance between the domains; if adaptation has made the model worse, an earlier phase
is kept.
"""

import tftransfer


def get_config():
    return tftransfer.config(image_size=160, target_data="webcam", recipe="dann")
