"""Requests and answers as pydantic models, from which the OpenAPI document is generated."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    StrictBool,
    StringConstraints,
    Tag,
)

MOST_EVENTS = 10_000  # maximum events of one request; the operator can set a lower limit
LONGEST_TOKEN = 256
STRATEGY = "interest, similar, content, together, popular, new, or mix, which is the default of a service with rules."
ADULT = "Whether items that the rules call adult may be shown."
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"

Text: TypeAlias = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=LONGEST_TOKEN, pattern=PRINTABLE)
]
Whole: TypeAlias = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
if TYPE_CHECKING:
    Token: TypeAlias = str
else:
    Token = Annotated[Text | Whole, AfterValidator(str)]
Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e12, le=1e12)]
Time: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e19, le=1e19)]
Date: TypeAlias = Annotated[str, StringConstraints(strict=True, min_length=7, max_length=40, pattern=r"^\d{4}-\d\d")]
Scalar: TypeAlias = StrictBool | Number | Text
Features: TypeAlias = Annotated[
    dict[Text, Scalar | Annotated[list[Scalar], Field(max_length=256)] | None], Field(max_length=64)
]


Value: TypeAlias = StrictBool | Whole | Number | Text
Values: TypeAlias = Annotated[list[Value], Field(min_length=1, max_length=1000)]
Where: TypeAlias = Annotated[
    dict[Text, Value | Values | dict[Literal["min", "max", "not"], Value | Values]],
    Field(min_length=1, max_length=32),
]
Shares: TypeAlias = Annotated[dict[Text, Annotated[int, Field(strict=True, ge=0, le=1000)]], Field(max_length=64)]


class Body(BaseModel):
    """Base class of request bodies; unknown members are errors, so typing mistakes are found."""

    model_config = ConfigDict(extra="forbid")


class HistoryEvent(Body):
    """One event of a user's history."""

    item: Token = Field(description="Token of the item, as in the training data.")
    rating: Number | None = Field(None, description="In the scale of the training data.")
    behavior: Text | None = Field(None, description="Kind of the event, such as view or buy.")
    time: Time | Date | None = Field(
        None, description="A number in the unit of the training data, or an ISO date; UTC unless it has an offset."
    )
    features: Features = Field(
        default_factory=dict, description="Values of the model's further event sources, by name."
    )


class NewEvent(HistoryEvent):
    """One event of a user, to be stored."""

    user: Token = Field(description="Id of the user.")
    id: Text | None = Field(
        None,
        description="The client's own id of the event: a second event of the user with the same id is a duplicate. "
        "Without an id, an event with a time is a duplicate if all its members are equal.",
    )


class NewEvents(Body):
    """Events to be stored, all or none."""

    events: list[NewEvent] = Field(min_length=1, max_length=MOST_EVENTS)


def _number_of_events(given: object) -> str:
    many = isinstance(given, NewEvents) or (isinstance(given, dict) and "events" in given)
    return "many" if many else "one"


EventsBody: TypeAlias = Annotated[
    Annotated[NewEvents, Tag("many")] | Annotated[NewEvent, Tag("one")], Discriminator(_number_of_events)
]


class Stored(BaseModel):
    """Counts of stored events, which survive a crash and a power cut."""

    accepted: int = Field(description="New events.")
    duplicates: int = Field(description="Events that were already stored.")
    unknown_items: int = Field(description="Events on items that the model does not know; they are stored, too.")


class Ask(Body):
    """A history for which to recommend items; nothing is stored."""

    events: list[HistoryEvent] = Field(max_length=MOST_EVENTS, description="In any order, if all have times.")
    k: int = Field(10, ge=1, le=1000, strict=True, description="Number of items.")
    exclude_seen: Text = Field(
        "target", description="Seen items to leave out: target, all, none, or behaviours such as view,cart."
    )
    candidates: list[Token] | None = Field(
        None, min_length=1, max_length=MOST_EVENTS, description="The only items that may be recommended."
    )
    exclude: list[Token] = Field(default_factory=list, max_length=MOST_EVENTS, description="Items to leave out.")
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")
    strategy: Text | None = Field(None, description=STRATEGY)
    adult: bool = Field(False, strict=True, description=ADULT)
    where: Where | None = Field(
        None, description="Condition on the items, as in the rules: {category: [Books], price: {max: 20}}."
    )


