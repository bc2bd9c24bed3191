"""Scanned pages that can be asked: OCR, embeddings and a late-interaction rerank, every model from the image."""
