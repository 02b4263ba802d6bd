"""What clients send and get, as pydantic models; the OpenAPI document is made of them."""

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

MOST_EVENTS = 10_000  # of one request, whatever the operator allows
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
    """A body of a request: a member that it does not name is an error, not a typing mistake that nobody sees."""

    model_config = ConfigDict(extra="forbid")


class HistoryEvent(Body):
    """One thing that somebody did."""

    item: Token = Field(description="Token of the item, as in the training's data.")
    rating: Number | None = Field(None, description="In the scale of the training's data.")
    behavior: Text | None = Field(None, description="Kind of the event, as view or buy.")
    time: Time | Date | None = Field(
        None, description="A number in the training's unit, or an ISO date; UTC where it names no offset."
    )
    features: Features = Field(
        default_factory=dict, description="Values of the model's further sources of events, by name."
    )


class NewEvent(HistoryEvent):
    """One thing that a user did, to be stored."""

    user: Token = Field(description="Who did it.")
    id: Text | None = Field(
        None,
        description="The client's own name of the event: a second event of the user with it is a duplicate. Without "
        "one, an event that is equal in all members and has a time is a duplicate.",
    )


class NewEvents(Body):
    """Events to be stored, all of them or none."""

    events: list[NewEvent] = Field(min_length=1, max_length=MOST_EVENTS)


def _number_of_events(given: object) -> str:
    many = isinstance(given, NewEvents) or (isinstance(given, dict) and "events" in given)
    return "many" if many else "one"


EventsBody: TypeAlias = Annotated[
    Annotated[NewEvents, Tag("many")] | Annotated[NewEvent, Tag("one")], Discriminator(_number_of_events)
]


class Stored(BaseModel):
    """Events that the store holds: neither a crash nor a power cut loses them."""

    accepted: int = Field(description="Events that are new.")
    duplicates: int = Field(description="Events that were there already.")
    unknown_items: int = Field(description="Events on items that the model does not know; they are kept.")


class Ask(Body):
    """A history, to which items are recommended; nothing is stored."""

    events: list[HistoryEvent] = Field(max_length=MOST_EVENTS, description="In any order, if all have times.")
    k: int = Field(10, ge=1, le=1000, strict=True, description="Number of items.")
    exclude_seen: Text = Field("target", description="Items that are left out: target, all, none, or view,cart.")
    candidates: list[Token] | None = Field(
        None, min_length=1, max_length=MOST_EVENTS, description="The only items that may be recommended."
    )
    exclude: list[Token] = Field(default_factory=list, max_length=MOST_EVENTS, description="Items that are left out.")
    user: Features | None = Field(None, description="Values of the model's user_features, by column.")
    strategy: Text | None = Field(None, description=STRATEGY)
    adult: bool = Field(False, strict=True, description=ADULT)
    where: Where | None = Field(
        None, description="Only items that meet it, as a condition of the rules: {category: [Books], price: {max: 20}}."
    )


class Item(BaseModel):
    """An item of an answer."""

    item: str
    title: str = Field(description="Empty if the item has none.")
    score: float


class RecommendedItem(Item):
    """A recommended item."""

    strategy: str = Field(description="What brought it: a strategy; interest or popularity if none was asked for.")


class Recommendations(BaseModel):
    """Items for a user, best first."""

    items: list[RecommendedItem]
    basis: str = Field(
        description="The strategy or mix; without these interest, and popularity where the model knows no event."
    )
    segment: str = Field(description="Of the user, by the number of events; for feedback.")
    events: int = Field(description="Events that the model has read.")
    unknown: int = Field(description="Events on items that the model does not know.")
    problem: str | None = Field(None, description="Why there are no items.")
    model: str = Field(description="Fingerprint of the model.")


class Items(BaseModel):
    """Items, best first."""

    items: list[Item]


class EventShare(BaseModel):
    """A past event's part in the score of an item."""

    item: str
    title: str
    share: float = Field(description="Below 0 if it lowers the score; the absolute shares sum to 1.")
    attention: float
    time: float | None
    date: str
    behavior: str | None
    followed: int = Field(description="Times that the item came within 10 events after this one in the training data.")


class Explanation(BaseModel):
    """Why an item has its score for a user."""

    item: str
    title: str
    score: float
    method: str
    events: list[EventShare]
    sources: dict[str, float] = Field(description="Shares of id, text, rating, behavior, time.")


class Category(BaseModel):
    """A category, by how much its items score above the average item."""

    name: str
    score: float


class NewestEvent(BaseModel):
    """One of a user's last events."""

    item: str
    title: str
    rating: float | None
    behavior: str | None
    time: float
    date: str


class Profile(BaseModel):
    """What the service holds of a user."""

    user: str
    events: int = Field(description="Events in the store.")
    known: int = Field(description="Of these, on items that the model knows.")
    last: list[NewestEvent]
    categories: list[Category]
    model: str


class Erased(BaseModel):
    """A user of whom the service holds nothing any more."""

    events: int = Field(description="Events that were erased.")


class NewItems(Body):
    """Items that the model is to know by their texts."""

    items: list[dict[Text, Scalar | list[Text] | None]] = Field(
        min_length=1,
        max_length=1000,
        description="The item's token in the training's item column (item_id as a rule), and the columns of its text.",
    )
    boost: float = Field(1.0, gt=0, le=100, description="Above 1 they are recommended more often.")


class Added(BaseModel):
    """Items that can be recommended now, and after a restart."""

    new: list[str]
    changed: list[str] = Field(description="Known items whose text is another one now.")
    model: str


class Availability(RootModel[Annotated[dict[Text, StrictBool], Field(min_length=1, max_length=MOST_EVENTS)]]):
    """Which items are in stock, by token."""


class Said(BaseModel):
    """What is in stock was said."""

    items: int = Field(description="Number of items.")
    unknown: list[str] = Field(description="Items that the model does not know; it is kept until it does.")


class Feedback(Body):
    """What became of answers to users of a segment."""

    segment: Literal["none", "one", "few", "some", "many"] = Field(description="As the answers said.")
    shown: Shares = Field(default_factory=dict, description="Number of shown items by strategy.")
    clicked: Shares = Field(default_factory=dict, description="Number of these that were clicked, now or later.")


class Rate(BaseModel):
    """Clicks of a strategy in a segment."""

    rate: float = Field(description="Mean of what is known of the share of clicked items.")
    shown: float = Field(description="Number of shown items that it rests on.")


class Learned(BaseModel):
    """What the bandit knows of a segment."""

    segment: str
    strategies: dict[str, Rate]


class Health(BaseModel):
    """That the service runs."""

    status: str


class Ready(Health):
    """That requests are answered."""

    rules: Literal["current", "outdated"] | None = Field(
        None, description="outdated: the file has errors, which the log names, and the rules of before are in force."
    )


class ProblemDetail(BaseModel):
    """What is wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = Field(None, description="Where in the request, and what.")
