"""The commands `export`, `recommend`, `explain` and `profile`: they parse, and say what to print."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.results import report_skipped


def add_arguments(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the commands to the parser of `recbole-li`."""
    _add_export(commands)
    _add_recommend(commands)
    _add_explain(commands)
    _add_profile(commands)


def _command(commands: Any, name: str, summary: str, work: Callable[[argparse.Namespace], str]) -> Any:  # noqa: ANN401
    description = f"{summary[0].upper()}{summary[1:]}."
    parser = commands.add_parser(name, help=summary, description=description, allow_abbrev=False)
    parser.set_defaults(serve=work)
    return parser


def serve(args: argparse.Namespace, settings: list[str]) -> str:
    """Do what one of the commands says.

    Args:
        args: its parsed arguments.
        settings: what it does not know.

    Returns:
        What to print.

    Raises:
        ValueError: one sentence for what is wrong.
    """
    if settings:
        raise LongInterestError(
            f"recbole-li {args.command} has no argument {settings[0]}; see recbole-li {args.command} -h."
        )
    return args.serve(args)


def _add_export(commands: Any) -> None:  # noqa: ANN401
    parser = _command(commands, "export", "make a self-contained model folder of a checkpoint", _export)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="file of a LongInterest training")
    parser.add_argument("--output", "-o", required=True, metavar="DIR", help="folder to make or to replace")
    parser.add_argument("--data_path", metavar="DIR", help="folder above the data set's, if it has moved")
    parser.add_argument("--title_field", help="column of the .item file with titles (default: first of the text's)")
    parser.add_argument("--category_field", help="column with categories (default: the text's next token_seq column)")
    parser.add_argument("--int8", action="store_true", help="keep tables and weights as int8 with a scale a row")
    parser.add_argument("--onnx", action="store_true", help="add the streaming step and the item table as ONNX")


def _export(args: argparse.Namespace) -> str:
    from recbole_longinterest.training.export import export_checkpoint

    served = export_checkpoint(
        args.checkpoint,
        args.output,
        data_path=args.data_path,
        title_field=args.title_field,
        category_field=args.category_field,
        int8=args.int8,
        onnx=args.onnx,
    )
    size = sum(file.stat().st_size for file in Path(args.output).iterdir())
    titles = sum(map(bool, served.items.titles))
    return (
        f"model: {args.output} ({size / 1e6:.1f} MB, {served.precision})\n"
        f"items: {len(served.items.tokens) - 1}, {titles} with a title\n"
        f"recommend: recbole-li recommend --model {args.output} --history FILE --topk 10\n"
    )


def _add_model_and_history(parser: Any) -> None:  # noqa: ANN401
    parser.add_argument("--model", "-m", required=True, metavar="DIR", help="folder made by recbole-li export")
    parser.add_argument(
        "--history",
        required=True,
        metavar="FILE",
        help="events with the columns of the training (user_id, item_id, rating, timestamp): .csv, .jsonl or .inter",
    )


def _add_recommend(commands: Any) -> None:  # noqa: ANN401
    parser = _command(commands, "recommend", "recommend items to the users of a file of events", _recommend)
    _add_model_and_history(parser)
    parser.add_argument("--topk", "-k", type=int, default=10, metavar="K", help="items a user (default: 10)")
    parser.add_argument("--output", "-o", metavar="FILE", help="write there in place of the terminal")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="default: by the ending of --output, else csv")
    parser.add_argument("--include_seen", action="store_true", help="recommend items of the history too")
    parser.add_argument("--candidates", metavar="FILE", help="recommend these items alone: a token a line")


def _recommend(args: argparse.Namespace) -> str:
    from recbole_longinterest.serving.event_files import to_csv, to_json_lines

    model = Recommender.load(args.model)
    events = _events(args.history, model)
    candidates = _lines(args.candidates) if args.candidates else None
    kind = args.format or ("jsonl" if args.output and args.output.endswith(".jsonl") else "csv")
    options = {"k": args.topk, "exclude_seen": not args.include_seen, "candidates": candidates}
    if kind == "csv":
        text = to_csv(model.recommend_batch(events, **options))
    else:
        found = model.recommend_histories(model.read_table(events), **options)
        report_skipped(found)
        text = to_json_lines(found)
    return text if not args.output else _written(args.output, text)


def _events(path: str, model: Recommender) -> Any:  # noqa: ANN401 - a pandas DataFrame
    """Events of a file, ``.inter`` in the form that the training's had."""
    from recbole_longinterest.serving.event_files import read_events

    about = model.served.about.get("text") or {}
    form = about.get("field_separator") or "\t", about.get("encoding") or "utf-8"
    return read_events(path, model.served.fields, *form)


def _lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        return [line.strip() for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise LongInterestError(f"{path} cannot be read: {error}") from error


def _written(path: str, content: str) -> str:
    try:
        write_text(Path(path), content)
    except OSError as error:
        raise LongInterestError(f"{path} could not be written: {error}") from error
    return f"written: {path}\n"


def _add_explain(commands: Any) -> None:  # noqa: ANN401
    parser = _command(commands, "explain", "say which events and sources brought a recommendation about", _explain)
    _add_model_and_history(parser)
    parser.add_argument("--user", metavar="U", help="whom to explain it to (needed if the file has several)")
    parser.add_argument("--item", metavar="I", help="explain this item in place of the best ones")
    parser.add_argument("--topk", "-k", type=int, default=3, metavar="K", help="items to explain (default: 3)")
    parser.add_argument("--method", default="removal", help="removal (the default), gradients (captum) or attention")
    parser.add_argument("--output", "-o", metavar="FILE.html", help="write a page with the interest over time, too")


def _explain(args: argparse.Namespace) -> str:
    from recbole_longinterest.serving.explain.page import page_of, text_of

    model = Recommender.load(args.model)
    user, history = _one_user(model, args.history, args.user)
    candidates = None if args.item is None else [args.item]
    found = model.recommend_histories({user: history}, args.topk, candidates is None, candidates, explain=args.method)[
        user
    ]
    if found.problem:
        raise LongInterestError(f"There is nothing to explain: {found.problem}.")
    said = text_of(user, found)
    return said + _written(args.output, page_of(model, user, history, found)) if args.output else said


def _one_user(model: Recommender, path: str, wanted: str | None) -> tuple[str, History]:
    histories = model.read_table(_events(path, model))
    if wanted is None and len(histories) > 1:
        raise LongInterestError(f"{path} has {len(histories):,} users; name one as --user.")
    user = wanted if wanted is not None else next(iter(histories))
    if user not in histories:
        raise LongInterestError(f"{path} has no user {user}; it has {len(histories):,}.")
    return user, histories[user]


def _add_profile(commands: Any) -> None:  # noqa: ANN401
    parser = _command(commands, "profile", "write users' interest vectors, or show the card of one", _profile)
    _add_model_and_history(parser)
    parser.add_argument("--output", "-o", metavar="FILE.parquet", help="write the interest vectors of all users there")
    parser.add_argument("--user", metavar="U", help="print this user's card: tastes, their drift, nearest users")


def _profile(args: argparse.Namespace) -> str:
    from recbole_longinterest.serving.explain.profiles import card_of, profile_table, write_parquet

    if args.output is None and args.user is None:
        raise LongInterestError("Give --output FILE.parquet, --user U, or both.")
    model = Recommender.load(args.model)
    histories = model.read_table(_events(args.history, model))
    said = card_of(model, histories, args.user).to_text() if args.user is not None else ""
    if args.output:
        table = profile_table(model, histories)
        write_parquet(table, args.output)
        said += f"written: {args.output}, {len(table):,} users\n"
    return said
