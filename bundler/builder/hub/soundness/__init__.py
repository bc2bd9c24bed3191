"""What makes a model one: weights that are there and whole, and nothing else under their names."""
