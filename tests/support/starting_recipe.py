"""A recipe to start from that has what the shipped ones may have: several models, sources, licences, recorded outputs."""

from __future__ import annotations

import json
from pathlib import Path

NAME = "deep-ocr"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

_RECIPE = f"""\
# yaml-language-server: $schema=../../docs/recipe.schema.json
format: 1
name: deep-ocr
version: 1.0.0
platform: linux/amd64
accept_licences:
  - cc-by-nc-4.0

models:
  # The largest first.
  - name: embedder
    repo: acme/embed-1b
    revision: {COMMIT}
    path: /app/models/embedder
    min_size: 4GB
    sources:
      - hub
      - git: https://git.example/acme/embed-1b.git
    allow: [pickled-weights]        # of the first release
  - {{ name: ranker, repo: acme/rank-1b, path: /app/models/ranker }}

base: {{ dockerfile: Dockerfile.base, tag: "deep-ocr:base" }}
apps:
  - {{ dockerfile: Dockerfile, tag: "deep-ocr:1.0.0" }}
images:
  - {{ image: "postgres:17", from: registry }}

checks:
  - name: same
    golden: golden/embedder.json
    run: [python, -m, embed]

  # Of two texts.
  - {{ name: ranks, golden: golden/ranker.json, run: [python, -m, rank] }}
  - {{ name: there, run: "test -s /app/models/ranker/config.json" }}
"""
_BESIDE = """\
# yaml-language-server: $schema=../../../docs/recipe.schema.json
format: 1
name: deep-ocr-llm
version: 1.0.0
platform: linux/amd64
models:
  - { name: llm, repo: acme/llm-1b, path: /models/llm }
base: { image: "acme/server:1", tag: "deep-ocr-llm:1.0.0" }
"""
_README = """\
# deep-ocr, with embed-1b of acme

Build it with `bundler build recipes/deep-ocr`; `deep-ocrs`, `deep_ocr` and `not-deep-ocr` are others, as are
`recipes/deep-ocr-2` and acme/rank-1b. See [checks](../../docs/checks.md#golden), [policy](docs/POLICY.md), [there](#there)
and [the page](https://huggingface.co/acme/embed-1b).
"""
_BASE = """\
# check=skip=all
# The system.
ARG FLAVOUR=slim
FROM debian:${FLAVOUR}
RUN true
FROM debian:${FLAVOUR}
COPY --from=busybox:1.36 /bin/busybox /bin/busybox
"""
_DEV = "#!/bin/sh\ndocker logs deep-ocr-app-dev  # of deep-ocr:1.0.0, acme/embed-1b\nls /app/models/embedder\n"


def golden(model: str) -> str:
    """Recorded outputs of a model; the inputs hold words that elsewhere are names."""
    recorded = {"model": model, "commit": COMMIT, "files": {}, "reference": "by hand"}
    return json.dumps({**recorded, "inputs": ["deep-ocr", "acme/embed-1b and more"], "outputs": [[1.0], [0.5]]})


def write_starting_recipe(place: Path) -> Path:
    """The recipe in ``place``, in a directory called like it, which is given back."""
    files = {
        "recipe.yaml": _RECIPE,
        "llm/recipe.yaml": _BESIDE,
        "README.md": _README,
        "docs/POLICY.md": "Of [deep-ocr](../README.md).\n",
        "Dockerfile.base": _BASE,
        "Dockerfile": "FROM deep-ocr:base\nUSER deep-ocr\n",
        "deep-ocr.conf": "name = deep-ocr\n",
        "golden/embedder.json": golden("embedder"),
        "golden/ranker.json": golden("ranker"),
        "dev.sh": _DEV,
    }
    for name, text in files.items():
        (place / NAME / name).parent.mkdir(parents=True, exist_ok=True)
        (place / NAME / name).write_text(text)
    (place / NAME / "page.png").write_bytes(b"\x89PNG\0deep-ocr\xff")
    (place / NAME / "dev.sh").chmod(0o755)
    return place / NAME
