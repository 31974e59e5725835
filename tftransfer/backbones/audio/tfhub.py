"""TF-Hub's audio modules, which take waveforms, as backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.options import LoadOptions
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.backbones.tfhub import TFHubLayer, check_input, trusted
from tftransfer.core.typing import Tensor
from tftransfer.preprocessing.audio.preprocessors import WaveformPreprocessor
from tftransfer.utils.errors import unknown_name
from tftransfer.utils.files import file_sha256

# The outputs of YAMNet's module, by position.
_OUTPUT_NAMES = ("scores", "embeddings", "log_mel")
_DEFAULT_OUTPUTS = ("default", "embeddings", "embedding")


@keras.saving.register_keras_serializable("tftransfer")
class ClipModule(TFHubLayer):
    """Calls a reusable SavedModel of waveforms.

    A module of one clip, [samples], is called for each clip. Of several patches, [patches, d], the
    mean is the clip's vector. Of a tuple, `output` is a position from 0, or of three outputs, as
    YAMNet has, `scores`, `embeddings` (the default) or `log_mel`.

    Args:
      path: Local folder with `saved_model.pb`.
      output: Which of several outputs; "" for the only one, `default` or `embeddings`.
    """

    def _output(self, inputs: Tensor, *, training: bool) -> Tensor:
        spec = self.input_spec_of_module()
        if spec is None or spec.shape.rank != 1:
            return _mean_over_patches(self._select(self._call_module(inputs, training)))

        def one_clip(clip: Tensor) -> Tensor:
            return _mean_over_patches(self._select(self._call_module(clip, training))[None])[0]

        probe = one_clip(tf.zeros(inputs.shape[1:], inputs.dtype))
        signature = tf.TensorSpec(probe.shape, probe.dtype)
        return tf.map_fn(one_clip, inputs, fn_output_signature=signature)

    def _call_module(self, inputs: Tensor, training: bool) -> Any:
        arguments = {"training": training} if self._takes_training else {}
        return self.module(inputs, **arguments)

    def _select(self, outputs: Any) -> Tensor:
        if isinstance(outputs, dict):
            named = outputs
        elif isinstance(outputs, (tuple, list)):
            names = _OUTPUT_NAMES if len(outputs) == len(_OUTPUT_NAMES) else ()
            named = {str(position): value for position, value in enumerate(outputs)}
            named |= dict(zip(names, outputs))
        else:
            return outputs
        name = self.output_name or next((n for n in _DEFAULT_OUTPUTS if n in named), "")
        if name not in named:
            raise unknown_name("output of the module (MODULE:output=NAME)", name, named)
        return named[name]


def _mean_over_patches(values: Tensor) -> Tensor:
    """Reduces [n, ..., d] to [n, d]."""
    axes = list(range(1, len(values.shape) - 1))
    return tf.reduce_mean(values, axis=axes) if axes else values


def load_module(handle: str, options: LoadOptions) -> Backbone | None:
    """Loads the module of a folder, URL or Kaggle handle as a backbone of one stage.

    Args:
      handle: The module, perhaps with `:output=NAME`.
      options: `trust_code` allows the module to run; `length` is the number of seconds of a clip.

    Returns:
      None where the name is not a module, or one of images.

    Raises:
      UserError: The module is not trusted, does not exist, or takes no waveforms.
    """
    place, _, output = handle.partition(":output=")
    local = Path(place).expanduser()
    if "/" not in place and not (local / "saved_model.pb").is_file():
        return None
    path, remarks = trusted(place, options.trust_code)
    layer = ClipModule(str(path), output, name="module", dtype="float32")
    spec = layer.input_spec_of_module()
    if spec is not None and spec.shape.rank == 4:
        return None
    preprocessor = WaveformPreprocessor(length=options.length)
    samples = keras.Input(preprocessor.shape, name="waveform")
    check_input(
        layer,
        samples,
        f"The module {handle} does not take waveforms of {preprocessor.samples:,} samples",
        "Give an audio module at 16 kHz, or another --length.",
    )
    model = keras.Model(samples, layer(samples), name="hub_module")
    integers = [v for v in layer.variables if not v.dtype.startswith(("float", "bfloat"))]
    if integers:
        remarks += (f"{len(integers)} of the module's weights are integers, which cannot train",)
    return Backbone(
        name=handle,
        architecture=handle,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=preprocessor,
        weights=handle,
        weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=remarks,
    )
