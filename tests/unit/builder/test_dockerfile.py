"""Dockerfiles as people write them, and what they need from a builder."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bundler.builder.dockerfile import Dockerfile, Feature, OutsideImage, parse_dockerfile, substitute
from bundler.builder.dockerfile_lines import DockerfileFault


def parse(text: str, args: Mapping[str, str] | None = None) -> Dockerfile:
    return parse_dockerfile(text, "Dockerfile", args or {}, "linux/amd64")


def fault(text: str) -> tuple[str, str]:
    with pytest.raises(DockerfileFault) as caught:
        parse(text)
    return caught.value.problem.where, caught.value.problem.what


def test_continuation_comments_and_empty_lines_keep_line_numbers() -> None:
    read = parse("# hello\n\nFROM a\nRUN one \\\n  # why\n\n  two \\\n  three\nUSER x\n")
    assert [(each.keyword, each.line, each.end_line) for each in read.instructions] == [
        ("FROM", 3, 3),
        ("RUN", 4, 8),
        ("USER", 9, 9),
    ]
    assert read.instructions[1].arguments.split() == ["one", "two", "three"]


def test_two_backslashes_at_the_end_do_not_continue() -> None:
    assert [each.keyword for each in parse("FROM a\nRUN echo \\\\\nUSER x").instructions] == ["FROM", "RUN", "USER"]


def test_a_lone_continuation_at_the_end_is_nothing() -> None:
    assert [each.keyword for each in parse("FROM a\n\\\n").instructions] == ["FROM"]


def test_escape_directive_changes_the_continuation() -> None:
    read = parse("# escape=`\nFROM a\nRUN dir c:\\\nRUN one `\n two\n")
    assert [each.line for each in read.instructions] == [2, 3, 4]
    assert read.instructions[2].arguments.split() == ["one", "two"]


def test_syntax_is_a_directive_only_in_the_first_lines() -> None:
    assert parse("# syntax=docker/dockerfile:1\nFROM a").features == (Feature("syntax", 1, "docker/dockerfile:1"),)
    assert parse("# a comment\n# syntax=docker/dockerfile:1\nFROM a").features == ()
    assert parse("FROM a\n# syntax=docker/dockerfile:1\n").features == ()


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    read = parse("\ufeffFROM a AS one\r\nRUN x \\\r\n y\r\nFROM one\r\n")
    assert [(stage.parent, stage.line) for stage in read.stages] == [("a", 1), ("one", 4)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$TAG", "1.0"),
        ("x:${TAG}-slim", "x:1.0-slim"),
        ("${NONE:-d}", "d"),
        ("${TAG:-d}", "1.0"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${TAG:+yes}", "yes"),
        ("${NONE:+yes}", ""),
        ("${NONE:-$TAG}", "1.0"),
        (r"\$TAG", "$TAG"),
        ("$NONE", ""),
        ("${NONE:-${TAG:-x}}", "1.0"),
    ],
)
def test_substitution(written: str, meant: str) -> None:
    assert substitute(written, {"TAG": "1.0", "EMPTY": ""}) == meant


def test_arguments_before_from_take_defaults_then_build_arguments() -> None:
    text = 'ARG REGISTRY=docker.io BASE="quick:base"\nFROM ${REGISTRY}/x:${V:-7} AS os\nFROM $BASE\n'
    assert [stage.parent for stage in parse(text).stages] == ["docker.io/x:7", "quick:base"]
    # V is not declared by an ARG: builders ignore its value.
    changed = parse(text, {"BASE": "other:1", "V": "8"})
    assert [stage.parent for stage in changed.stages] == ["docker.io/x:7", "other:1"]


def test_platform_arguments_are_known_without_a_declaration() -> None:
    read = parse("FROM --platform=$BUILDPLATFORM tools-$TARGETARCH")
    assert (read.stages[0].platform, read.stages[0].parent) == ("linux/amd64", "tools-amd64")


def test_stages_name_each_other_and_the_origin_is_found() -> None:
    read = parse("FROM quick:base AS Build\nRUN make\nFROM busybox AS tools\nFROM build AS final\n")
    final = read.stage(None)
    assert final is not None and final.parent_stage == 0
    assert read.origin(final).parent == "quick:base"
    assert read.stage("TOOLS") == read.stages[1] and read.stage("2") == final and read.stage("nosuch") is None


def test_outside_images_come_from_from_copy_and_mounts() -> None:
    read = parse(
        "FROM scratch AS empty\nFROM os:1 AS build\n"
        "COPY --from=build /a /a\nCOPY --chown=1:1 --from=ghcr.io/uv:2 /uv /uv\nCOPY --from=0 /b /b\n"
        "RUN --mount=type=bind,from=wheels:3,target=/w --mount=type=cache,target=/c pip install x\n"
        "FROM build\n"
    )
    assert read.outside == (
        OutsideImage("os:1", 2, "FROM"),
        OutsideImage("ghcr.io/uv:2", 4, "COPY"),
        OutsideImage("wheels:3", 6, "RUN"),
    )


def test_features_are_named_with_lines() -> None:
    read = parse(
        "FROM a\nRUN --mount=type=secret,id=pip,target=/etc/pip.conf x\nRUN <<EOF\nFROM not-an-instruction\nEOF\n"
        "COPY --link --chmod=755 a b\nRUN --mount=type=ssh git clone x\nRUN --mount=type=secret,target=/run/secrets/k y\n"
    )
    assert read.features == (
        Feature("mount", 2, "secret"),
        Feature("secret", 2, "pip"),
        Feature("heredoc", 3, "EOF"),
        Feature("flag", 6, "COPY --link"),
        Feature("flag", 6, "COPY --chmod"),
        Feature("mount", 7, "ssh"),
        Feature("ssh", 7, "default"),
        Feature("mount", 8, "secret"),
        Feature("secret", 8, "k"),
    )
    assert read.secrets == ("k", "pip") and len(read.stages) == 1


def test_heredocs_with_tabs_quotes_and_two_at_once() -> None:
    read = parse(
        "FROM a\nCOPY <<-'ONE' <<\"TWO\" /dir/\n\tx\n\tONE\ny $Z\nTWO\nRUN cat <<EOF > /x && echo done\nb\nEOF\nUSER u\n"
    )
    assert [(each.keyword, each.line, each.end_line, each.heredocs) for each in read.instructions[1:]] == [
        ("COPY", 2, 6, ("ONE", "TWO")),
        ("RUN", 7, 9, ("EOF",)),
        ("USER", 10, 10, ()),
    ]


@pytest.mark.parametrize("command", ['echo "a <<EOF"', "echo $((1<<2))", "cat <<<word", "echo 'x <<EOF y'"])
def test_what_only_looks_like_a_heredoc(command: str) -> None:
    read = parse(f"FROM a\nRUN {command}\nUSER u\n")
    assert [each.keyword for each in read.instructions] == ["FROM", "RUN", "USER"]
    assert read.features == ()


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "Dockerfile", "no FROM"),
        ("# only a comment\n", "Dockerfile", "no FROM"),
        ("RUN x\nFROM a\n", "Dockerfile:1", "before FROM"),
        ("FROM a\nRNU x\n", "Dockerfile:2", "unknown instruction 'RNU'"),
        ("FROM a b\n", "Dockerfile:1", "not a FROM"),
        ("FROM\n", "Dockerfile:1", "not a FROM"),
        ("ARG X\nFROM $X\n", "Dockerfile:2", "names nothing"),
        ("FROM a\n\nRUN <<EOF\nx\n", "Dockerfile:3", "has no end"),
        ("# escape=x\nFROM a\n", "Dockerfile:1", "not possible"),
        ("# syntax=a\n# syntax=b\nFROM a\n", "Dockerfile:2", "twice"),
        ("FROM a\nCOPY --from=$X a b\n", "Dockerfile:2", "no variable"),
        ("FROM a\n{}\n", "Dockerfile:2", "unknown instruction"),
    ],
)
def test_faults_name_their_line(text: str, where: str, what: str) -> None:
    found_where, found_what = fault(text)
    assert found_where == where
    assert what in found_what
