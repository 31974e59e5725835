"""A new backbone: SqueezeNet 1.1 (Iandola et al., 2016), registered by name.

    tftransfer train --config=squeezenet --data=flower_photos \\
        --weights=squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5 --workdir=runs/squeezenet

A backbone needs only `build` below: a function from the image size to a functional Keras model that
includes the preprocessing. The stages are found in its graph. The weights are those of
github.com/rcmalli/keras-squeezenet; the registered sha256 rejects any other file of that name.
Commands on the run, such as `tftransfer predict`, need `--register=configs/squeezenet.py`, which
`tftransfer init` writes. Expect accuracy 0.84 on the flowers (linear probe).
"""

import keras
from keras import layers

import tftransfer

_SHA256 = {
    "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5": (
        "2d935d8c102ad1232484a77da8e6fbdf3ff4ab608974a0d8b6283115ffff204f"
    )
}


@tftransfer.register_backbone("squeezenet", image_size=160, sha256=_SHA256)
def build(image_size: int) -> keras.Model:
    """Builds SqueezeNet 1.1 without its classifier."""
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    # BGR minus the means of ImageNet, (103.939, 116.779, 123.68).
    x = keras.applications.imagenet_utils.preprocess_input(pixels, mode="caffe")
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = _fire(_fire(x, 2, 16), 3, 16)
    x = layers.MaxPooling2D(3, 2, name="pool3")(x)
    x = _fire(_fire(x, 4, 32), 5, 32)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = _fire(_fire(x, 6, 48), 7, 48)
    x = _fire(_fire(x, 8, 64), 9, 64)
    return keras.Model(pixels, x, name="squeezenet")


def _fire(x, number: int, squeeze: int):
    """A few 1×1 filters, then 1×1 and 3×3 filters in parallel, four times as many of each.

    Layers are named as in the weights file, but for its slashes, which Keras 3 does not allow: the
    loader reads `fire2/squeeze1x1` as `fire2_squeeze1x1`.
    """

    def convolution(filters: int, size: int, role: str, x):
        name = f"fire{number}_{role}{size}x{size}"
        return layers.Conv2D(filters, size, padding="same", activation="relu", name=name)(x)

    x = convolution(squeeze, 1, "squeeze", x)
    expanded = [convolution(4 * squeeze, size, "expand", x) for size in (1, 3)]
    return layers.Concatenate(name=f"fire{number}_concat")(expanded)


def get_config():
    return tftransfer.config(backbone="squeezenet", image_size=160, recipe="feature_extraction")
