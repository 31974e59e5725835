"""Networks, streams and recipes, built from the parts."""
