"""Makes ``bundler/loader/bundler.pyz``; ``scripts/build-loader`` is its command."""
