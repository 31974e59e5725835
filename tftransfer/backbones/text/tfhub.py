"""TF-Hub modules that take strings and return vectors."""

from __future__ import annotations

import keras

from tftransfer.backbones import tfhub
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.options import LoadOptions
from tftransfer.backbones.stages import Stage
from tftransfer.preprocessing.text.preprocessor import StringPreprocessor
from tftransfer.utils.files import file_sha256


def load_module(name: str, handle: str, options: LoadOptions, *, output: str = "") -> Backbone:
    """Loads a module as a backbone of one stage, from strings [n] to vectors [n, d].

    Args:
      name: The name as the user gave it.
      handle: URL or folder of the module.
      options: `trust_code` allows the module to run.
      output: Key of a dictionary that the module returns; "" for its default output.

    Raises:
      UserError: The module is not trusted, or does not take strings.
    """
    path, remarks = tfhub.trusted(handle, options.trust_code)
    layer = tfhub.TFHubLayer(str(path), output, name="module", dtype="float32")
    strings = keras.Input((), dtype="string", name="strings")
    tfhub.check_input(
        layer,
        strings,
        f"The module {handle} does not take strings",
        "Give a module of text (strings to vectors).",
    )
    vectors = layer(strings)
    return Backbone(
        name=name,
        architecture=name,
        model=keras.Model(strings, vectors, name="hub_module"),
        stages=(Stage(name="stage1", layers=(layer,), outputs=(vectors,), stride=1.0),),
        preprocessor=StringPreprocessor(),
        weights=handle,
        weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=remarks,
    )
