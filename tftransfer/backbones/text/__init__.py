"""Text backbones: word vectors, transformers through KerasHub, TF-Hub modules of strings."""
