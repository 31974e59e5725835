"""What a run keeps in its working directory: settings, records, weights, the trained network."""
