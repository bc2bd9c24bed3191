"""Semantic search over a folder of texts: all-MiniLM-L6-v2 in numpy, from a directory in the image and nowhere else."""
