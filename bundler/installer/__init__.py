"""The isolated host: from a kit to proved, named images, and their audits."""
