"""OCR, embeddings and reranking from models that are in the image.

The rule: every model is in the base image, and a download at run time is forbidden. Models are loaded from absolute paths
with ``local_files_only=True``, and a model that is missing or not whole ends the start. There is no name of a repository, no
cache folder and no second way to a model in this package. See POLICY.md.
"""
