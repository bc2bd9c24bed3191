"""The front door: commands, progress, tables, JSON and the one error boundary. No logic."""
