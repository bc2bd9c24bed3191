"""Texts in the order of how well they answer."""
