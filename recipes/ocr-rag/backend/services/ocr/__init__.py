"""Pages to texts."""
