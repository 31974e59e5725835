"""TF-Hub's modules of audio, which take waveforms, as backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.backbones.tfhub import TFHubLayer, check_input, trusted
from tftransfer.preprocessing.audio.preprocessors import WaveformPreprocessor
from tftransfer.utils.errors import unknown_name
from tftransfer.utils.files import file_sha256

# What YAMNet's module returns, by place.
_IN_PLACE = ("scores", "embeddings", "log_mel")


@keras.saving.register_keras_serializable("tftransfer")
class ClipModule(TFHubLayer):
    """Calls a reusable SavedModel of waveforms.

    A module of one clip, [samples], is called for each; where it tells of several patches,
    [patches, d], their mean is the clip's. Of a tuple, `output` is a place from 0, or of three,
    as of YAMNet, `scores`, `embeddings` (also if nothing is named) or `log_mel`.

    Args:
      path: a local folder with `saved_model.pb`.
      output: which of several outputs; "" for the only one, `default` or `embeddings`.
    """

    def _output(self, inputs: Any, *, training: bool) -> Any:
        spec = self.input_spec_of_module()
        if spec is None or spec.shape.rank != 1:
            return _averaged(self._chosen(self._told(inputs, training)))

        def of_one(clip: Any) -> Any:
            return _averaged(self._chosen(self._told(clip, training))[None])[0]

        probe = of_one(tf.zeros(inputs.shape[1:], inputs.dtype))
        signature = tf.TensorSpec(probe.shape, probe.dtype)
        return tf.map_fn(of_one, inputs, fn_output_signature=signature)

    def _told(self, inputs: Any, training: bool) -> Any:
        arguments = {"training": training} if self._takes_training else {}
        return self.module(inputs, **arguments)

    def _chosen(self, result: Any) -> Any:
        if isinstance(result, dict):
            named = result
        elif isinstance(result, (tuple, list)):
            names = _IN_PLACE if len(result) == len(_IN_PLACE) else ()
            named = {str(place): value for place, value in enumerate(result)}
            named |= dict(zip(names, result))
        else:
            return result
        name = self.output_name
        if not name:
            name = next((n for n in ("default", "embeddings", "embedding") if n in named), "")
        if name not in named:
            raise unknown_name("output of the module (MODULE:output=NAME)", name, named)
        return named[name]


def _averaged(values: Any) -> Any:
    """[n, ..., d] to [n, d]."""
    axes = list(range(1, len(values.shape) - 1))
    return tf.reduce_mean(values, axis=axes) if axes else values


def load_module(handle: str, *, trust_code: bool, length: float) -> Backbone | None:
    """The module of a folder, URL or Kaggle handle as a backbone of one stage.

    Args:
      handle: perhaps with `:output=NAME`.
      trust_code: that it may run.
      length: seconds of a clip.

    Returns:
      None where the name is no module, or one of pictures.

    Raises:
      UserError: it is not trusted, not there, or takes no waveforms.
    """
    place, _, output = handle.partition(":output=")
    local = Path(place).expanduser()
    if "/" not in place and not (local / "saved_model.pb").is_file():
        return None
    path, said = trusted(place, trust_code)
    layer = ClipModule(str(path), output, name="module", dtype="float32")
    spec = layer.input_spec_of_module()
    if spec is not None and spec.shape.rank == 4:
        return None
    preprocessor = WaveformPreprocessor(length=length)
    samples = keras.Input(preprocessor.shape, name="waveform")
    check_input(
        layer,
        samples,
        f"The module {handle} takes no waveforms of {preprocessor.samples:,} samples",
        "Give a module of audio at 16 kHz, or another --length.",
    )
    model = keras.Model(samples, layer(samples), name="hub_module")
    whole = [v for v in layer.variables if not v.dtype.startswith(("float", "bfloat"))]
    if whole:
        said += (f"{len(whole)} of the module's weights are whole numbers, which cannot train",)
    return Backbone(
        name=handle,
        architecture=handle,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=preprocessor,
        weights=handle,
        weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=said,
    )
