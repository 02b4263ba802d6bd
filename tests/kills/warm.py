"""A process that has imported everything, and forks one that runs a command for every line that it reads.

Importing torch and RecBole takes seconds, and a fork some milliseconds. ``torch._dynamo`` is imported by the first
optimizer, which took most of a command's time.
"""

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.kills.points import Points, limit_files

SECONDS = 120.0  # after which a process hangs

IMPORTED = (
    *("pandas", "pyarrow.parquet", "torch", "torch._dynamo", "torch.distributed.fsdp", "recbole.quick_start"),
    *("torch.utils.tensorboard", "tensorboard.plugins.hparams", "matplotlib.pyplot", "filelock"),
    *("recbole.model.sequential_recommender", "recbole.model.general_recommender", "recbole.trainer"),
    *("recbole_longinterest.cli.main", "recbole_longinterest.data.eval_loader", "recbole_longinterest.plugin.trainer"),
    *("recbole_longinterest.training.export", "recbole_longinterest.training.update.update"),
    *("recbole_longinterest.training.encode", "recbole_longinterest.prepare.pipeline"),
    *("recbole_longinterest.prepare.plots", "recbole_longinterest.serving.explain.page"),
    *("recbole_longinterest.serving.explain.profiles", "recbole_longinterest.serving.new_items"),
    *("recbole_longinterest.experiments.strategies", "recbole_longinterest.serving.strategies.held_out"),
    *("recbole_longinterest.experiments.comparison.compare", "recbole_longinterest.experiments.comparison.cells"),
    *("recbole_longinterest.text.encoder", "recbole_longinterest.data.item_texts", "tests.kills.scenarios"),
)


def main() -> None:
    """Answer every request of stdin on stdout, a line of JSON each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    importlib.import_module(request["work"].partition(":")[0])  # here, so that forks need not import it
    count = multiprocessing.Value("l", 0)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        _run(request, count, writes)
    os.close(writes)
    said, begun = bytearray(), time.monotonic()
    os.set_blocking(reads, False)
    while True:  # what it says, until nobody is left who could say more
        try:
            part = os.read(reads, 2**16)
            said += part
            if not part:
                break
        except BlockingIOError:
            if time.monotonic() - begun > SECONDS:
                os.killpg(child, 9)
            time.sleep(0.002)
    os.close(reads)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "said": said.decode(errors="replace"), "points": count.value}


def _run(request: dict[str, Any], count: Any, out: int) -> None:
    code = 99
    try:
        os.setsid()
        sys.dont_write_bytecode = True  # which a limit on the size of files would cut short
        root = Path(request["root"])
        os.chdir(root)
        os.environ["RECBOLE_LI_CACHE"] = str(root / "cache")
        for stream in (1, 2):
            os.dup2(out, stream)
        os.close(out)
        text = io.TextIOWrapper(os.fdopen(1, "wb", 0, closefd=False), write_through=True)
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            module, _, function = request["work"].partition(":")
            work = getattr(importlib.import_module(module), function)
            if request["size"] is not None:
                limit_files(request["size"], request["how"] == "kill")
            else:
                Points(root, request["how"], request["at"], count).start()
            code = work(*request["arguments"])
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
    os._exit(0)  # at once: to end all that was imported takes longer than the tests wait on a busy machine
