"""The `Run` that people hold: its Keras model, evaluation, predictions and export."""
