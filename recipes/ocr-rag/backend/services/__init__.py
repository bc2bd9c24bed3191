"""The models as the application asks them. Each loads its local path and nothing else; see POLICY.md."""
