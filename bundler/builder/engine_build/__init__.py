"""Building with an engine: private parents, generated Dockerfiles, two builders, and the export of what they made."""
