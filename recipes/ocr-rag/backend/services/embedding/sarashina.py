"""Sarashina embeddings, from the image's own directory and from nowhere else.

The directory is an absolute path, ``local_files_only`` is set, there is no cache folder and no other place to look. A
directory that is missing or not what the lock says is an error that names it, and so is a model that answers wrongly:
without ``modules.json`` the library would take the mean of the tokens, of the right dimension, in place of the last token.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from backend.errors import ModelError
from backend.loading import Loaded, as_precision, device, making, precision, tolerance
from backend.model_files import LockedModel, require_whole

Vectors = NDArray[np.float32]
#: What the model was trained with. CHANGE: with another model, what its card says ("mean", "cls"), here and in golden/record.py.
POOLING = "lasttoken"
_NEEDED = ("modules.json", "1_Pooling/config.json")
_BATCH = 16
_SHORT, _LONG = "本", "東京の図書館で、日本の歴史についての本を三冊借りて、駅まで歩いて帰りました。"


class EmbeddingModelError(ModelError):
    """The embedding model cannot be used."""


@dataclass(frozen=True)
class SarashinaEmbedding:
    """The loaded model; one batch is computed at a time. Nothing in it changes after ``load``."""

    model: SentenceTransformer
    loaded: Loaded
    turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, directory: Path, locked: LockedModel) -> SarashinaEmbedding:
        """Load from ``directory``, an absolute path. Raises ModelError where it is not the model of the lock."""
        require_loadable(directory, locked)
        where = device()
        with making() as watch:
            try:
                model = SentenceTransformer(
                    str(directory),
                    device=str(where),
                    local_files_only=True,
                    model_kwargs=as_precision(where),
                )
            except Exception as error:
                raise EmbeddingModelError(directory, f"does not load: {error}") from error
            model.eval()
            service = cls(model, watch.loaded(locked, directory))
        service.require_trained_pooling(directory)
        return service

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A row a text, in the order given, as the model gives it (its length is not 1). The batch is one."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        with self.turn:
            found = self.model.encode(
                list(texts), batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(found, dtype=np.float32)

    def embed_all(self, texts: Sequence[str]) -> Vectors:
        """The same for any number of texts, in batches."""
        rows = [self.embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate(rows) if rows else self.embed(())

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.model[1].get_embedding_dimension())

    def require_trained_pooling(self, directory: Path) -> None:
        """Raise EmbeddingModelError unless ``POOLING`` is what counts, and padding does not show."""
        kinds = [type(module).__name__ for module in self.model]
        mode = self.model[1].pooling_mode if kinds[1:2] == ["Pooling"] else None
        if kinds[:1] != ["Transformer"] or mode != POOLING:
            raise EmbeddingModelError(directory, f"its modules are {kinds} with pooling {mode}, and not with {POOLING}")
        alone, batched = self.embed([_SHORT])[0], self.embed([_SHORT, _LONG])[0]
        apart = float(np.abs(alone - batched).max() / np.abs(alone).max())
        if not apart < tolerance(precision(device())):
            raise EmbeddingModelError(directory, f"padding shows: alone and in a batch a text is {apart:.3g} apart")


def require_loadable(directory: Path, locked: LockedModel, *, thorough: bool = False) -> None:
    """Raise ModelError unless ``directory`` is an absolute path with the lock's files, and those make a whole model."""
    if not directory.is_absolute():
        raise EmbeddingModelError(directory, "not an absolute path, which libraries take for the name of a repository")
    require_whole(directory, locked, thorough=thorough)
    lacking = [name for name in _NEEDED if not (directory / name).is_file()]
    if lacking:
        raise EmbeddingModelError(directory, f"the lock itself lacks {', '.join(lacking)}: include them in the recipe")
