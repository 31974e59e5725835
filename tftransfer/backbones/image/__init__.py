"""Image backbones: Keras applications, registered builders and TF-Hub modules."""
