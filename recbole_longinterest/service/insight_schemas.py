"""Requests and answers about the model: its inputs, explanations of scores, and the interest over time."""

from typing import Literal

from pydantic import BaseModel, Field

from recbole_longinterest.service.schemas import MOST_EVENTS, Body, Explanation, Features, HistoryEvent, Token

MOST_ITEMS = 20  # maximum number of items explained in one request


class RatingScale(BaseModel):
    """Ratings that the model distinguishes, in the scale of the training data."""

    values: list[float] = Field(description="In ascending order; a rating is rounded to the nearest level.")


class ModelInfo(BaseModel):
    """The model and its inputs."""

    model: str = Field(description="Fingerprint of the model.")
    items: int
    ratings: RatingScale | None = Field(description="null if the model does not read ratings.")
    behaviors: list[str] = Field(description="Behaviours of the training data; may be empty.")
    times: bool = Field(description="Whether the model reads the time between events.")
    dates: bool = Field(description="Whether the time of an event may be an ISO date.")
    categories: bool = Field(description="Whether items have categories.")
    texts: bool = Field(description="Whether the model reads texts, so that semantic search is possible.")
    rules: bool = Field(description="Whether the service has rules.")


class StrategyInfo(BaseModel):
    """One strategy."""

    name: str
    available: bool
    problem: str | None = Field(description="Why it cannot be used; null if it can.")


class Strategies(BaseModel):
    """The strategies of the service."""

    strategies: list[StrategyInfo]


class AskWhy(Body):
    """A history, and items whose scores to explain; nothing is stored."""

    events: list[HistoryEvent] = Field(min_length=1, max_length=MOST_EVENTS, description="In any order, with times.")
    items: list[Token] = Field(min_length=1, max_length=MOST_ITEMS)
    method: Literal["removal", "gradients", "attention"] = "removal"
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")


class ItemExplanation(Explanation):
    """Explanation of an item's score, with the item's categories."""

    categories: list[str]


class Explanations(BaseModel):
    """Explanations of item scores for a history."""

    explanations: list[ItemExplanation] = Field(description="In the order of the request.")


class AskInterest(Body):
    """A history for which to compute the interest over time; nothing is stored."""

    events: list[HistoryEvent] = Field(min_length=1, max_length=MOST_EVENTS, description="In any order, with times.")
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")


class ReadEvent(BaseModel):
    """An event that the model has read."""

    item: str
    title: str
    date: str = Field(description="Empty for an event without a date.")


class Series(BaseModel):
    """One interest over time."""

    name: str = Field(description="A category, or the title of an item.")
    values: list[float] = Field(
        description="After each event: how much the category's items score above the average item, or the item's score."
    )


class InterestOverTime(BaseModel):
    """Interest after each event of a history."""

    of: Literal["categories", "items"] = Field(
        description="The leading categories; the top recommended items if the data has no categories."
    )
    events: list[ReadEvent] = Field(description="Oldest first.")
    series: list[Series] = Field(description="Sorted by the final value, highest first.")
