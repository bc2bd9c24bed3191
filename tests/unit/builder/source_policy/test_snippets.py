"""Sources in a few lines: what each rule catches, and what only looks like it.

A snippet is an id, its language and the code; beside it the rules that it breaks, in any order, or none.
"""

from __future__ import annotations

import pytest

from bundler.builder.source_policy.lint import lint_sources
from bundler.builder.source_policy.rules import RULES
from bundler.builder.source_policy.sources import Kind, Source

NAMES: dict[str, tuple[Kind, str]] = {
    "python": ("python", "service/code.py"),
    "shell": ("shell", "start.sh"),
    "dockerfile": ("dockerfile", "Dockerfile"),
    "compose": ("yaml", "compose.yaml"),
    "yaml": ("yaml", "settings.yaml"),
}
IMPORT = "from transformers import AutoModel\n"
ST = "from sentence_transformers import SentenceTransformer\n"

CAUGHT = [
    # no-local-only
    ("plain", "python", IMPORT + 'm = AutoModel.from_pretrained("/app/models/x")', "no-local-only"),
    ("module-alias", "python", 'import transformers as tf\nm = tf.AutoModel.from_pretrained("/m")', "no-local-only"),
    ("class-alias", "python", 'from transformers import AutoModel as A\nm = A.from_pretrained("/m")', "no-local-only"),
    ("false", "python", IMPORT + 'm = AutoModel.from_pretrained("/m", local_files_only=False)', "no-local-only"),
    ("unknown-flag", "python", IMPORT + 'm = AutoModel.from_pretrained("/m", local_files_only=flag)', "no-local-only"),
    (
        "flag-of-the-environment",
        "python",
        IMPORT
        + 'import os\nL = os.environ.get("OFFLINE", True)\nm = AutoModel.from_pretrained("/m", local_files_only=L)',
        "no-local-only",
    ),
    ("kwargs", "python", IMPORT + 'def f(**kw):\n    return AutoModel.from_pretrained("/m", **kw)', "no-local-only"),
    ("getattr", "python", IMPORT + 'm = getattr(AutoModel, "from_pretrained")("/m")', "no-local-only"),
    ("assigned", "python", IMPORT + 'load = AutoModel.from_pretrained\nm = load("/m")', "no-local-only"),
    (
        "partial",
        "python",
        IMPORT + 'from functools import partial\nload = partial(AutoModel.from_pretrained)\nm = load("/m")',
        "no-local-only",
    ),
    (
        "thread",
        "python",
        IMPORT + 'import asyncio\nasync def f():\n    await asyncio.to_thread(AutoModel.from_pretrained, "/m")',
        "no-local-only",
    ),
    ("mixin", "python", "m = Net.from_pretrained(path)", "no-local-only"),
    ("sentence", "python", ST + 'm = SentenceTransformer(model_name_or_path="/m")', "no-local-only"),
    ("star", "python", 'from sentence_transformers import *\nm = CrossEncoder("/m")', "no-local-only"),
    (
        "subclass",
        "python",
        ST + 'class Mine(SentenceTransformer):\n    pass\nm = Mine("/m")',
        "no-local-only",
    ),
    (
        "download",
        "python",
        'import huggingface_hub as hub\nhub.snapshot_download("org/name", cache_dir="/cache")',
        "no-local-only",
    ),
    (
        "one-file",
        "python",
        'from huggingface_hub import HfApi\nHfApi().hf_hub_download("o/n", "a.json")',
        "no-local-only",
    ),
    ("tokenizer", "python", 'from tokenizers import Tokenizer\nTokenizer.from_pretrained("/m")', "no-local-only"),
    # repo-id
    (
        "repo",
        "python",
        IMPORT + 'm = AutoModel.from_pretrained("intfloat/e5-small", local_files_only=True)',
        "repo-id",
    ),
    ("bare", "python", IMPORT + 'm = AutoModel.from_pretrained("gpt2", local_files_only=True)', "repo-id"),
    ("relative", "python", ST + 'm = SentenceTransformer("models/minilm", local_files_only=True)', "repo-id"),
    (
        "relative-path-object",
        "python",
        ST + 'from pathlib import Path\nm = SentenceTransformer(Path("models") / "x", local_files_only=True)',
        "repo-id",
    ),
    ("constant", "python", ST + 'N = "org/x"\nm = SentenceTransformer(N, local_files_only=True)', "repo-id"),
    (
        "default",
        "python",
        ST + 'def load(name="org/x"):\n    return SentenceTransformer(name, local_files_only=True)',
        "repo-id",
    ),
    (
        "argument-of-a-call",
        "python",
        ST + 'def load(name):\n    return SentenceTransformer(name, local_files_only=True)\nload("org/x")',
        "repo-id",
    ),
    (
        "class-attribute",
        "python",
        ST
        + 'class S:\n    NAME = "org/x"\n    def load(self):\n        return SentenceTransformer(self.NAME, local_files_only=True)',
        "repo-id",
    ),
    (
        "instance-attribute",
        "python",
        ST
        + 'class S:\n    def __init__(self):\n        self.name = "org/x"\n'
        + "    def load(self):\n        return SentenceTransformer(self.name, local_files_only=True)",
        "repo-id",
    ),
    (
        "settings-object",
        "python",
        ST
        + 'class Settings(BaseSettings):\n    model: str = Field(default="org/x")\n'
        + "settings = Settings()\nm = SentenceTransformer(settings.model, local_files_only=True)",
        "repo-id",
    ),
    (
        "f-string",
        "python",
        ST + 'def f(size):\n    return SentenceTransformer(f"intfloat/e5-{size}", local_files_only=True)',
        "repo-id",
    ),
    ("sum", "python", ST + 'O = "org"\nm = SentenceTransformer(O + "/" + "x", local_files_only=True)', "repo-id"),
    (
        "table",
        "python",
        ST + 'M = {"small": "org/s", "large": "org/l"}\nm = SentenceTransformer(M[size], local_files_only=True)',
        "repo-id",
    ),
    (
        "loop",
        "python",
        ST + 'for name in ("org/a", "org/b"):\n    SentenceTransformer(name, local_files_only=True)',
        "repo-id",
    ),
    (
        "argparse",
        "python",
        ST
        + 'import argparse\np = argparse.ArgumentParser()\np.add_argument("--model", default="org/x")\n'
        + "args = p.parse_args()\nm = SentenceTransformer(args.model, local_files_only=True)",
        "repo-id",
    ),
    (
        "adapter",
        "python",
        'from peft import PeftModel\nm = PeftModel.from_pretrained(base, "org/lora", local_files_only=True)',
        "repo-id",
    ),
    (
        "global",
        "python",
        ST
        + 'name = "org/x"\ndef choose():\n    global name\n    name = "org/y"\n'
        + "def load():\n    return SentenceTransformer(name, local_files_only=True)",
        "repo-id",
    ),
    (
        "format",
        "python",
        ST + 'O = "org"\nm = SentenceTransformer("{}/{n}".format(O, n="x"), local_files_only=True)',
        "repo-id",
    ),
    (
        "two-callers",
        "python",
        ST
        + "def load(name):\n    return SentenceTransformer(name, local_files_only=True)\n"
        + 'load("/app/models/x")\nload("org/x")',
        "repo-id",
    ),
    ("lambda", "python", ST + 'f = lambda n: SentenceTransformer(n, local_files_only=True)\nf("org/x")', "repo-id"),
    ("served", "compose", "services:\n  llm:\n    image: vllm/vllm-openai:v1\n    command: --model org/x", "repo-id"),
    (
        "variable",
        "compose",
        "services:\n  tei:\n    image: tei:1\n    environment:\n      MODEL_ID: BAAI/bge",
        "repo-id",
    ),
    # fallback
    (
        "assignment",
        "python",
        ST
        + "import os\nclass Service:\n"
        + '    MODEL_NAME = "sbintuitions/sarashina-embedding-v1-1b"\n'
        + '    def load(self, model_path="/app/models/sarashina"):\n'
        + "        if not os.path.exists(model_path):\n"
        + "            model_path = self.MODEL_NAME\n"
        + "        return SentenceTransformer(model_path, local_files_only=True)",
        "fallback",
    ),
    (
        "conditional",
        "python",
        ST + 'm = SentenceTransformer("/m" if there else "org/x", local_files_only=True)',
        "fallback",
    ),
    ("or", "python", ST + 'm = SentenceTransformer(path or "org/x", local_files_only=True)', "fallback"),
    (
        "environment",
        "python",
        ST + 'import os\nm = SentenceTransformer(os.environ.get("M", "org/x"), local_files_only=True)',
        "fallback",
    ),
    (
        "except",
        "python",
        ST
        + 'try:\n    m = SentenceTransformer("/m", local_files_only=True)\n'
        + 'except OSError:\n    m = SentenceTransformer("org/x", local_files_only=True)',
        "fallback",
    ),
    (
        "except-assignment",
        "python",
        ST
        + 'try:\n    name = find("/m")\nexcept OSError:\n    name = "org/x"\n'
        + "m = SentenceTransformer(name, local_files_only=True)",
        "fallback",
    ),
    (
        "other-branch",
        "python",
        ST
        + 'if path.exists():\n    m = SentenceTransformer("/m", local_files_only=True)\n'
        + 'else:\n    m = SentenceTransformer("org/x", local_files_only=True)',
        "fallback",
    ),
    (
        "returned",
        "python",
        ST
        + 'def where():\n    if there:\n        return "/m"\n    return "org/x"\n'
        + "m = SentenceTransformer(where(), local_files_only=True)",
        "fallback",
    ),
    ("renamed", "python", "class A(Base):\n    def f(self):\n        self.model_path = self.MODEL_NAME", "fallback"),
    # pipeline
    ("task", "python", 'from transformers import pipeline\np = pipeline("summarization")', "pipeline"),
    (
        "model",
        "python",
        'from transformers import pipeline\np = pipeline("summarization", model="org/x")',
        "pipeline",
    ),
    ("positional", "python", 'import transformers\np = transformers.pipeline("fill-mask", "org/x")', "pipeline"),
    # fetches
    ("torch-hub", "python", 'import torch\nm = torch.hub.load("pytorch/vision", "resnet18")', "fetches"),
    ("state-dict", "python", "from torch.hub import load_state_dict_from_url as f\nf(url)", "fetches"),
    ("nltk", "python", 'import nltk\nnltk.download("punkt")', "fetches"),
    ("spacy", "python", 'from spacy.cli import download\ndownload("en_core_web_sm")', "fetches"),
    ("stanza", "python", 'import stanza\nnlp = stanza.Pipeline("en")', "fetches"),
    ("gensim", "python", 'import gensim.downloader as api\nw = api.load("glove-wiki-gigaword-50")', "fetches"),
    ("tiktoken", "python", 'import tiktoken\ne = tiktoken.get_encoding("cl100k_base")', "fetches"),
    ("dataset", "python", 'from datasets import load_dataset\nd = load_dataset("org/data")', "fetches"),
    ("metric", "python", 'import evaluate\nm = evaluate.load("bleu")', "fetches"),
    ("kaggle", "python", 'import kagglehub\np = kagglehub.model_download("google/gemma")', "fetches"),
    ("modelscope", "python", 'from modelscope import snapshot_download\nsnapshot_download("a/b")', "fetches"),
    ("gdown", "python", "import gdown\ngdown.download(id=number)", "fetches"),
    ("whisper", "python", 'import whisper\nm = whisper.load_model("base")', "fetches"),
    (
        "open-clip",
        "python",
        'import open_clip\nm = open_clip.create_model_and_transforms("ViT-B-32", pretrained="laion2b")',
        "fetches",
    ),
    ("paddle", "python", 'from paddleocr import PaddleOCR\no = PaddleOCR(lang="japan")', "fetches"),
    ("easyocr", "python", 'import easyocr\nr = easyocr.Reader(["ja"])', "fetches"),
    ("timm", "python", 'import timm\nm = timm.create_model("resnet18", pretrained=True)', "fetches"),
    ("vision", "python", 'from torchvision.models import resnet18\nm = resnet18(weights="DEFAULT")', "fetches"),
    ("fastembed", "python", "from fastembed import TextEmbedding\ne = TextEmbedding()", "fetches"),
    ("flashrank", "python", 'from flashrank import Ranker\nr = Ranker("ms-marco", cache_dir="/m")', "fetches"),
    ("ollama", "shell", "ollama serve &\nollama pull llama3", "fetches"),
    # hub-url
    ("address", "python", 'URL = "https://huggingface.co/org/x/resolve/main/a.bin"', "hub-url"),
    ("address-in-parts", "python", 'H = "huggingface.co"\nurl = f"https://{H}/org/x"', "hub-url"),
    ("connection", "python", 'import http.client\nc = http.client.HTTPSConnection("huggingface.co")', "hub-url"),
    ("variable-of-a-script", "shell", "BASE=https://cdn-lfs.huggingface.co/x", "hub-url"),
    ("add", "dockerfile", "FROM a:1\nADD https://huggingface.co/o/n/resolve/main/w.bin /w.bin", "hub-url"),
    ("setting", "yaml", "model:\n  url: https://download.pytorch.org/models/x.pth", "hub-url"),
    # shell
    ("start", "shell", "#!/bin/sh\nset -e\ncurl -fsSL https://example.org/x -o /x\nexec python app.py", "shell"),
    ("wget-in-if", "shell", 'if [ ! -f /m ]; then wget "$URL"; fi', "shell"),
    ("substitution", "shell", "X=$(curl -s https://example.org/version)\nexport X", "shell"),
    ("clone", "shell", "git clone https://example.org/x.git", "shell"),
    ("hf", "shell", "hf download org/x --local-dir /m || exit 1", "shell"),
    ("pip", "shell", "python3 -m pip install -r requirements.txt", "shell"),
    ("apt", "shell", "sudo apt-get update && exec app", "shell"),
    ("quoted", "shell", "bash -c 'wget https://example.org/a && run'", "shell"),
    ("heredoc", "shell", "sh <<EOF\ncurl https://example.org/x\nEOF", "shell"),
    ("device", "shell", "exec 3<>/dev/tcp/example.org/80", "shell"),
    ("cmd", "dockerfile", "FROM a:1\nCMD curl -O https://example.org/x && ./x", "shell"),
    ("entrypoint", "dockerfile", 'FROM a:1\nENTRYPOINT ["sh", "-c", "pip install x && exec app"]', "shell"),
    ("health", "dockerfile", "FROM a:1\nHEALTHCHECK CMD wget -q https://status.example.org", "shell"),
    ("service", "compose", 'services:\n  a:\n    command: ["sh", "-c", "apt-get install -y jq; app"]', "shell"),
    ("os-system", "python", 'import os\nos.system("wget https://example.org/w")', "shell"),
    (
        "subprocess",
        "python",
        'import subprocess, sys\nsubprocess.run([sys.executable, "-m", "pip", "install", "x"])',
        "shell",
    ),
    # env-online
    ("online", "python", 'import os\nos.environ["HF_HUB_OFFLINE"] = "0"', "env-online"),
    ("removed", "python", 'import os\nos.environ.pop("TRANSFORMERS_OFFLINE", None)', "env-online"),
    ("late", "python", 'import os\nimport transformers\nos.environ["HF_HUB_OFFLINE"] = "1"', "env-online"),
    ("endpoint", "python", 'import os\nos.environ.setdefault("HF_ENDPOINT", mirror)', "env-online"),
    ("image", "dockerfile", "FROM a:1\nENV HF_HUB_OFFLINE=0", "env-online"),
    ("exported", "shell", "export HF_HUB_OFFLINE=false\nexec app", "env-online"),
    ("unset", "shell", "unset HF_HUB_OFFLINE", "env-online"),
    ("of-a-service", "compose", "services:\n  a:\n    environment: [HF_HUB_OFFLINE=no]", "env-online"),
    # writes
    (
        "code",
        "python",
        IMPORT + 'm = AutoModel.from_pretrained("/m", local_files_only=True, trust_remote_code=True)',
        "writes",
    ),
    ("over-models", "compose", 'services:\n  a:\n    volumes: ["reranker:/app/reranker_models"]', "writes"),
    ("volume", "dockerfile", "FROM a:1\nVOLUME /app/models", "writes"),
    # unsafe
    ("pickle", "python", 'import torch\nw = torch.load("/m/pytorch_model.bin")', "unsafe"),
    (
        "no-safetensors",
        "python",
        IMPORT + 'm = AutoModel.from_pretrained("/m", local_files_only=True, use_safetensors=False)',
        "unsafe",
    ),
    # two at once
    ("both", "python", IMPORT + 'm = AutoModel.from_pretrained("org/name")', "no-local-only repo-id"),
    ("hub-transfer", "shell", "curl -LO https://huggingface.co/o/n/resolve/main/x.bin", "shell hub-url"),
    ("unparsed", "python", "def f(:\n    pass", "not-read"),
    ("unclosed", "shell", "echo 'what", "not-read"),
    ("no-yaml", "compose", "services:\n  a: [", "not-read"),
    ("no-instruction", "dockerfile", "FROM a\nRNU x", "not-read"),
]

