"""The command `recbole-li serve`: serve a model folder over HTTP, with a store of events."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import Commands, add_command, amount, count, refuse_settings
from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from recbole_longinterest.service.options import ServiceOptions

PACKAGES = ("fastapi", "uvicorn", "pydantic", "sqlalchemy", "alembic", "prometheus_client")


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "serve",
        "serve a model over HTTP, with a store of events",
        "Receive events and recommend items over HTTP. Events are stored before they are acknowledged. docs/service.md "
        "describes the requests; the running service describes them at /docs.",
        "Without --keys the service accepts requests only from this machine.",
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="folder made by recbole-li export")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 for any free port (default: 8000)")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE (default: MODEL.events.sqlite)",
    )
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="yaml file with rules of the shop (docs/strategies.md)"
    )
    parser.add_argument(
        "--models", type=Path, metavar="FOLDER", help="folder with versions of a model, instead of MODEL"
    )
    parser.add_argument(
        "--watch", action="store_true", help="activate new versions when they appear in the folder of --models"
    )
    parser.add_argument(
        "--engine", default="torch", metavar="NAME", help="torch (the default), onnx, or an installed engine"
    )
    parser.add_argument("--trusted-key", metavar="FILE", help="the model must be signed by this public key, a PEM file")
    safety = parser.add_argument_group("access and limits")
    safety.add_argument(
        "--keys", type=Path, metavar="FILE", help="file with hashes of API keys; required for other machines' requests"
    )
    safety.add_argument(
        "--add-key", metavar="NAME:ROLES", help="make a key with roles among read,write,admin, print it, and exit"
    )
    safety.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate for HTTPS, a PEM file")
    safety.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, if it is in a separate file")
    safety.add_argument(
        "--rate",
        type=amount,
        default=1000,
        metavar="N",
        help="requests per second and key; 0 for no limit (default: 1000)",
    )
    safety.add_argument(
        "--burst", type=count, default=2000, metavar="N", help="requests of a key at once (default: 2000)"
    )
    safety.add_argument(
        "--max-body", type=count, default=2**20, metavar="BYTES", help="size of a request's body (default: 1 MiB)"
    )
    safety.add_argument(
        "--max-events", type=count, default=1000, metavar="N", help="events per request (default: 1000)"
    )
    safety.add_argument(
        "--max-requests", type=count, default=1000, metavar="N", help="requests in progress at once (default: 1000)"
    )
    safety.add_argument(
        "--timeout", type=amount, default=10, metavar="SECONDS", help="time limit of a request (default: 10)"
    )
    parser.add_argument(
        "--states", type=count, default=20_000, metavar="N", help="user states kept in memory (default: 20,000)"
    )
    more = parser.add_argument_group("more than one process")
    more.add_argument("--workers", type=count, default=1, metavar="N", help="processes behind one port (default: 1)")
    more.add_argument("--ray", action="store_true", help="serve on Ray Serve; needs a store in PostgreSQL")
    more.add_argument(
        "--replicas",
        default="1-4",
        metavar="MIN-MAX",
        help="with --ray: number of replicas, which depends on the load (default: 1-4)",
    )
    more.add_argument(
        "--replica-cpus", type=amount, default=1, metavar="N", help="with --ray: CPU cores per replica (default: 1)"
    )
    more.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a running Ray (default: start one on this machine)"
    )
    parser.add_argument(
        "--mcp", action="store_true", help="offer tools to an assistant (MCP) on standard input and output, not HTTP"
    )
    parser.add_argument("--mcp-write", action="store_true", help="with --mcp: the assistant may also store events")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="lowest level of the log's lines (default: info)",
    )
    parser.add_argument("--log-users", action="store_true", help="write user ids to the log")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Serve a model, or make an API key.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The key, or nothing.

    Raises:
        LongInterestError: for a missing package, wrong options, and the reasons of
            :func:`recbole_longinterest.service.run.serve`.
    """
    refuse_settings("serve", settings)
    from recbole_longinterest.common.packages import require

    for package in (*PACKAGES, *(["mcp"] if args.mcp else [])):
        require(package, "recbole-li serve")
    if args.add_key is not None:
        return _add_key(args)
    if (args.model is None) == (args.models is None):
        raise LongInterestError(
            "Give either a model folder made by recbole-li export (recbole-li serve MODEL) or a folder with versions "
            "(recbole-li serve --models FOLDER)."
        )
    if args.watch and args.models is None:
        raise LongInterestError("--watch looks for new versions in the folder of --models. Give --models, too.")
    if args.mcp_write and not args.mcp:
        raise LongInterestError("--mcp-write needs --mcp.")
    if args.mcp and (args.models is not None or args.ray or args.workers > 1):
        raise LongInterestError(
            "--mcp serves one MODEL in one process. Leave --models, --workers and --ray out: they are for HTTP."
        )
    _serve(args)
    return ""


