"""Comments on what is to be changed, above the lines that they speak of."""

from __future__ import annotations

from pathlib import Path

from bundler.builder.change_notes import Note, annotated, notes_on_recipe
from bundler.builder.recipe_file import load_recipe
from tests.support.starting_recipe import write_starting_recipe

TEXT = "a:\n  - b: 1\n    c: |\n      two\n\n      lines\nd: 2\n"


def test_a_note_stands_above_its_line_and_as_far_to_the_right() -> None:
    assert annotated(TEXT, [Note(2, "look"), Note(7, "here"), Note(7, "too")]) == (
        "a:\n  # look\n  - b: 1\n    c: |\n      two\n\n      lines\n# here\n# too\nd: 2\n"
    )


def test_a_long_one_is_wrapped_between_words() -> None:
    said = annotated(TEXT, [Note(2, " ".join(["golden/a-file-of-outputs.json"] * 9))]).splitlines()
    assert max(map(len, said)) <= 120
    assert {word for line in said[1:4] for word in line.split()} == {"#", "golden/a-file-of-outputs.json"}


def test_lines_that_are_off_keep_their_form() -> None:
    assert annotated(TEXT, [Note(3, "no more", range(3, 7))]) == (
        "a:\n  - b: 1\n    # no more\n    # c: |\n    #   two\n\n    #   lines\nd: 2\n"
    )


def test_what_was_never_recorded_is_to_be_recorded(tmp_path: Path) -> None:
    recipe = load_recipe(write_starting_recipe(tmp_path))
    notes = list(notes_on_recipe(recipe, (), {"golden/ranker.json": "ranker"}, {}))
    (note,) = (note for note in notes if "golden/embedder.json" in note.text)
    assert note.text.startswith("CHANGE: record golden/embedder.json, by an independent reference")
    assert not note.off
