"""Long clips for networks of pictures: several spectrograms in a row, each seen on its own.

The pictures stand side by side on the time axis, so that every tensor at a cut still has a row per
clip; what is pooled at the end is the mean over all of them.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.stages import Stage


@keras.saving.register_keras_serializable("tftransfer")
class Apart(keras.layers.Layer):
    """Pictures side by side [n, h, count × w, c] as pictures of their own, [n × count, h, w, c].

    Args:
      count: of pictures side by side.
    """

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count = count

    def call(self, wide: Any) -> Any:
        """The pictures."""
        _, height, width, channels = wide.shape
        each = ops.reshape(wide, (-1, height, self.count, width // self.count, channels))
        each = ops.transpose(each, (0, 2, 1, 3, 4))
        return ops.reshape(each, (-1, height, width // self.count, channels))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """[n × count, h, w, c]."""
        _, height, width, channels = input_shape
        return (None, height, width // self.count, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("tftransfer")
class SideBySide(Apart):
    """The way back from `Apart`: [n × count, h, w, c] to [n, h, count × w, c].

    Of vectors [n × count, d], the mean over a clip's, [n, d].
    """

    def call(self, pictures: Any) -> Any:
        """The pictures side by side."""
        if len(pictures.shape) == 2:
            return ops.mean(ops.reshape(pictures, (-1, self.count, pictures.shape[1])), axis=1)
        _, height, width, channels = pictures.shape
        each = ops.reshape(pictures, (-1, self.count, height, width, channels))
        each = ops.transpose(each, (0, 2, 1, 3, 4))
        return ops.reshape(each, (-1, height, self.count * width, channels))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """[n, h, count × w, c], or [n, d]."""
        if len(input_shape) == 2:
            return tuple(input_shape)
        _, height, width, channels = input_shape
        return (None, height, self.count * width, channels)


def in_windows(backbone: Backbone, count: int) -> Backbone:
    """The backbone on so many pictures side by side, [n, h, count × w, c]; it shares all layers.

    Where it is cut short (`Backbone.until`), what is inside is.
    """
    (_, height, width, channels), before = backbone.model.inputs[0].shape, backbone.model.inputs
    inputs = keras.Input((height, count * width, channels), name="windows")
    tensors, stages = [inputs], list[Stage]()
    for stage in backbone.stages:
        part = keras.Model(before, list(stage.outputs), name=f"{stage.name}_of_each")
        outputs = part(
            [Apart(count, name=f"{stage.name}_apart{n}")(x) for n, x in enumerate(tensors)]
        )
        tensors = [
            SideBySide(count, name=f"{stage.name}_beside{n}")(x)
            for n, x in enumerate(keras.tree.flatten(outputs))
        ]
        stages.append(replace(stage, outputs=tuple(tensors)))
        before = list(stage.outputs)
    model = keras.Model(
        inputs, tensors if len(tensors) > 1 else tensors[0], name="windows_of_clips"
    )
    return replace(
        backbone,
        model=model,
        stages=tuple(stages),
        uncut=backbone.names(),
        wrapped=(backbone, functools.partial(in_windows, count=count)),
    )
