"""Checks of a bundle, in containers without a network: one module for each kind, and `running` over all of them."""
