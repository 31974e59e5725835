"""The nouns and what every layer stands on; nothing here imports TensorFlow."""
