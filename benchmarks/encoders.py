"""What the text encoder contributes: LongInterest with other item vectors in place of those of MiniLM.

    uv run benchmarks/encoders.py --dataset ml-100k --seeds 3 --adapted FOLDER --joint --output encoders

The rows of one comparison (`recbole-li compare --rows`), so all slices, intervals and tests apply: without texts, with
random vectors in place of the texts, TF-IDF of the same texts reduced by a truncated SVD, MiniLM, an encoder that
`recbole-li adapt` tuned on this data set (--adapted), and MiniLM trained with the recommender's loss (--joint). All
vectors are whitened to `text_dim` columns. Finished runs in --output are reused. Every other --key=value is a setting
of all rows.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import add_data_arguments, make_parser, make_quiet_config
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from recbole_longinterest.data.item_texts import read_texts
from recbole_longinterest.experiments.comparison.compare import compare
from recbole_longinterest.experiments.comparison.plan import read_settings

COLUMNS = 256  # of the truncated SVD, before whitening


def main() -> None:
    """Write the vectors and the rows, compare, and print the summary."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-100k", "encoders")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 2020 on")
    parser.add_argument("--adapted", type=Path, help="folder of an encoder from recbole-li adapt")
    parser.add_argument("--joint", action="store_true", help="add the row with text_tuning: lora")
    parser.add_argument("--ties", default="file", help="file or random")
    args, settings = parser.parse_known_args()
    folder = args.output / args.dataset
    given: dict[str, Any] = {"data_path": args.data_path} if args.data_path else {}
    file = folder / "tfidf.npy"
    write_tfidf(args.dataset, {**read_settings([], settings), **given}, file)
    rows: dict[str, dict[str, Any]] = {"TF-IDF": {"text_vectors": str(file)}}
    rows |= {"adapted": {"text_encoder": str(args.adapted)}} if args.adapted else {}
    rows |= {"joint": {"text_tuning": "lora"}} if args.joint else {}
    (folder / "rows.yaml").write_text(yaml.safe_dump(rows, sort_keys=False), encoding="utf-8")
    compare(
        ["LongInterest"],
        [args.dataset],
        output=folder,
        seeds=range(2020, 2020 + args.seeds),
        ablations=["without text", "random text"],
        own_rows=rows,
        ties=[args.ties],
        settings=[*settings, *(f"--{key}={value}" for key, value in given.items())],
    )
    sys.stdout.write((folder / "summary.md").read_text(encoding="utf-8"))


def write_tfidf(dataset: str, given: dict[str, Any], file: Path) -> None:
    """Write TF-IDF vectors of the texts that the encoder reads, and the items' tokens beside them.

    Args:
        dataset: name of the data set.
        given: settings.
        file: the ``.npy`` file; the tokens are in a ``.txt`` file with the same name.
    """
    config = make_quiet_config("LongInterest", dataset, given)
    texts = {
        token: text for token, text in read_texts(config, Path(config["data_path"]) / f"{dataset}.item").items() if text
    }
    table = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts.values())
    vectors = TruncatedSVD(min(COLUMNS, min(table.shape) - 1), random_state=0).fit_transform(table)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, vectors.astype(np.float32))
    file.with_suffix(".txt").write_text("".join(f"{token}\n" for token in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
