"""Files and directories: what is read, what files say of each other, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.init import init_recipe
from bundler.builder.source_policy.lint import lint_paths
from bundler.builder.source_policy.sources import MOST_BYTES, kind_of
from bundler.core.errors import PreconditionError
from tests.support.unlisted import refuse_to_list

ROOT = Path(__file__).resolve().parents[4]
LOAD = "from sentence_transformers import SentenceTransformer\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def found(root: Path) -> list[tuple[str, int, str]]:
    return [
        (Path(each.file).relative_to(root).as_posix(), each.line, each.rule) for each in lint_paths([root]).findings
    ]


def test_the_original_fallback_is_caught(tmp_path: Path) -> None:
    """As the reference deployment had it before its rule: the name takes the place of a directory that is missing."""
    write(
        tmp_path,
        {
            "backend/services/embedding/sarashina.py": LOAD
            + "import os\n\n\n"
            + "class SarashinaEmbedding:\n"
            + '    MODEL_NAME = "sbintuitions/sarashina-embedding-v1-1b"\n'
            + '    LOCAL_PATH = "/app/models/sarashina"\n\n'
            + "    async def initialize(self):\n"
            + "        if os.path.exists(self.LOCAL_PATH) and os.listdir(self.LOCAL_PATH):\n"
            + "            model_path = self.LOCAL_PATH\n"
            + "        else:\n"
            + "            model_path = self.MODEL_NAME\n"
            + "        self.model = SentenceTransformer(model_path, cache_folder=self.cache_dir)\n"
        },
    )
    name = "backend/services/embedding/sarashina.py"
    assert found(tmp_path) == [(name, 13, "fallback"), (name, 14, "no-local-only")]


@pytest.mark.parametrize("place", ["recipes", "docs"])
def test_what_this_project_shows_keeps_its_own_rules(place: str) -> None:
    assert lint_paths([ROOT / place]).findings == ()


def test_what_init_writes_keeps_the_rules(tmp_path: Path) -> None:
    init_recipe(tmp_path / "new", "new")
    report = lint_paths([tmp_path])
    assert report.findings == () and report.files == 5


def test_what_others_brought_is_not_read(tmp_path: Path) -> None:
    bad = {
        f"{name}/x.py": "import nltk\nnltk.download('x')" for name in (".git", ".venv", "node_modules", "__pycache__")
    }
    bad["lib/python3/site-packages/x.py"] = "import nltk\nnltk.download('x')"
    bad["env/pyvenv.cfg"] = ""
    bad["env/bin/x.py"] = "import nltk\nnltk.download('x')"
    write(tmp_path, {**bad, "a.py": "x = 1"})
    report = lint_paths([tmp_path])
    assert (report.files, report.findings) == (1, ())


def test_a_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "import nltk\nnltk.download('x')"})
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "broken.py").symlink_to("nowhere.py")
    assert len(lint_paths([tmp_path, tmp_path / "a.py"]).findings) == 1


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.py", b"", "python"),
        ("tool", b"#!/usr/bin/env python3\n", "python"),
        ("tool", b"#!/usr/bin/env -S python3 -I\n", "python"),
        ("run", b"#!/bin/sh\n", "shell"),
        ("run", b"#!/usr/bin/env bash\n", "shell"),
        ("a.sh", b"", "shell"),
        ("Dockerfile", b"", "dockerfile"),
        ("Dockerfile.base", b"", "dockerfile"),
        ("gpu.Dockerfile", b"", "dockerfile"),
        ("Containerfile", b"", "dockerfile"),
        ("Dockerfile.dockerignore", b"", None),
        ("compose.yml", b"", "yaml"),
        ("run", b"#!/usr/bin/perl\n", None),
        ("README.md", b"", None),
        ("model.safetensors", b"\x10\0\0\0", None),
    ],
)
def test_files_are_known_by_name_and_first_line(name: str, head: bytes, kind: str | None) -> None:
    assert kind_of(f"some/where/{name}", head) == kind


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.py", b"x = 1\ndef f(:\n", 2),
        ("latin.py", b"x = 1\ny = '\xe4'\n", 2),
        ("zero.py", b"x = 1\0", 1),
        ("a.sh", b'echo\necho "one\n', 2),
        ("here.sh", b"cat <<END\nx\n", 1),
        ("deep.sh", b"$(" * 3000, 1),
        ("Dockerfile", b"FROM a\n\nRNU b\n", 3),
        ("compose.yaml", b"services:\n  a: 1\n  a: 2\n", 3),
        ("deep.py", b"x = " + b"(" * 5000 + b")" * 5000, 1),
        ("large.py", b"#" * (MOST_BYTES + 1), 1),
    ],
)
def test_what_cannot_be_read_is_a_finding_with_its_line(name: str, content: bytes, line: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (finding,) = lint_paths([tmp_path]).findings
    assert (finding.rule, finding.line) == ("not-read", line)
    assert "not proved" in finding.why


def test_a_constant_is_followed_into_another_module(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app/__init__.py": "",
            "app/config.py": 'NAME = "org/x"\nclass Settings:\n    model = "org/y"\nsettings = Settings()\n'
            + 'def place():\n    return "org/z"\n',
            "app/load.py": LOAD
            + "from app.config import NAME\nfrom .config import place, settings\nfrom . import config\n"
            + "for each in (NAME, settings.model, config.NAME, place()):\n    pass\n"
            + "a = SentenceTransformer(NAME, local_files_only=True)\n"
            + "b = SentenceTransformer(settings.model, local_files_only=True)\n"
            + "c = SentenceTransformer(config.NAME, local_files_only=True)\n"
            + "d = SentenceTransformer(place(), local_files_only=True)\n",
        },
    )
    assert found(tmp_path) == [("app/load.py", line, "repo-id") for line in (7, 8, 9, 10)]


def test_an_image_sets_what_its_code_needs(tmp_path: Path) -> None:
    code = LOAD + 'm = SentenceTransformer("/m", local_files_only=True, trust_remote_code=True)\n'
    write(tmp_path, {"a.py": code, "Dockerfile": "FROM a\nCMD app\n"})
    assert found(tmp_path) == [("a.py", 2, "writes")]
    write(tmp_path, {"Dockerfile": "FROM a\nENV HF_MODULES_CACHE=/app/modules\nCMD app\n"})
    assert found(tmp_path) == []


def test_scripts_are_judged_where_something_starts_them(tmp_path: Path) -> None:
    fetch = "#!/bin/sh\npip install x\n"
    write(tmp_path, {"start": "#!/bin/sh\n. /app/common.sh\n", "common.sh": fetch, "make-release.sh": fetch})
    assert [name for name, *_ in found(tmp_path)] == ["common.sh", "make-release.sh"]
    write(tmp_path, {"Dockerfile": 'FROM a\nENTRYPOINT ["/app/start"]\n'})
    assert found(tmp_path) == [("common.sh", 2, "shell")]
    assert len(lint_paths([tmp_path, tmp_path / "make-release.sh"]).findings) == 1
    assert len(lint_paths([tmp_path / "make-release.sh"]).findings) == 1


def test_a_recipe_says_where_models_are(tmp_path: Path) -> None:
    compose = "services:\n  a:\n    volumes:\n      - data:/srv\n      - {type: volume, target: /app/models/cache}\n"
    write(tmp_path, {"compose.yaml": compose})
    assert found(tmp_path) == [("compose.yaml", 5, "writes")]
    write(tmp_path, {"recipe.yaml": "models:\n  - {name: a, path: /srv/nets/a}\nenvironment: {HF_HUB_OFFLINE: 'no'}\n"})
    assert found(tmp_path) == [("compose.yaml", 4, "writes"), ("recipe.yaml", 3, "env-online")]


def test_custom_code_of_a_model_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"modeling_x.py": "tok = AutoTokenizer.from_pretrained(config._name_or_path)\n"})
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    assert found(tmp_path) == [("modeling_x.py", 1, "no-local-only")]


def test_names_that_lead_to_each_other_end(tmp_path: Path) -> None:
    names = "".join(f"    a{number} = a{(number + 1) % 9} or b{number}\n" for number in range(9))
    loop = f"{LOAD}def f():\n  while True:\n{names}    SentenceTransformer(a0, local_files_only=True)\n"
    write(tmp_path, {"a.py": loop, "b.py": "import a\nx = a.y\ny = x\n", "c.py": "from c import x\nx = x\n"})
    assert found(tmp_path) == []


def test_a_directory_that_cannot_be_listed_is_no_clean_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"app/service.py": "import os\n", "open.py": "import os\n"})
    refuse_to_list("app", monkeypatch)
    with pytest.raises(PreconditionError, match="cannot be listed") as refused:
        lint_paths([tmp_path])
    assert refused.value.where == str(tmp_path / "app")
