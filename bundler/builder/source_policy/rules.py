"""The rules as data: their ids, why each is one, and what to write instead. ``docs/lint.md`` explains them at length."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """``id`` is what waivers and reports name; ``why`` and ``instead`` are one line each."""

    id: str
    why: str
    instead: str


NO_LOCAL_ONLY = "no-local-only"
REPO_ID = "repo-id"
FALLBACK = "fallback"
PIPELINE = "pipeline"
FETCHES = "fetches"
HUB_URL = "hub-url"
SHELL = "shell"
ENV_ONLINE = "env-online"
WRITES = "writes"
UNSAFE = "unsafe"
NOT_READ = "not-read"
WAIVER = "waiver"

RULES = {
    rule.id: rule
    for rule in (
        Rule(
            NO_LOCAL_ONLY,
            "the library asks the Hub first, even where the files are here; it swallows the failure and is slow",
            "pass local_files_only=True as it stands, beside an absolute path",
        ),
        Rule(
            REPO_ID,
            "a name of this form means a repo of the Hub, also where a directory is called the same",
            "pass the absolute path at which the recipe puts the model, such as /app/models/minilm",
        ),
        Rule(
            FALLBACK,
            "where the model is missing the service looks for it on the Hub, in place of saying so",
            "raise an error that names the path, and let nothing take its place",
        ),
        Rule(
            PIPELINE,
            "a pipeline without a local model takes the task's default one from the Hub",
            'pass model="/absolute/path", or a model that was loaded from there',
        ),
        Rule(
            FETCHES,
            "the call downloads where it does not find what it wants in a cache",
            "name the model in the recipe, and load it from its absolute path",
        ),
        Rule(
            HUB_URL,
            "the address of a model host has no use on a host without a network",
            "name the model in the recipe, and load it from its absolute path",
        ),
        Rule(
            SHELL,
            "what runs at the start must not reach for the network",
            "do it in a RUN of the Dockerfile, or name the model in the recipe",
        ),
        Rule(
            ENV_ONLINE,
            "libraries go online, or were imported before they were told not to",
            "leave the variables to the image: bundler sets HF_HUB_OFFLINE=1 and its kin",
        ),
        Rule(
            WRITES,
            "a model's place is covered, or its code is copied to where nothing may be written",
            "mount volumes beside the models; set HF_MODULES_CACHE to a directory that `prepare:` has filled",
        ),
        Rule(
            UNSAFE,
            "pickled weights run what is written in them when they are loaded",
            "take the repo's *.safetensors; else torch.load(…, weights_only=True)",
        ),
        Rule(
            NOT_READ,
            "what was not read is not proved",
            "mend the file, or keep it out of what travels",
        ),
        Rule(
            WAIVER,
            "a waiver is a statement that somebody will ask about",
            "write `# bundler: allow RULE reason` on the line or the line above, and remove what waives nothing",
        ),
    )
}
