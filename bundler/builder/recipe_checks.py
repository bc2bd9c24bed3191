"""What a recipe says of checks: four kinds, told apart by the key that only one of them has.

``serve:``, ``load_budget:`` or ``golden:`` make it one of these kinds; without them it is a ``run`` check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Union

from pydantic import Discriminator, Field, model_validator
from pydantic import Tag as UnionTag

from bundler.builder.recipe_types import (
    Command,
    HeaderName,
    HeaderValue,
    HttpPath,
    Part,
    Patterns,
    PeerName,
    RecipePath,
    Seconds,
    Slug,
    Tag,
    UserName,
    VariableName,
    fault,
)
from bundler.core.checks import Question

DEFAULT_WITHIN_S = 60.0
DEFAULT_BUDGET_S = 10.0
DEFAULT_TOLERANCE = 1e-3


class _AnyCheck(Part):
    """What all kinds have."""

    name: Slug
    image: Tag | None = Field(default=None, description="Tag of an app or the base; the first app, if nothing is said.")
    user: UserName | None = Field(
        default=None, description="USER[:GROUP]; the image's user, if nothing is said, but never root."
    )
    env: dict[VariableName, str] = Field(default_factory=dict)
    allow: tuple[PeerName, ...] = Field(default=(), description="HOST[:PORT] of peers beside it that it may call.")
    needs_gpu: bool = Field(default=False, alias="gpu", description="It needs a GPU; without one nothing is proved.")


class RunCheckSpec(_AnyCheck):
    """A command that must succeed in a container without a network."""

    run: Command = Field(description="A shell line, or a list of a program and its arguments.")
    within_s: Seconds = Field(default=DEFAULT_WITHIN_S, alias="within", description="Longest time, such as 10s.")
    expect: Patterns = Field(default=(), description="Regular expressions that the output must hold.")
    forbid: Patterns = Field(default=(), description="Regular expressions that the output must not hold.")


class AskSpec(Part):
    """An HTTP request with more to it than a path."""

    path: HttpPath = Field(description="Path and query, such as /v1/embeddings.")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] | None = Field(
        default=None, description="GET, or POST where there is a body, if nothing is said."
    )
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: str | None = Field(default=None, description='What is sent, such as \'{"input": "hello"}\'.')


def _kind_of_question(value: object) -> str:
    return "<request>" if isinstance(value, (Mapping, AskSpec)) else "<path>"


Asked = Annotated[
    Union[Annotated[HttpPath, UnionTag("<path>")], Annotated[AskSpec, UnionTag("<request>")]],
    Discriminator(_kind_of_question),
]


class ServeCheckSpec(_AnyCheck):
    """A service that is started as in production, asked, and listened to."""

    port: int = Field(alias="serve", ge=1, le=65535, description="Port that the service listens on.")
    run: Command | None = Field(default=None, description="Command in place of the image's own.")
    ask: Asked | None = Field(default=None, description="HTTP path to ask, or a request.")
    status: int = Field(default=200, ge=100, le=599, description="HTTP status of the right answer.")
    within_s: Seconds = Field(default=DEFAULT_WITHIN_S, alias="within", description="Until the right answer.")
    expect: Patterns = Field(default=(), description="Regular expressions that the answer must hold.")
    forbid: Patterns = Field(default=(), description="Regular expressions that the answer must not hold.")
    watch_s: Seconds | None = Field(default=None, alias="watch", description="Listen so much longer, such as 30s.")

    @model_validator(mode="after")
    def _patterns_are_for_answers(self) -> ServeCheckSpec:
        if self.ask is None and (self.expect or self.forbid):
            raise fault("patterns are for an answer, and nothing is asked", "add `ask: /PATH`")
        return self

    @model_validator(mode="after")
    def _can_be_sent(self) -> ServeCheckSpec:
        if self.question is not None and self.question.fault:
            raise fault(f"the request cannot be sent: {self.question.fault}", "write a shorter one, of text alone")
        return self

    @property
    def question(self) -> Question | None:
        """What is asked; None where the port is enough."""
        if self.ask is None:
            return None
        if isinstance(self.ask, str):
            return Question("GET", self.ask, {}, None)
        method = self.ask.method or ("GET" if self.ask.body is None else "POST")
        return Question(method, self.ask.path, dict(self.ask.headers), self.ask.body)


class LoadBudgetSpec(_AnyCheck):
    """A command that loads the model and ends, each time within its budget."""

    budget_s: Seconds | None = Field(alias="load_budget", description="Longest load, such as 10s; 10s where empty.")
    run: Command = Field(description="A command that loads the model and ends.")


class GoldenSpec(_AnyCheck):
    """Outputs that an independent reference recorded."""

    golden: RecipePath = Field(description="JSON file with inputs and outputs, relative to the recipe.")
    run: Command = Field(description="A command that takes batches of inputs and prints their outputs.")
    tolerance: float = Field(default=DEFAULT_TOLERANCE, ge=0, allow_inf_nan=False, description="For each number.")
    within_s: Seconds = Field(default=DEFAULT_WITHIN_S, alias="within", description="Longest time, such as 10s.")


_KEYS = {"serve": "<serve>", "load_budget": "<load_budget>", "golden": "<golden>"}
_TAGS = {ServeCheckSpec: "<serve>", LoadBudgetSpec: "<load_budget>", GoldenSpec: "<golden>"}


def _kind_of_check(value: object) -> str:
    if isinstance(value, Mapping):
        return next((tag for key, tag in _KEYS.items() if key in value), "<run>")
    return _TAGS.get(type(value), "<run>")  # type: ignore[call-overload,no-any-return]  # any type may be asked for


CheckSpec = Annotated[
    Union[
        Annotated[RunCheckSpec, UnionTag("<run>")],
        Annotated[ServeCheckSpec, UnionTag("<serve>")],
        Annotated[LoadBudgetSpec, UnionTag("<load_budget>")],
        Annotated[GoldenSpec, UnionTag("<golden>")],
    ],
    Discriminator(_kind_of_check),
]
