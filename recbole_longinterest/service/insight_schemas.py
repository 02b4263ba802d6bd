"""Requests and answers about the model: what it reads, why an item has its score, and the interest over time."""

from typing import Literal

from pydantic import BaseModel, Field

from recbole_longinterest.service.schemas import MOST_EVENTS, Body, Explanation, Features, HistoryEvent, Token

MOST_ITEMS = 20  # that are explained in one request


class RatingScale(BaseModel):
    """Ratings that the model tells apart, in the scale of the training's data."""

    values: list[float] = Field(description="In ascending order; a rating counts as the nearest one.")


class ModelInfo(BaseModel):
    """What the model knows and reads."""

    model: str = Field(description="Fingerprint of the model.")
    items: int
    ratings: RatingScale | None = Field(description="null if the model does not read ratings.")
    behaviors: list[str] = Field(description="Kinds of events; empty if the training's data has none.")
    times: bool = Field(description="Whether the model reads the time between events.")
    dates: bool = Field(description="Whether the time of an event may be an ISO date.")
    categories: bool = Field(description="Whether items have categories.")
    texts: bool = Field(description="Whether the model reads texts, so that items can be found by meaning.")
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
    """Items whose scores are to be explained for a history; nothing is stored."""

    events: list[HistoryEvent] = Field(min_length=1, max_length=MOST_EVENTS, description="In any order, with times.")
    items: list[Token] = Field(min_length=1, max_length=MOST_ITEMS)
    method: Literal["removal", "gradients", "attention"] = "removal"
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")


class ItemExplanation(Explanation):
    """Why an item has its score, and what it is."""

    categories: list[str]


class Explanations(BaseModel):
    """Why items have their scores for a history."""

    explanations: list[ItemExplanation] = Field(description="In the order of the request.")


class AskInterest(Body):
    """A history whose interest over time is wanted; nothing is stored."""

    events: list[HistoryEvent] = Field(min_length=1, max_length=MOST_EVENTS, description="In any order, with times.")
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")


class ReadEvent(BaseModel):
    """An event that the model has read."""

    item: str
    title: str
    date: str = Field(description="Empty if it has none.")


class Series(BaseModel):
    """How one interest changed."""

    name: str = Field(description="A category, or the title of an item.")
    values: list[float] = Field(
        description="After each event: how much the category's items score above the average item, or the item's score."
    )


class InterestOverTime(BaseModel):
    """Interest after each event of a history."""

    of: Literal["categories", "items"] = Field(
        description="The leading categories; for data without categories the items that are recommended first."
    )
    events: list[ReadEvent] = Field(description="Oldest first.")
    series: list[Series] = Field(description="The one that is highest at the end first.")
