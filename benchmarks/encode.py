"""Measure encoded texts per second: `recbole-li encode` against a simple loop over AutoModel with fixed padding.

    python benchmarks/encode.py --texts 100000

Both read the same synthetic titles with the same model, batch size and maximum number of tokens. The simple loop pads
every text to the maximum, as `padding="max_length"` does. Both are timed on every chunk of titles, in alternating
order, so that other work on the machine slows both equally. The simple loop encodes a random sample of each chunk
(`--plain-share`), `encode` encodes all of it. The time of `encode` includes its cache (look-ups, writing shards).
Loading the models is not timed. The vectors of the sample must agree. The exit code is 1 if `encode` is not three
times as fast.

`--against` adds sentence-transformers' `encode` and onnxruntime in float32 and int8 (`encode_against.py`). They encode
every chunk completely, in the same run. In float32 their vectors must agree; for int8, the lowest cosine is printed.
The exit code is also 1 if `recbole-li encode` is not 1.3 times as fast as the fastest of them. `--backend onnx`
measures `recbole-li encode` with onnxruntime, `--precision bf16` in half precision, with the lowest cosine to each.
"""

import random
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from common import make_parser
from encode_against import WAYS, Encode, make

from recbole_longinterest.text.cache import encode_cached, fill_cache
from recbole_longinterest.text.encoder import BACKENDS, TextEncoder
from recbole_longinterest.text.loaded import PRECISIONS
from recbole_longinterest.text.models import find_model, quiet_transformers

BAR, BAR_AGAINST = 3.0, 1.3  # required speed relative to the simple loop, and to the fastest of --against
WORDS = (
    "the of and for with in new classic ultra professional natural organic stainless steel wireless portable kids men "
    "women black white red blue silver large small pack set kit edition story return king dark night love last summer "
    "hair shampoo cream oil vitamin brush mirror camera lens cable charger battery speaker headphones watch shirt shoes"
)


def titles(number: int, seed: int) -> list[str]:
    """Generate distinct titles of 2 to 40 words, 9 on average, like titles of films and products."""
    draw = random.Random(seed)
    words = WORDS.split()
    lengths = (min(40, 2 + int(draw.expovariate(1 / 7))) for _ in range(number))
    return [f"{' '.join(draw.choices(words, k=length))} {place}".title() for place, length in enumerate(lengths)]


class PlainLoop:
    """The simple baseline: AutoModel, fixed padding, mean pooling."""

    def __init__(self, folder: Path, max_length: int, batch_size: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        with quiet_transformers():
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModel.from_pretrained(folder).eval()
        self.max_length, self.batch_size = max_length, batch_size

    @torch.no_grad()
    def encode(self, texts: list[str]) -> np.ndarray:
        """Encode texts to vectors [n, dim]."""
        parts = []
        for start in range(0, len(texts), self.batch_size):
            batch = self.tokenizer(
                texts[start : start + self.batch_size],
                padding="max_length",
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            )
            hidden = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            parts.append((hidden * mask).sum(dim=1) / mask.sum(dim=1))
        return torch.cat(parts).numpy()


def main() -> int:
    """Run the comparison and print the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--chunk", type=int, default=5_000, help="texts per chunk")
    parser.add_argument(
        "--plain-share", type=float, default=0.02, help="share of every chunk that the simple loop encodes"
    )
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=BACKENDS, default="torch", help="what runs ours: text_backend")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32", help="text_precision of ours")
    parser.add_argument("--against", action="store_true", help=f"compare with {', '.join(WAYS)}, too")
    args = parser.parse_args()

    texts = titles(args.texts, args.seed)
    draw = random.Random(args.seed)
    draw.shuffle(texts)
    ours = TextEncoder(
        args.encoder,
        pooling="mean",
        max_length=args.max_length,
        batch_size=args.batch_size,
        device="cpu",
        backend=args.backend,
        precision=args.precision,
    )
    model = find_model(args.encoder).folder
    plain = PlainLoop(model, args.max_length, args.batch_size)
    names = ["ours", "plain", *(WAYS if args.against else ())]
    seconds, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    rough = {name for name in names if name.endswith("int8")}  # compared by cosines only
    if args.precision != "fp32":
        rough.update(names[1:])
    cosine = dict.fromkeys(sorted(rough), 1.0)  # the lowest with ours
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        others: dict[str, Encode] = make(names[2:], model, Path(folder), args.max_length, args.batch_size)
        for encode in others.values():
            encode(["a text to warm up"])
        ours.encode(["a text to load the model"])
        plain.encode(["a text to warm up"])

        def run(name: str, chunk: list[str], sample: list[str]) -> None:
            start = perf_counter()
            if name == "ours":
                fill_cache(chunk, ours, cache, show_progress=False)
            elif name == "plain":
                vectors[name] = plain.encode(sample)
            else:
                vectors[name] = others[name](chunk)
            seconds[name] += perf_counter() - start
            counts[name] += len(sample if name == "plain" else chunk)

        for turn, place in enumerate(range(0, len(texts), args.chunk)):
            chunk = texts[place : place + args.chunk]
            sample = draw.sample(chunk, max(1, round(len(chunk) * args.plain_share)))
            vectors: dict[str, np.ndarray] = {}
            for name in names if turn % 2 == 0 else reversed(names):
                run(name, chunk, sample)
            places = {text: place for place, text in enumerate(chunk)}
            picked = [places[text] for text in sample]
            kept = unit(encode_cached(sample, ours, cache, show_progress=False))
            for name, table in vectors.items():
                other = unit(table if name == "plain" else table[picked])
                if name in rough:
                    cosine[name] = min(cosine[name], float((kept * other).sum(axis=1).min()))
                elif not np.allclose(kept, other, atol=1e-4):
                    sys.stdout.write(f"Ours and {name} give different vectors, so the comparison is not valid.\n")
                    return 1
            speed = {name: counts[name] / seconds[name] for name in counts}
            sys.stderr.write(f"\r{place + len(chunk)}/{len(texts)} {speed['ours'] / speed['plain']:.1f}x ")
    ratio = speed["ours"] / speed["plain"]
    sys.stdout.write(
        f"\n{args.encoder}, {args.texts} synthetic titles, at most {args.max_length} tokens, batches of "
        f"{args.batch_size}, {torch.get_num_threads()} thread(s), text_backend: {args.backend}, "
        f"text_precision: {args.precision}\n"
        f"ours:  {speed['ours']:8.1f} texts/s (all {counts['ours']} titles in {seconds['ours']:.0f} s, with cache)\n"
        f"plain: {speed['plain']:8.1f} texts/s (a random sample of {counts['plain']} of these titles in "
        f"{seconds['plain']:.0f} s, fixed padding)\n"
        f"ratio: {ratio:8.1f} (target: {BAR:g})\n"
    )
    against = BAR_AGAINST
    if others:
        for name in others:
            sys.stdout.write(f"{name}: {speed[name]:.1f} texts/s\n")
        against = speed["ours"] / max(speed[name] for name in others)
        sys.stdout.write(f"ratio to the best of these: {against:.2f} (target: {BAR_AGAINST:g})\n")
    for name, lowest in cosine.items():
        sys.stdout.write(f"lowest cosine of ours with {name}: {lowest:.4f}\n")
    return 0 if ratio >= BAR and against >= BAR_AGAINST else 1


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1, [n, dim]."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    sys.exit(main())
