"""The options of ``bundler build`` and the table at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bundler.cli import build as command
from bundler.cli.build_arguments import pairs
from bundler.cli.main import cli
from bundler.core.errors import UsageError


def test_a_pair_keeps_what_stands_behind_its_first_equals_sign() -> None:
    assert pairs(["A=b=c"]) == {"A": "b=c"}
    assert pairs(["A="]) == {"A": ""}


@pytest.mark.parametrize("text", ["A", "=b", ""])
def test_what_is_no_pair(text: str) -> None:
    with pytest.raises(UsageError, match="is not NAME=VALUE") as caught:
        pairs([text])
    assert caught.value.exit_code == 2


def test_secrets_come_from_a_file_or_a_variable() -> None:
    secret = command._secret("id=pip,src=/run/token")
    assert (secret.id, secret.path, secret.variable) == ("pip", Path("/run/token"), None)
    secret = command._secret("id=pip,env=TOKEN")
    assert (secret.id, secret.path, secret.variable) == ("pip", None, "TOKEN")


@pytest.mark.parametrize(
    "text",
    ["hunter2", "id=pip", "src=/x", "id=pip,src=/x,env=Y", "id=pip,value=hunter2", "id=pip,hunter2", "id=pip,=hunter2"],
)
def test_a_secret_that_is_none_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="a secret needs an id, and one source") as caught:
        command._secret(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [("--level", "0"), ("--level", "20"), ("--rehearse", "twice"), ("--builder", "kaniko"), ("--lock-timeout", "-1")],
)
def test_values_outside_of_their_ranges_are_usage_errors(options: tuple[str, ...], tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, ["build", str(tmp_path), *options]).exit_code == 2


def test_the_help_names_every_option_with_a_sentence() -> None:
    shown = CliRunner().invoke(cli, ["build", "--help"])
    assert shown.exit_code == 0
    for parameter in command.build.params:
        for option in (name for name in parameter.opts if name.startswith("--") and name != "--debug"):
            assert option in shown.output
            assert getattr(parameter, "help", None), option
