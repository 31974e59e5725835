"""Long clips for image networks: several spectrograms in a row, each processed separately.

The spectrograms follow one another on the time axis, so that every tensor at a stage's end still
has one row per clip; what is pooled at the end is the mean over all of them.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.stages import Stage
from tftransfer.core.typing import Shape, Tensor


@keras.saving.register_keras_serializable("tftransfer")
class SplitWindows(keras.layers.Layer):
    """Splits images in a row, [n, h, count × w, c], into separate ones, [n × count, h, w, c].

    Args:
      count: Number of images in a row.
    """

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count = count

    def call(self, row: Tensor) -> Tensor:
        """Returns the separate images."""
        _, height, width, channels = row.shape
        images = ops.reshape(row, (-1, height, self.count, width // self.count, channels))
        images = ops.transpose(images, (0, 2, 1, 3, 4))
        return ops.reshape(images, (-1, height, width // self.count, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [n × count, h, w, c]."""
        _, height, width, channels = input_shape
        return (None, height, width and width // self.count, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("tftransfer")
class MergeWindows(SplitWindows):
    """Inverts `SplitWindows`: from [n × count, h, w, c] to [n, h, count × w, c].

    Of vectors, [n × count, d], it computes the mean over each clip, [n, d].
    """

    def call(self, images: Tensor) -> Tensor:
        """Returns the images in a row."""
        if len(images.shape) == 2:
            return ops.mean(ops.reshape(images, (-1, self.count, images.shape[1])), axis=1)
        _, height, width, channels = images.shape
        row = ops.reshape(images, (-1, self.count, height, width, channels))
        row = ops.transpose(row, (0, 2, 1, 3, 4))
        return ops.reshape(row, (-1, height, self.count * width, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [n, h, count × w, c], or [n, d]."""
        if len(input_shape) == 2:
            return tuple(input_shape)
        _, height, width, channels = input_shape
        return (None, height, width and self.count * width, channels)


def in_windows(backbone: Backbone, count: int) -> Backbone:
    """Returns the backbone on images in a row, [n, h, count × w, c]; it shares all layers.

    `Backbone.truncated` of the result truncates the given backbone.

    Args:
      backbone: A backbone of images.
      count: Number of images in a row.
    """
    (_, height, width, channels), start = backbone.model.inputs[0].shape, backbone.model.inputs
    inputs = keras.Input((height, count * width, channels), name="windows")
    tensors, stages = [inputs], list[Stage]()
    for stage in backbone.stages:
        submodel = keras.Model(start, list(stage.outputs), name=f"{stage.name}_of_each")
        outputs = submodel(
            [SplitWindows(count, name=f"{stage.name}_split{n}")(x) for n, x in enumerate(tensors)]
        )
        tensors = [
            MergeWindows(count, name=f"{stage.name}_merge{n}")(x)
            for n, x in enumerate(keras.tree.flatten(outputs))
        ]
        stages.append(replace(stage, outputs=tuple(tensors)))
        start = list(stage.outputs)
    model = keras.Model(
        inputs, tensors if len(tensors) > 1 else tensors[0], name="windows_of_clips"
    )
    return replace(
        backbone,
        model=model,
        stages=tuple(stages),
        built_names=backbone.layer_names(),
        inner=(backbone, functools.partial(in_windows, count=count)),
    )
