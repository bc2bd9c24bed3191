"""The connected host: from a recipe to a kit."""
