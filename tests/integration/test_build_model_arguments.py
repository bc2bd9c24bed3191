"""``args_from:`` in a real build: the image is made with what the locked model says."""

from __future__ import annotations

from pathlib import Path

from testbed.engines import RunningEngine
from tests.support.build_site import BUSYBOX, REPO, build_site

_BASE = """base:
  dockerfile: Dockerfile.base
  tag: "small:base"
  args_from: { LIBRARY: { model: tiny, file: config.json, key: transformers_version } }
"""


def test_the_value_that_the_model_names_reaches_the_build(docker26: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker26) as site:
        (tmp_path / "repo" / "config.json").write_text('{"hidden_size": 8, "transformers_version": "4.44.2"}\n')
        site.hub.push(REPO, tmp_path / "repo")
        recipe = site.recipe / "recipe.yaml"
        text = recipe.read_text().replace('base: { dockerfile: Dockerfile.base, tag: "small:base" }\n', _BASE)
        text = text.replace("/app/models/tiny/config.json", "/srv/library").replace("hidden_size", r"^4\\.44\\.2$")
        recipe.write_text(text)
        (site.recipe / "Dockerfile.base").write_text(
            f'FROM {BUSYBOX}\nARG LIBRARY\nRUN mkdir -p /srv && echo "$LIBRARY" >/srv/library\n'
        )
        assert site.build().is_dir()  # not without the check, which reads the value in the image
