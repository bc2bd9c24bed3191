"""What builder and installer share and neither owns: errors, digests, OCI values, the bundle and its verification."""
