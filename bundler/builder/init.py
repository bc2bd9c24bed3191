"""``bundler init``: a small working recipe, with comments, to begin from."""

from __future__ import annotations

from pathlib import Path

from bundler.builder.new_recipe import NewFile, require_name, write_new
from bundler.builder.schema import schema_text

_RECIPE = """\
# yaml-language-server: $schema=./recipe.schema.json
# What bundler builds here: models, a base image with them, an application on top, in one checked bundle.
# Every key is explained in docs/recipe.md of bundler.
format: 1
name: {name}
version: "1.0.0"
platform: linux/amd64

# The largest and most stable model first: its layer stands lowest and never moves again.
models:
  - name: minilm
    repo: sentence-transformers/all-MiniLM-L6-v2
    revision: main                        # recipe.lock pins the commit that this means today
    path: /app/models/minilm              # absolute; the files stand exactly here
    include: ["*.json", "*.txt", "model.safetensors", "1_Pooling/*"]

# Operating system and runtime. Its Dockerfile never sees the models: bundler puts them in.
base: {{ dockerfile: Dockerfile.base, tag: "{name}:base" }}

# Commands over base and models, without a network, whose outputs become a layer. None is needed here.
prepare: []

# Each one FROM the base tag.
apps:
  - {{ dockerfile: Dockerfile, tag: "{name}:1.0.0" }}

# Images of others that run beside it, such as {{ image: "postgres:17", from: registry }}.
images: []

# Files that travel as they are: compose files, configuration.
files: [compose.yaml]

# What must hold in a container without a network, after the build and again after the install.
checks:
  - name: weights
    run: test -s /app/models/minilm/model.safetensors
    within: 30s
  - name: answers
    run: [python, /app/selfcheck.py]
    within: 30s
    expect: "384"
    forbid: ["Traceback", "huggingface\\\\.co"]
# A service is started as in production, asked, and listened to:
#  - name: serves
#    serve: 8080
#    ask: /health
#    within: 60s
#    expect: "ok"
#    watch: 10s
"""

_BASE = """\
FROM python:3.12-slim
# Packages that change seldom go here, for example:
# RUN pip install --no-cache-dir numpy tokenizers safetensors
RUN useradd --create-home --uid 1000 service
WORKDIR /app
"""

_APP = """\
# Must be FROM the base tag of recipe.yaml: that is how the models get in.
FROM {name}:base
COPY selfcheck.py /app/selfcheck.py
USER service
CMD ["python", "/app/selfcheck.py"]
"""

_SELFCHECK = """\
\"\"\"Reads the model from its local path; replace this with your service.\"\"\"

import json
from pathlib import Path

MODEL = Path("/app/models/minilm")

config = json.loads((MODEL / "config.json").read_text())
print("hidden size:", config["hidden_size"])
"""

_COMPOSE = """\
services:
  app:
    image: {name}:1.0.0
    pull_policy: never
    read_only: true
    tmpfs: [/tmp]
"""

_FILES = {
    "recipe.yaml": _RECIPE,
    "Dockerfile.base": _BASE,
    "Dockerfile": _APP,
    "selfcheck.py": _SELFCHECK,
    "compose.yaml": _COMPOSE,
}
SCHEMA_COPY = "recipe.schema.json"


def init_recipe(target: Path, name: str) -> tuple[Path, ...]:
    """Write a small working recipe called ``name`` into ``target`` and return its files.

    Raises UsageError for a name that images cannot have, PreconditionError where a file stands already or ``target``
    cannot be written. Nothing is overwritten.
    """
    require_name(name)
    texts = {file: template.format(name=name) for file, template in _FILES.items()}
    # Editors find the schema beside the recipe, on a host without a network too.
    texts[SCHEMA_COPY] = schema_text()
    return write_new(target, {file: NewFile(text.encode()) for file, text in texts.items()})