PASSED = [
    ("right", "python", IMPORT + 'm = AutoModel.from_pretrained("/app/models/x", local_files_only=True)'),
    ("constant-flag", "python", ST + 'ONLY = True\nm = SentenceTransformer("/m", local_files_only=ONLY)'),
    (
        "path",
        "python",
        ST + 'from pathlib import Path\nm = SentenceTransformer(str(Path("/m") / "x"), local_files_only=True)',
    ),
    ("variable", "python", ST + 'import os\nm = SentenceTransformer(os.environ["M"], local_files_only=True)'),
    ("variable-get", "python", ST + 'import os\nm = SentenceTransformer(os.getenv("M"), local_files_only=True)'),
    (
        "variable-with-a-path",
        "python",
        ST + 'import os\nm = SentenceTransformer(os.environ.get("M", "/app/models/m"), local_files_only=True)',
    ),
    (
        "made-absolute",
        "python",
        ST
        + 'import os\ndef load(path="models/x"):\n    path = os.path.abspath(path)\n'
        + "    return SentenceTransformer(path, local_files_only=True)",
    ),
    (
        "beside-the-file",
        "python",
        ST
        + "from pathlib import Path\nROOT = Path(__file__).resolve().parent\n"
        + 'm = SentenceTransformer(str(ROOT / "models" / "x"), local_files_only=True)',
    ),
    (
        "name-below-a-root",
        "python",
        ST + 'NAME = "org/x"\nm = SentenceTransformer(f"/app/models/{NAME}", local_files_only=True)',
    ),
    (
        "joined",
        "python",
        ST + 'import os\nm = SentenceTransformer(os.path.join("/app", "models", name), local_files_only=True)',
    ),
    (
        "format-below-a-root",
        "python",
        ST + 'm = SentenceTransformer("{}/models/{}".format(root, "x"), local_files_only=True)',
    ),
    (
        "own-loop",
        "python",
        ST
        + 'for name in sorted(os.listdir("/app/models")):\n'
        + '    SentenceTransformer(f"/app/models/{name}", local_files_only=True)',
    ),
    ("two-paths", "python", ST + 'm = SentenceTransformer("/a" if small else "/b", local_files_only=True)'),
    (
        "replaced",
        "python",
        ST
        + 'name = "org/x"\nprint(name)\nname = "/app/models/x"\nm = SentenceTransformer(name, local_files_only=True)',
    ),
    (
        "raises",
        "python",
        ST
        + 'def load(path="/app/models/x"):\n    if not exists(path):\n        raise FileNotFoundError(path)\n'
        + "    return SentenceTransformer(path, local_files_only=True)",
    ),
    (
        "partial-right",
        "python",
        IMPORT
        + "from functools import partial\nload = partial(AutoModel.from_pretrained, local_files_only=True)\n"
        + 'm = load("/m")',
    ),
    ("parts", "python", ST + "m = SentenceTransformer(modules=[a, b])"),
    (
        "own-class",
        "python",
        "class Embedder:\n    @classmethod\n    def from_pretrained(cls, path):\n        return cls(path)\n"
        + 'e = Embedder.from_pretrained("/m")',
    ),
    (
        "own-name",
        "python",
        'class SentenceTransformer:\n    def __init__(self, x): ...\nm = SentenceTransformer("a/b")',
    ),
    ("config", "python", "from transformers import AutoModel\nm = AutoModel.from_config(config)"),
    (
        "cache-of-the-image",
        "python",
        'from huggingface_hub import snapshot_download\np = snapshot_download("org/x", local_files_only=True)',
    ),
    ("tokenizer-file", "python", 'from tokenizers import Tokenizer\nt = Tokenizer.from_file("/m/tokenizer.json")'),
    ("own-pipeline", "python", 'from sklearn.pipeline import make_pipeline as pipeline\np = pipeline("a")'),
    ("local-pipeline", "python", 'from transformers import pipeline\np = pipeline("fill-mask", model="/app/models/x")'),
    ("object-pipeline", "python", 'from transformers import pipeline\np = pipeline("x", model=model, tokenizer=tok)'),
    ("own-download", "python", "def download(x): ...\ndownload('punkt')"),
    ("torch-hub-local", "python", 'import torch\nm = torch.hub.load("/app/hub/x", "net", source="local")'),
    ("torch-hub-folder", "python", 'import torch\ntorch.hub.set_dir("/app/hub")'),
    ("stanza-local", "python", 'import stanza\nn = stanza.Pipeline("en", dir="/m", download_method=None)'),
    (
        "tiktoken-folder",
        "python",
        'import os\nos.environ["TIKTOKEN_CACHE_DIR"] = "/app/tiktoken"\nimport tiktoken\ne = tiktoken.get_encoding("x")',
    ),
    ("dataset-file", "python", 'from datasets import load_dataset\nd = load_dataset("json", data_files="/d.json")'),
    ("whisper-file", "python", 'import whisper\nm = whisper.load_model("/app/models/base.pt")'),
    ("easyocr-local", "python", 'import easyocr\nr = easyocr.Reader(["ja"], download_enabled=False)'),
    (
        "paddle-local",
        "python",
        'from paddleocr import PaddleOCR\no = PaddleOCR(det_model_dir="/m/det", rec_model_dir="/m/rec")',
    ),
    ("timm-plain", "python", 'import timm\nm = timm.create_model("resnet18", pretrained=False)'),
    ("vision-plain", "python", "from torchvision.models import resnet18\nm = resnet18(weights=None)"),
    (
        "fastembed-local",
        "python",
        'from fastembed import TextEmbedding\ne = TextEmbedding(specific_model_path="/m", local_files_only=True)',
    ),
    ("open-clip-file", "python", 'import open_clip\nm = open_clip.create_model("ViT", pretrained="/m/w.safetensors")'),
    ("docstring", "python", '"""See https://huggingface.co/org/x and run AutoModel.from_pretrained("org/x")."""'),
    ("comment", "python", '# m = AutoModel.from_pretrained("org/x")\n# https://huggingface.co/org/x'),
    ("message", "python", 'raise SystemExit("the model is missing: see https://huggingface.co/org/x for its card")'),
    ("host-of-its-own", "python", 'URL = "https://models.example.internal/org/x"'),
    ("looks-like-the-host", "python", 'URL = "https://nothuggingface.co/x"\nOTHER = "https://huggingface.company/x"'),
    ("data-path", "python", 'data_path = "data/raw"\nDATA_NAME = "a/b"\nout_dir = DATA_NAME'),
    ("offline", "python", 'import os\nos.environ["HF_HUB_OFFLINE"] = "1"\nimport transformers'),
    ("reads-it", "python", 'import os\nif os.environ.get("HF_HUB_OFFLINE") == "0":\n    raise SystemExit(1)'),
    ("safe-load", "python", 'import torch\nw = torch.load("/m/x.pt", weights_only=True)'),
    ("other-load", "python", 'import json, torch\njson.load(file)\ntorch.save(w, "/tmp/x.pt")'),
    ("own-program", "python", 'import subprocess\nsubprocess.run(["git", "status"], check=True)'),
    ("asks-itself", "python", 'import subprocess\nsubprocess.run("curl -fs http://localhost:8080/health", shell=True)'),
    ("says-curl", "python", 'print("curl https://example.org/x")'),
    ("exec", "shell", "#!/bin/sh\nset -eu\nexec python -m service.server"),
    ("health", "shell", "curl --fail http://127.0.0.1:8080/health"),
    ("neighbour", "shell", "until curl -fs http://db:9091/healthz; do sleep 1; done"),
    ("printed", "shell", 'echo "get it with: curl https://huggingface.co/x"'),
    ("commented", "shell", "# curl https://huggingface.co/x\napp  # pip install x"),
    ("case", "shell", 'case "$1" in\n  curl|wget) exec app ;;\n  pip) app pip ;;\nesac'),
    ("function", "shell", "curl() { echo no; }\nwget() { false; }"),
    ("test", "shell", "if [[ $tool =~ (curl|wget) ]]; then app; fi\ncommand -v app"),
    ("written", "shell", "cat > /tmp/readme <<'EOF'\ncurl https://huggingface.co/x\nEOF"),
    ("wheels", "shell", "pip install --no-index --find-links /wheels x"),
    ("looks", "shell", "pip list && apt-get clean && git status && hf version"),
    ("offline-export", "shell", "export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1"),
    ("array", "shell", 'tools=(curl wget)\nfor t in curl wget; do which "$t"; done'),
    (
        "build-step",
        "dockerfile",
        "FROM a:1\nRUN apt-get update && pip install x && curl -O https://example.org/x\nCMD app",
    ),
    ("health-inside", "dockerfile", "FROM a:1\nHEALTHCHECK CMD curl -f http://localhost:8080/ || exit 1\nCMD app"),
    ("label", "dockerfile", "FROM a:1\nLABEL source=https://huggingface.co/org/x"),
    ("other-stage", "dockerfile", "FROM a:1 AS tools\nENV HF_HUB_OFFLINE=0\nCMD curl https://x.org\nFROM b:1\nCMD app"),
    ("argument", "dockerfile", "FROM a:1\nARG HF_ENDPOINT\n# https://huggingface.co\nENV HF_HUB_OFFLINE=1"),
    ("volume", "dockerfile", "FROM a:1\nVOLUME /var/lib/data /tmp"),
    (
        "service",
        "compose",
        "services:\n  a:\n    image: a:1\n    command: [python, -m, service]\n    volumes: [d:/data]",
    ),
    ("served-by-path", "compose", "services:\n  a:\n    command: --model /app/models/x --served-model-name org/x"),
    ("health", "compose", "services:\n  a:\n    healthcheck: {test: [CMD, curl, 'http://localhost/']}"),
    ("label", "compose", "services:\n  a:\n    labels: {source: 'https://huggingface.co/org/x'}"),
    (
        "text",
        "yaml",
        "about: see https://huggingface.co/org/x for more\n# https://huggingface.co/x\nurl: https://x.org",
    ),
    ("pattern", "yaml", 'forbid: ["Traceback", "huggingface\\\\.co"]'),
]


def broken(language: str, code: str) -> list[str]:
    kind, name = NAMES[language]
    return [finding.rule for finding in lint_sources([Source(name, kind, code.encode())]).findings]


@pytest.mark.parametrize(
    ("language", "code", "rules"),
    [pytest.param(*rest, id=f"{rest[-1].partition(' ')[0]}-{name}-{rest[0]}") for name, *rest in CAUGHT],
)
def test_is_caught(language: str, code: str, rules: str) -> None:
    assert sorted(set(broken(language, code))) == sorted(rules.split())


@pytest.mark.parametrize(("language", "code"), [pytest.param(*rest, id=f"{name}-{rest[0]}") for name, *rest in PASSED])
def test_only_looks_like_it(language: str, code: str) -> None:
    assert broken(language, code) == []


def test_every_rule_has_snippets_of_both_kinds() -> None:
    assert {rule for *_, rules in CAUGHT for rule in rules.split()} == set(RULES) - {"waiver"}
    assert min(len(CAUGHT), len(PASSED)) >= 40
