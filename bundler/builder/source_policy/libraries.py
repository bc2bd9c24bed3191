"""What is known of libraries: which calls load models by a name, and which fetch. Plain data.

Read in transformers 5.24, sentence-transformers 6.2, huggingface_hub 2.4 and in the documentation of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Loader:
    """A call whose argument at ``index``, or with one of ``keywords``, is a path or the name of a repo.

    ``by_name`` is for those that take nothing but names: with local_files_only=True they only look into a cache.
    """

    keywords: tuple[str, ...]
    index: int = 0
    by_name: bool = False


_NAMES = ("pretrained_model_name_or_path", "model_name_or_path", "model_id", "repo_id", "model")
#: By the last part of what is called; all of them know ``local_files_only``.
LOADERS: Mapping[str, Loader] = {
    "from_pretrained": Loader(_NAMES),
    "SentenceTransformer": Loader(("model_name_or_path",)),
    "CrossEncoder": Loader(("model_name", "model_name_or_path")),
    "SparseEncoder": Loader(("model_name_or_path",)),
    "WhisperModel": Loader(("model_size_or_path",)),
    "snapshot_download": Loader(("repo_id",), by_name=True),
    "hf_hub_download": Loader(("repo_id",), by_name=True),
    "cached_file": Loader(("path_or_repo_id",)),
}
#: Its first argument is the model that gets the adapter.
ADAPTERS = Loader(_NAMES, index=1)
#: Other loaders without the parameter, and what to use in their place.
WITHOUT_LOCAL_ONLY: Mapping[str, str] = {
    "tokenizers.Tokenizer.from_pretrained": 'load it with tokenizers.Tokenizer.from_file("/app/models/…/tokenizer.json")',
}


@dataclass(frozen=True)
class Says:
    """A keyword with exactly this constant."""

    keyword: str
    value: object


@dataclass(frozen=True)
class Path:
    """An argument, by position or keyword, that cannot be the name of something to fetch."""

    index: int | None
    keyword: str


@dataclass(frozen=True)
class Absolute:
    """A keyword that is certainly an absolute path."""

    keyword: str


@dataclass(frozen=True)
class Set:
    """A variable that the image, a service or the file itself sets."""

    variable: str


@dataclass(frozen=True)
class Packaged:
    """The argument at a position names one of these, which need no network."""

    index: int
    names: tuple[str, ...]


Condition = Union[Says, Path, Absolute, Set, Packaged]


@dataclass(frozen=True)
class Fetch:
    """Calls that download, as patterns of dotted names, unless one of ``unless`` holds (all of a tuple together)."""

    patterns: tuple[str, ...]
    unless: tuple[Condition | tuple[Condition, ...], ...] = ()
    remedy: str = ""


_BUILDERS = ("json", "csv", "parquet", "arrow", "text", "imagefolder", "audiofolder", "pandas", "webdataset")
FETCHES = (
    Fetch(("torch.hub.load",), (Says("source", "local"),), 'torch.hub.load("/absolute/path", …, source="local")'),
    Fetch(
        (
            "torch.hub.load_state_dict_from_url",
            "torch.hub.download_url_to_file",
            "torch.hub.list",
            "torch.hub.help",
            "torch.utils.model_zoo.load_url",
            "torchvision.datasets.utils.download*",
            "tensorflow.keras.utils.get_file",
            "keras.utils.get_file",
        )
    ),
    Fetch(("nltk.download", "nltk.downloader.*"), (), "bring nltk_data into the image and set NLTK_DATA"),
    Fetch(("spacy.cli.download", "spacy.cli.download.download"), (), "install the model's wheel in the Dockerfile"),
    Fetch(
        ("stanza.Pipeline",),
        (Says("download_method", None),),
        "stanza.Pipeline(…, dir=…, download_method=None)",
    ),
    Fetch(("stanza.download", "gensim.downloader.*")),
    Fetch(
        ("tiktoken.get_encoding", "tiktoken.encoding_for_model"),
        (Set("TIKTOKEN_CACHE_DIR"),),
        "bring the encoding into the image and set TIKTOKEN_CACHE_DIR",
    ),
    Fetch(("datasets.load_dataset", "datasets.load.load_dataset"), (Packaged(0, _BUILDERS), Path(0, "path"))),
    Fetch(("evaluate.load",), (Path(0, "path"),), "give the absolute path of the metric's directory"),
    Fetch(("kagglehub.*", "modelscope.*", "gdown.*", "ollama.pull", "huggingface_hub.InferenceClient")),
    Fetch(("whisper.load_model", "clip.load", "ultralytics.YOLO"), (Path(0, "name"),), "give an absolute path"),
    Fetch(
        ("open_clip.create_model*", "open_clip.load_openai_model"),
        (Path(1, "pretrained"),),
        'pretrained="/absolute/path"',
    ),
    Fetch(
        ("paddleocr.PaddleOCR",),
        (
            (Absolute("det_model_dir"), Absolute("rec_model_dir")),
            (Absolute("text_detection_model_dir"), Absolute("text_recognition_model_dir")),
            Absolute("paddlex_config"),
        ),
        "give the absolute directory of each of its models",
    ),
    Fetch(("easyocr.Reader",), (Says("download_enabled", False),), "easyocr.Reader(…, download_enabled=False)"),
    Fetch(
        ("fastembed.*Embedding", "fastembed.*CrossEncoder", "fastembed.rerank.*Encoder"),
        (Says("local_files_only", True), Absolute("specific_model_path")),
        'specific_model_path="/absolute/path", local_files_only=True',
    ),
    Fetch(("flashrank.Ranker",), (), "it has no switch: bring its cache_dir along, and waive with that reason"),
    Fetch(
        ("FlagEmbedding.*Model", "FlagEmbedding.*Reranker", "keybert.KeyBERT", "vllm.LLM"),
        (Path(0, "model"),),
        "give an absolute path",
    ),
    Fetch(
        ("langchain*.HuggingFaceEmbeddings", "llama_index.*.HuggingFaceEmbedding"),
        (Path(None, "model_name"),),
        "give model_name an absolute path",
    ),
)
#: Models that have weights or none, by a keyword: fetched where it asks for them.
PRETRAINED = ("timm.create_model", "torchvision.models.*")
