"""TF-Hub modules that take strings and return vectors."""

from __future__ import annotations

import keras
import tensorflow as tf

from tftransfer.ground.errors import UserError
from tftransfer.ground.hashes import file_sha256
from tftransfer.parts.backbones import hub
from tftransfer.parts.backbones.backbone import Backbone
from tftransfer.parts.backbones.stages import Stage
from tftransfer.parts.kinds.text.form import StringForm


def load_module(name: str, handle: str, *, trust_code: bool, output: str = "") -> Backbone:
    """A module as a backbone of one stage: strings [n] to vectors [n, d].

    Args:
      name: as the user gave it.
      handle: URL or folder of the module.
      trust_code: that it may run.
      output: which entry of a dictionary that it returns.

    Raises:
      UserError: it is not trusted, or no module of strings.
    """
    path, said = hub.trusted(handle, trust_code)
    layer = hub.HubLayer(str(path), output, name="module", dtype="float32")
    strings = keras.Input((), dtype="string", name="strings")
    try:
        layer.compute_output_spec(strings)  # Keras would wrap the errors of a call
    except UserError:
        raise
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(
            f"The module {handle} takes no strings: {' '.join(str(error).split())[:200]}",
            "Give a module of text (strings to vectors).",
        ) from None
    vectors = layer(strings)
    return Backbone(
        name=name, architecture=name, model=keras.Model(strings, vectors, name="hub_module"),
        stages=(Stage(name="stage1", layers=(layer,), outputs=(vectors,), stride=1.0),),
        form=StringForm(), weights=handle, weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=tuple(said),
    )  # fmt: skip
