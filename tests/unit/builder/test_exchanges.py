"""Words that become others when a recipe is begun: whole ones only."""

from __future__ import annotations

import pytest

from bundler.builder.exchanges import ModelExchange, text_in, with_name, with_repos, without_links_outside
from bundler.builder.new_recipe import NewFile


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("FROM deep-ocr:base", "FROM mine:base"),
        ("image: registry.example/deep-ocr:1.0.0", "image: registry.example/mine:1.0.0"),
        ("deep-ocr-app-dev, deep-ocr's, (deep-ocr). deep-ocr", "mine-app-dev, mine's, (mine). mine"),
        ("cd recipes/deep-ocr/golden", "cd ./golden"),
        ("recipes/deep-ocr-lite", None),
        ("bundler init --from deep-ocr next", None),
        ("deep-ocrs deep_ocr my-deep-ocr x.deep-ocr deep-ocr2 Deep-OCR", None),
    ],
)
def test_the_name_is_exchanged_where_it_is_the_name(text: str, becomes: str | None) -> None:
    assert with_name(text, "deep-ocr", "mine") == (becomes or text)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('REPO = "acme/e5"', 'REPO = "me/b1"'),
        ("https://huggingface.co/acme/e5/resolve", "https://huggingface.co/me/b1/resolve"),
        ("acme/e5-large, other-acme/e5, acme/e55", None),
    ],
)
def test_repos_are_exchanged_as_a_whole(text: str, becomes: str | None) -> None:
    assert with_repos(text, [ModelExchange("m", "acme/e5", "me/b1")]) == (becomes or text)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[x](../../docs/checks.md#golden)", "x (docs/checks.md#golden of bundler)"),
        ("[other](../quickstart/README.md)", "other (recipes/quickstart/README.md of bundler)"),
        ("[a](POLICY.md) [b](#there) [c](https://example.org/x) [d](./service/a.py) ![e](shots/1.png)", None),
    ],
)
def test_links_that_lead_out_say_where(text: str, becomes: str | None) -> None:
    assert without_links_outside(text, "README.md", "recipes/mine") == (becomes or text)


def test_a_link_out_of_a_folder_may_stay_in_the_recipe() -> None:
    assert without_links_outside("[a](../README.md)", "docs/a.md", "recipes/mine") == "[a](../README.md)"


@pytest.mark.parametrize(("content", "text"), [(b"a\n", "a\n"), (b"", ""), (b"a\0b", None), (b"\xff\xfe", None)])
def test_what_text_is(content: bytes, text: str | None) -> None:
    assert text_in(NewFile(content)) == text
