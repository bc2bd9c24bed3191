"""Carries machine-learning services across an air gap: models in the base image, one checksummed tarball, audits."""

__version__ = "0.1.0"