class Item(BaseModel):
    """An item of an answer."""

    item: str
    title: str = Field(description="Empty if the item has none.")
    score: float


class RecommendedItem(Item):
    """A recommended item."""

    strategy: str = Field(description="Strategy that chose the item; interest or popularity if none was requested.")


class Recommendations(BaseModel):
    """Items for a user, best first."""

    items: list[RecommendedItem]
    basis: str = Field(
        description="The strategy or mix. Without one: interest, or popularity if the model knows no event."
    )
    segment: str = Field(description="Segment of the user by the number of events; for feedback.")
    events: int = Field(description="Number of events that the model has read.")
    unknown: int = Field(description="Number of events on items that the model does not know.")
    problem: str | None = Field(None, description="Why there are no items.")
    model: str = Field(description="Fingerprint of the model.")


class Items(BaseModel):
    """Items, best first."""

    items: list[Item]


class EventShare(BaseModel):
    """A past event's share of an item's score."""

    item: str
    title: str
    share: float = Field(description="Below 0 if it lowers the score; the absolute shares sum to 1.")
    attention: float
    time: float | None
    date: str
    behavior: str | None
    followed: int = Field(description="Times that the item came within 10 events after this one in the training data.")


class Explanation(BaseModel):
    """Explanation of an item's score for a user."""

    item: str
    title: str
    score: float
    method: str
    events: list[EventShare]
    sources: dict[str, float] = Field(
        description="Shares of the model's sources, such as id, text, rating and transitions."
    )


class Category(BaseModel):
    """A category; the score tells how much its items score above the average item."""

    name: str
    score: float


class NewestEvent(BaseModel):
    """A recent event of a user."""

    item: str
    title: str
    rating: float | None
    behavior: str | None
    time: float
    date: str


class Profile(BaseModel):
    """The data that the service stores about a user."""

    user: str
    events: int = Field(description="Events in the store.")
    known: int = Field(description="Of these, events on items that the model knows.")
    last: list[NewestEvent]
    categories: list[Category]
    model: str


class Erased(BaseModel):
    """Result of erasing a user."""

    events: int = Field(description="Number of erased events.")


class NewItems(Body):
    """Items to add to the model by their texts."""

    items: list[dict[Text, Scalar | list[Text] | None]] = Field(
        min_length=1,
        max_length=1000,
        description="The item's token under the name of the training data's item column (usually item_id), and its "
        "text columns.",
    )
    boost: float = Field(1.0, gt=0, le=100, description="Values above 1 make the items be recommended more often.")


class Added(BaseModel):
    """Added items; they can be recommended now and after a restart."""

    new: list[str]
    changed: list[str] = Field(description="Known items whose text has changed.")
    model: str


class Availability(RootModel[Annotated[dict[Text, StrictBool], Field(min_length=1, max_length=MOST_EVENTS)]]):
    """Which items are in stock, by token."""


class Said(BaseModel):
    """Result of setting the availability of items."""

    items: int = Field(description="Number of items.")
    unknown: list[str] = Field(description="Items that the model does not know yet; their availability is stored.")


class Feedback(Body):
    """Shown and clicked items of answers to users of a segment."""

    segment: Literal["none", "one", "few", "some", "many"] = Field(description="The segment of the answers.")
    shown: Shares = Field(default_factory=dict, description="Number of shown items by strategy.")
    clicked: Shares = Field(default_factory=dict, description="Number of these that were clicked, now or later.")


class Rate(BaseModel):
    """Click rate of a strategy in a segment."""

    rate: float = Field(description="Posterior mean of the share of clicked items.")
    shown: float = Field(description="Number of shown items on which it is based.")


class Learned(BaseModel):
    """The bandit's state for a segment."""

    segment: str
    strategies: dict[str, Rate]


class Health(BaseModel):
    """The service is running."""

    status: str


class Ready(Health):
    """The service answers requests."""

    rules: Literal["current", "outdated"] | None = Field(
        None, description="outdated: the rules file has errors (see the log), and the previous rules are active."
    )


class ProblemDetail(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = Field(None, description="Location in the request and detail of each error.")