def _serve(args: argparse.Namespace) -> None:
    # saves start-up time: these import torch, FastAPI and SQLAlchemy
    from recbole_longinterest.service.logs import set_up_logs
    from recbole_longinterest.service.run import Address, check_address, serve
    from recbole_longinterest.service.versions import Versions
    from recbole_longinterest.service.workers import ModelPlace, WorkerSetup, serve_workers
    from recbole_longinterest.serving.recommender import Recommender

    if args.ray or args.workers > 1:  # other processes may run in other folders
        for name in ("rules", "keys", "tls_cert", "tls_key"):
            given = getattr(args, name)
            setattr(args, name, None if given is None else given.resolve())
        args.trusted_key = args.trusted_key and str(Path(args.trusted_key).resolve())
    options = _options(args)
    address = Address(args.host, args.port, args.tls_cert, args.tls_key)
    check_address(address, options)  # before the model is read
    models = args.models.resolve() if args.models is not None else None
    versions = None if models is None else Versions(models, args.engine, args.trusted_key, mapped=args.workers > 1)
    folder = None if args.model is None else Path(args.model).resolve()
    store = args.store or f"sqlite:///{folder or models}.events.sqlite"
    if args.ray or args.workers > 1:
        place = ModelPlace(folder, versions, args.engine, args.trusted_key)
        threads = max(1, (os.cpu_count() or 1) // args.workers)
        setup = WorkerSetup(place, store, address, options, args.log_level, threads)
        set_up_logs(args.log_level, args.log_users)
        if args.ray:
            from recbole_longinterest.cli.serve_ray import serve_on_ray

            serve_on_ray(setup, args.replicas, args.replica_cpus, args.ray_address)
        else:
            serve_workers(setup, args.workers)
        return
    if args.mcp:
        from recbole_longinterest.service.mcp_server import serve_mcp  # needs the extra mcp

        loaded = Recommender.load(args.model, args.engine, trusted_key=args.trusted_key)
        serve_mcp(loaded, store, options, args.mcp_write, args.log_level)
        return
    model = versions or Recommender.load(args.model, args.engine, trusted_key=args.trusted_key)
    set_up_logs(args.log_level, args.log_users)
    serve(model, store, address, options)


def _options(args: argparse.Namespace) -> "ServiceOptions":
    from recbole_longinterest.service.options import ServiceOptions  # saves start-up time

    return ServiceOptions(
        rules=args.rules,
        keys=args.keys,
        rate=args.rate,
        burst=args.burst,
        max_body=args.max_body,
        max_events=args.max_events,
        max_requests=args.max_requests,
        timeout=args.timeout,
        states=args.states,
        watch=args.watch,
        log_users=args.log_users,
    )


def _add_key(args: argparse.Namespace) -> str:
    from recbole_longinterest.service.keys import add_key  # saves start-up time

    name, colon, roles = args.add_key.partition(":")
    if args.keys is None or not colon:
        raise LongInterestError("--add-key must be NAME:ROLES, as shop:read,write, and needs --keys FILE to store it.")
    key = add_key(args.keys, name, roles.split(","))
    return f"{key}\nThe key is shown only once. {args.keys} contains its hash.\n"
