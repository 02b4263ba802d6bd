"""The README of an exported split."""

from collections.abc import Mapping

from recbole_longinterest.common.printable import printable
from recbole_longinterest.data.ties import FILE, RANDOM
from recbole_longinterest.experiments.comparison.split_tables import SplitTables
from recbole_longinterest.experiments.comparison.views import TIME, Place

TEXT = """# {dataset}: the split of a comparison

{users} users, {items} items, {events} events. SHA-256 of the split: {split}.

| file | content |
|---|---|
| train.csv, train.parquet | {train} events that a model may learn from, by user and then by time |
| validation.csv, validation.parquet | {validation} events to choose epochs and settings by |
| test.csv, test.parquet | {test} events to test on, once |
| events.csv, events.parquet | all {events} events by user and then by time, each with its part in `{part}`{context} |
| items.csv | the catalogue: every model ranks all of these items |
| recbole-general/, recbole-general.yaml | RecBole's benchmark files for its general models |
| recbole-sequential/, recbole-sequential.yaml | for its sequential models, with the last {limit} events before each |

RecBole's folders hold the data set's .item and .user files too, if it has them.

Columns: {columns}.{left_out}

An event's history is all earlier events of its user in events.csv, of whatever part; at the test it includes the
validation events. Events at the same time are in the order of these files. Values in an event's row other than user
and item (including its time) must not be used to predict it.

{back}

RecBole itself reads the split with

    run_recbole(model="GRU4Rec", dataset="{name}", config_file_list=["{dataset}/recbole-sequential.yaml"],
                config_dict={{"data_path": "{dataset}/recbole-sequential", "train_neg_sample_args": None}})
    run_recbole(model="BPR", dataset="{name}", config_file_list=["{dataset}/recbole-general.yaml"],
                config_dict={{"data_path": "{dataset}/recbole-general"}})

For its general models, RecBole masks the training items of users and evaluates users instead of rows, so their figures
differ from those of `compare`. {lacks}

"""


CONTEXT = (
    "; empty for {number} events that are in histories but in no part, such as the first event of a user who is new "
    "after the training"
)

BACK = """Evaluate the lists of a system with

    recbole-li compare --datasets {dataset}{options} --lists NAME{order}=FILE ...

with the settings of this export{but}. FILE has a line for every test user and item of the list: `user`, `item`, and
`rank` (1 is the best) or `score` (the largest is the best). In the native protocol seen items are ranked too. In the
seen-masked protocol compare removes them, so lists should be longer than the largest topk. Lists without seen items
miss targets that the user has had before, in both protocols. compare cannot see which order of ties or which split a
file was made for: give lists that were made from these files."""

SEVERAL = """`compare --lists` takes one list for each user, and here {rows} test events belong to {users} users. So to
compare lists of a system, export a split with one test event per user: leave-one-out, or split_by_time with
`split_targets: first` or `last`."""


def readme(
    tables: SplitTables,
    split: str,
    dataset: str,
    name: str,
    limit: int,
    lacks: Mapping[str, int],
    place: Place,
) -> str:
    """Render the README section of a data set.

    Args:
        tables: the split.
        split: SHA-256 of the split in the report of a comparison.
        dataset: name of the data set.
        name: name of RecBole's benchmark files.
        limit: maximum number of events of a history in them.
        lacks: number of catalogue items that are not in them, by kind.
        place: the table of a comparison with this split, and its tie seed.
    """
    options = f" --split {TIME}" if place.view.split == TIME else ""
    random = place.view.ties == RANDOM
    options += f" --ties {FILE},{RANDOM}" if random else ""
    kinds = [
        f"{number} items of the catalogue are in no row of recbole-{kind}." for kind, number in lacks.items() if number
    ]
    left_out = f" Lists of numbers are left out: {', '.join(tables.left_out)}." if tables.left_out else ""
    tested, users = len(tables.rows["test"]), tables.part("test")[tables.user].nunique()
    back = BACK.format(
        dataset=printable(dataset),
        options=options,
        order=f"@{RANDOM}-{place.tie_seed}" if random else "",
        but=" but tie_order and tie_seed" if random else "",
    )
    if tested > users:
        back = SEVERAL.format(rows=tested, users=users)
    return TEXT.format(
        dataset=printable(dataset),
        name=printable(name),
        users=tables.found.users,
        items=tables.found.items,
        events=tables.found.interactions,
        split=split,
        limit=limit,
        columns=printable(", ".join(f"`{column}`" for column in tables.events)),
        left_out=printable(left_out),
        back=back,
        part=tables.part_column,
        context=CONTEXT.format(number=tables.context) if tables.context else "",
        lacks=" ".join(kinds) or "Both name all items of the catalogue.",
        **{part: len(rows) for part, rows in tables.rows.items()},
    )
