"""The keys of a rules file (yaml); all errors of a file are reported in one message.

| key | value |
|---|---|
| `items` | `{file: items.parquet, item: item_id}`: a table whose columns conditions may use; `item` is optional |
| `out_of_stock` | a list of tokens, or the path of a file with one token per line |
| `allow`, `deny` | the only items that may be shown, and items that are never shown; same format |
| `keep` | conditions; only items that meet all of them are shown |
| `hide` | conditions; items that meet any of them are not shown |
| `adult` | a condition; items that meet it are shown only if the request allows it |
| `boosts` | `{where: condition, factor: 1.5}`: multiply the odds (or the amount) of matching items by the factor |
| `limits` | `{of: category, at_most: 2}`: maximum number of items per value in one answer |
| `diversity` | `{weight: 0.3, pool: 100}`: maximal marginal relevance among the best `pool` items |
| `exclude` | `{behavior: [buy], days: 30}`: hide items of the visitor's recent events; all events without `behavior` |
| `mix` | `{events: {min: 2, max: 9}, shares: {interest: 0.9, new: 0.1}}`: strategies by number of events |

Paths are relative to the file's folder.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.serving.rules.conditions import Condition, read_condition
from recbole_longinterest.serving.rules.problems import Problems

KEYS = (
    *("items", "out_of_stock", "allow", "deny", "keep", "hide", "adult", "boosts", "limits", "diversity", "exclude"),
    "mix",
)
BANDIT = "bandit"
POOL = 100


class RulesError(LongInterestError):
    """Rules that cannot be used; the message lists all errors."""


@dataclass(frozen=True)
class Tokens:
    """A list of items.

    Attributes:
        tokens: the tokens; empty if they are in a file.
        file: file with one token per line.
    """

    tokens: tuple[str, ...] = ()
    file: str | None = None


@dataclass(frozen=True)
class Boost:
    """A factor for items that meet a condition."""

    where: Condition
    factor: float


@dataclass(frozen=True)
class Limit:
    """Maximum number of items for each value of an attribute in one answer."""

    attribute: str
    at_most: int


@dataclass(frozen=True)
class Diversity:
    """Maximal marginal relevance (Carbonell and Goldstein 1998).

    Attributes:
        weight: weight of the similarity to items already selected; the relevance has 1 minus this weight.
        pool: number of best items to select from.
    """

    weight: float
    pool: int = POOL


@dataclass(frozen=True)
class Exclude:
    """Items of a visitor's events that are not shown again.

    Attributes:
        behaviors: behaviours of the events; empty for all events.
        days: age of the event after which the item may be shown again; None for never.
    """

    behaviors: tuple[str, ...] = ()
    days: float | None = None


@dataclass(frozen=True)
class MixRule:
    """Strategies for visitors with a given number of events.

    Attributes:
        low: minimum number of events.
        high: maximum number of events.
        shares: share of the places of an answer by strategy; need not sum to 1.
        arms: strategies that the bandit chooses from, if it has a share.
    """

    low: int
    high: float
    shares: Mapping[str, float]
    arms: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleSettings:
    """The content of a rules file; see the module docstring for its keys."""

    items_file: str | None = None
    items_column: str | None = None
    out_of_stock: Tokens = Tokens()
    allow: Tokens | None = None
    deny: Tokens = Tokens()
    keep: tuple[Condition, ...] = ()
    hide: tuple[Condition, ...] = ()
    adult: Condition | None = None
    boosts: tuple[Boost, ...] = ()
    limits: tuple[Limit, ...] = ()
    diversity: Diversity | None = None
    exclude: tuple[Exclude, ...] | None = None
    mix: tuple[MixRule, ...] = ()

    @property
    def files(self) -> list[str]:
        """Files named in the rules."""
        lists = (self.out_of_stock, self.allow, self.deny)
        names = [self.items_file, *(each.file for each in lists if each is not None)]
        return [name for name in names if name]


def read_rules(text: str, where: str | Path, strategies: Collection[str]) -> RuleSettings:
    """Read rules.

    Args:
        text: yaml; empty text means no rules.
        where: the file, for messages.
        strategies: names that ``mix`` may use.

    Raises:
        RulesError: for invalid rules, with all errors.
    """
    try:
        content = read_yaml(text)
    except yaml.YAMLError as error:
        raise RulesError(f"{where} is not valid yaml: {' '.join(str(error).split())[:300]}.") from error
    problems = Problems()
    found = _read({} if content is None else content, problems, strategies)
    raise_problems(problems, where)
    return found


def raise_problems(problems: Problems, where: str | Path) -> None:
    """Raise an error if problems were found.

    Raises:
        RulesError: with all errors.
    """
    if problems.found:
        number = len(problems.found)
        raise RulesError(f"{where} has {number} {'error' if number == 1 else 'errors'}: {'; '.join(problems.found)}.")


def _read(content: object, problems: Problems, strategies: Collection[str]) -> RuleSettings:
    given = problems.mapping(content, "the file", KEYS)
    values: dict[str, Any] = {}
    if "items" in given:
        table = problems.mapping(given["items"], "items", ("file", "item"))
        for key, name in (("file", "items_file"), ("item", "items_column")):
            if key in table:
                values[name] = _text(table[key], f"items.{key}", problems)
        if "file" not in table:
            problems.add("items", "a mapping with file", given["items"])
    for name in ("out_of_stock", "allow", "deny"):
        if name in given:
            values[name] = _tokens(given[name], name, problems)
    for name in ("keep", "hide"):
        if name in given:
            parts = enumerate(problems.items(given[name], name))
            values[name] = tuple(read_condition(part, f"{name}[{i}]", problems) for i, part in parts)
    if "adult" in given:
        values["adult"] = read_condition(given["adult"], "adult", problems)
    for name, read in (("boosts", _boost), ("limits", _limit), ("exclude", _exclude)):
        if name in given:
            parts = enumerate(problems.items(given[name], name))
            values[name] = tuple(read(part, f"{name}[{i}]", problems) for i, part in parts)
    if "diversity" in given:
        part = problems.mapping(given["diversity"], "diversity", ("weight", "pool"))
        weight = problems.number(part.get("weight"), "diversity.weight", 0, 1)
        pool = problems.number(part.get("pool", POOL), "diversity.pool", 2, 10_000, whole=True)
        values["diversity"] = Diversity(weight, int(pool))
    if "mix" in given:
        parts = enumerate(problems.items(given["mix"], "mix"))
        values["mix"] = tuple(_mix(part, f"mix[{i}]", problems, strategies) for i, part in parts)
    return RuleSettings(**values)


def _text(value: object, where: str, problems: Problems) -> str:
    if not isinstance(value, str) or not value:
        problems.add(where, "a text", value)
        return ""
    return value


def _tokens(value: object, where: str, problems: Problems) -> Tokens:
    if isinstance(value, str) and value:
        return Tokens(file=value)
    if value == []:
        return Tokens()
    if not isinstance(value, list):
        problems.add(where, "a list of item tokens, or the path of a file with one token per line", value)
        return Tokens()
    return Tokens(tuple(problems.texts(value, where)))


def _boost(value: object, where: str, problems: Problems) -> Boost:
    part = problems.mapping(value, where, ("where", "factor"))
    condition = read_condition(part.get("where"), f"{where}.where", problems)
    factor = problems.number(part.get("factor"), f"{where}.factor", 1e-6, 1e6)
    return Boost(condition, factor)


def _limit(value: object, where: str, problems: Problems) -> Limit:
    part = problems.mapping(value, where, ("of", "at_most"))
    at_most = problems.number(part.get("at_most"), f"{where}.at_most", 1, whole=True)
    return Limit(_text(part.get("of"), f"{where}.of", problems), int(at_most))


def _exclude(value: object, where: str, problems: Problems) -> Exclude:
    part = problems.mapping(value, where, ("behavior", "days"))
    behaviors = tuple(problems.texts(part["behavior"], f"{where}.behavior")) if "behavior" in part else ()
    days = problems.number(part["days"], f"{where}.days", 0) if "days" in part else None
    return Exclude(behaviors, days)


def _mix(value: object, where: str, problems: Problems, strategies: Collection[str]) -> MixRule:
    part = problems.mapping(value, where, ("events", "shares", BANDIT))
    low, high = _span(part.get("events", {}), f"{where}.events", problems)
    arms = tuple(problems.texts(part[BANDIT], f"{where}.{BANDIT}")) if BANDIT in part else ()
    shares = part.get("shares", {BANDIT: 1} if arms else None)
    shares = {
        name: problems.number(share, f"{where}.shares.{name}", 0)
        for name, share in problems.mapping(shares, f"{where}.shares", (*strategies, BANDIT)).items()
    }
    if shares and not any(shares.values()):
        problems.add(f"{where}.shares", "numbers with at least one above 0", dict(shares))
    if bool(arms) != (BANDIT in shares):
        problems.found.append(f"{where} must have both the list {BANDIT} and the share {BANDIT}, or neither")
    for name in arms:
        if name not in strategies:
            problems.add(f"{where}.{BANDIT}", f"names among {', '.join(strategies)}", name)
    return MixRule(low, high, shares, arms)


def _span(value: object, where: str, problems: Problems) -> tuple[int, float]:
    """Read a number of events, or ``{min: , max: }``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value, value
    part = problems.mapping(value, where, ("min", "max"))
    low = problems.number(part.get("min", 0), f"{where}.min", 0, whole=True)
    high = problems.number(part["max"], f"{where}.max", low, whole=True) if "max" in part else float("inf")
    return int(low), high
