"""Labels in one domain, pictures without labels in another: what is learnt must serve there.

    tftransfer train --config=configs/domain_adaptation.py --data=amazon --target_data=webcam \\
        --test_data=webcam_labelled --workdir=runs/webcam

`amazon` has class folders, `webcam` any pictures; `webcam_labelled` is only for the figures at
the end. The recipe `dann` is fine-tuning with a discriminator of domains; `dann`, `cdan`, `mmd`,
`ddc`, `coral`, `adda`, `adabn`, `entropy` and `reweight` may be joined by `+`. After each phase the
run says how far the domains lie apart, and goes back to an earlier phase where adapting did harm.
"""

import tftransfer


def get_config():
    return tftransfer.config(image_size=160, target_data="webcam", recipe="dann")
