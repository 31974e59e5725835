"""The nouns as data: recipe, phase, head, loss, experiment, and their JSON."""
