"""Model bytes: where they come from, how they are retried, and how they are checked against the lock."""
