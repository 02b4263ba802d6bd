"""The cache: what is known is not encoded again, and a bad cache costs time, never the run."""

import json
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from recbole_longinterest.text import cache
from recbole_longinterest.text.cache import default_cache_dir, encode_cached
from tests.conftest import FakeEncoder

TITLES = ["Toy Story", "Heat", "Drame é", "Toy Story", '"quoted"']


class OtherEncoder(FakeEncoder):
    identity = "other"


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_second_run_encodes_nothing(tmp_path: Path) -> None:
    first = FakeEncoder()
    vectors = encode_cached(TITLES, first, tmp_path)
    assert sorted(first.encoded) == sorted(set(TITLES))  # a repeated text once
    np.testing.assert_array_equal(vectors, FakeEncoder().encode(TITLES))
    second = FakeEncoder()
    again = encode_cached(TITLES, second, tmp_path)
    assert second.encoded == [] and again.dtype == np.float32
    np.testing.assert_array_equal(again, vectors)


def test_only_new_and_changed_texts_are_encoded(tmp_path: Path) -> None:
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    encoder = FakeEncoder()
    vectors = encode_cached(["new", *TITLES[:2], "Drame e\u0301"], encoder, tmp_path)  # é in two characters
    assert sorted(encoder.encoded) == ["Drame e\u0301", "new"]
    np.testing.assert_array_equal(vectors, FakeEncoder().encode(["new", *TITLES[:2], "Drame e\u0301"]))


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    other = OtherEncoder(dim=4)
    assert encode_cached(TITLES, other, tmp_path).shape == (5, 4) and len(other.encoded) == 4


def test_no_texts(tmp_path: Path) -> None:
    assert encode_cached([], FakeEncoder(), tmp_path).shape == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_documented(tmp_path: Path) -> None:
    encode_cached(TITLES, FakeEncoder(dim=16), tmp_path)
    (shard,) = shards(tmp_path)
    tensors = load_file(shard)
    assert (tensors["keys"].dtype, tensors["keys"].shape) == (np.uint8, (4, 32))
    assert (tensors["vectors"].dtype, tensors["vectors"].shape) == (np.float32, (4, 16))
    about = json.loads((shard.parent / "encoder.json").read_text("utf-8"))
    assert about == {"format": 1, "encoder": "fake", "dim": 16}
    assert {path.name for path in shard.parent.iterdir()} == {"encoder.json", shard.name}  # no temporary file is left


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ],
    ids=["truncated", "empty", "one bit"],
)
def test_damaged_shard_is_encoded_again(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    vectors = encode_cached(TITLES, FakeEncoder(), tmp_path)
    (shard,) = shards(tmp_path)
    shard.write_bytes(damage(shard.read_bytes()))
    encoder = FakeEncoder()
    np.testing.assert_array_equal(encode_cached(TITLES, encoder, tmp_path), vectors)
    assert len(encoder.encoded) == 4 and "its texts are encoded again" in caplog.text
    encode_cached(TITLES, later := FakeEncoder(), tmp_path)
    assert later.encoded == []  # the good shard took the damaged one's place


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"keys": np.zeros((2, 32), np.uint8)}, "not a shard"),
        ({"keys": np.zeros((2, 32), np.uint8), "vectors": np.zeros((3, 16), np.float32)}, "another shape or type"),
        ({"keys": np.zeros((2, 32), np.uint8), "vectors": np.zeros((2, 16))}, "another shape or type"),
        ({"keys": np.zeros((1, 32), np.uint8), "vectors": np.zeros((1, 5), np.float32)}, "dimensions, others"),
    ],
)
def test_a_stranger_among_the_shards_is_ignored(
    tmp_path: Path, tensors: dict[str, np.ndarray], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    (shard,) = shards(tmp_path)
    data = save(tensors)
    # Named after its content like a shard of ours, and after ours in the order of names.
    (shard.parent / f"{cache.sha256(data).hexdigest()}.safetensors").write_bytes(data)
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    assert message in caplog.text


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    vectors = encode_cached(TITLES, FakeEncoder(), blocked)
    np.testing.assert_array_equal(vectors, FakeEncoder().encode(TITLES))
    assert "cannot be written" in caplog.text and "Set RECBOLE_LI_CACHE to a folder that can be" in caplog.text


def test_a_full_disk_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert encode_cached(TITLES, FakeEncoder(), tmp_path).shape == (5, 16)
    assert "No space left on device" in caplog.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError("Permission denied")

    monkeypatch.setattr(Path, "is_dir", denied)
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    assert "cannot be read (Permission denied); the texts are encoded again" in caplog.text


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(FakeEncoder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            if self.encoded:
                raise KeyboardInterrupt
            return super().encode(texts)

    parts_of(3, monkeypatch)
    texts = [f"title {i}" for i in range(7)]
    with pytest.raises(KeyboardInterrupt):
        encode_cached(texts, Interrupted(), tmp_path)
    encoder = FakeEncoder()
    vectors = encode_cached(texts, encoder, tmp_path)
    assert len(encoder.encoded) == 4 and len(shards(tmp_path)) == 2
    np.testing.assert_array_equal(vectors, FakeEncoder().encode(texts))


@pytest.mark.parametrize(("limit", "value"), [("TEXTS_A_SHARD", 3), ("SECONDS_A_SHARD", 0.0)])
def test_shards_are_written_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    class Watched(FakeEncoder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            seen.append(len(shards(tmp_path)))
            return super().encode(texts)

    seen: list[int] = []
    parts_of(3, monkeypatch)
    monkeypatch.setattr(cache, limit, value)
    encode_cached([f"title {i}" for i in range(7)], Watched(), tmp_path)
    assert seen == [0, 1, 2] and len(shards(tmp_path)) == 3


def test_one_progress_bar_and_nothing_else(
    tmp_path: Path, tiny_bert: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.text.encoder import TextEncoder

    encoder = TextEncoder(str(tiny_bert), device="cpu", batch_size=1)
    monkeypatch.setattr(cache, "BATCHES_A_PART", 2)
    encode_cached(TITLES, encoder, tmp_path)
    out, err = capfd.readouterr()
    lines = {line.partition(":")[0].strip() for line in err.replace("\r", "\n").splitlines() if line.strip()}
    assert out == "" and lines == {"Encoding texts"} and "4/4" in err
    encode_cached(TITLES, encoder, tmp_path)  # all known
    encode_cached(["new"], encoder, tmp_path, show_progress=False)
    assert capfd.readouterr() == ("", "")


def test_what_a_full_disk_refuses_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full_then_free(monkeypatch, calls=[1])
    parts_of(3, monkeypatch)
    monkeypatch.setattr(cache, "TEXTS_A_SHARD", 3)
    texts = [f"title {i}" for i in range(7)]
    np.testing.assert_array_equal(encode_cached(texts, FakeEncoder(), tmp_path), FakeEncoder().encode(texts))
    assert caplog.text.count("No space left on device") == 1
    encode_cached(texts, later := FakeEncoder(), tmp_path)
    assert later.encoded == []


def test_filling_a_cache_that_must_be_kept_stops_at_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts_of(3, monkeypatch)
    monkeypatch.setattr(cache, "TEXTS_A_SHARD", 3)
    texts = [f"title {i}" for i in range(9)]
    with monkeypatch.context() as context:
        full_then_free(context, calls=range(2, 100))  # the first shard is written
        message = (
            r"are not cached: .* cannot be written \(No space left.*Earlier ones are kept\. Free disk space, or set"
        )
        with pytest.raises(cache.CacheError, match=message):
            cache.fill_cache(texts, FakeEncoder(), tmp_path, show_progress=False)
    filled = cache.fill_cache(texts, encoder := FakeEncoder(), tmp_path, show_progress=False)
    assert (filled.distinct, filled.known, len(encoder.encoded)) == (9, 3, 6)
    assert filled.folder == shards(tmp_path)[0].parent and not list(tmp_path.rglob("*.tmp"))


def parts_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many texts be encoded at a time."""
    monkeypatch.setattr(cache, "BATCHES_A_PART", 1)
    monkeypatch.setattr(FakeEncoder, "batch_size", size)


def full_then_free(monkeypatch: pytest.MonkeyPatch, calls: Sequence[int]) -> None:
    """Let the given calls of os.fsync for a file, where file systems tell it, find no room; encoder.json is call 0."""
    numbers = iter(range(10**6))

    def fsync(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode) and next(numbers) in calls:
            raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    lists = [[f"title {i}" for i in range(start, start + 20)] for start in (0, 0, 5, 10, 10, 15)]
    with ThreadPoolExecutor(len(lists)) as pool:
        results = list(pool.map(lambda texts: encode_cached(texts, FakeEncoder(), tmp_path), lists))
    for texts, vectors in zip(lists, results, strict=True):
        np.testing.assert_array_equal(vectors, FakeEncoder().encode(texts))
    encode_cached([f"title {i}" for i in range(35)], encoder := FakeEncoder(), tmp_path)
    assert encoder.encoded == [] and not list(tmp_path.rglob("*.tmp"))


def test_log_says_how_many(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    encode_cached(TITLES[:1], FakeEncoder(), tmp_path)
    caplog.clear()
    encode_cached(TITLES, FakeEncoder(), tmp_path)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("5 item texts (4 distinct): 1 vectors from the cache") and "3 encoded" in message


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    encode_cached(TITLES, FakeEncoder())
    assert len(shards(tmp_path / "own")) == 1
    monkeypatch.delenv("RECBOLE_LI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "recbole_longinterest"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative/path"):  # the XDG specification has relative paths ignored
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert default_cache_dir() == tmp_path / ".cache" / "recbole_longinterest"


def test_cached_texts_need_no_transformers(tmp_path: Path, tiny_bert: Path, python: Callable[..., object]) -> None:
    from recbole_longinterest.text.encoder import TextEncoder

    vectors = encode_cached(TITLES, TextEncoder(str(tiny_bert), device="cpu"), tmp_path, show_progress=False)
    np.save(tmp_path / "vectors.npy", vectors)
    python(
        """
import sys
for blocked in ("transformers", "tokenizers", "ray", "recbole.quick_start"):
    sys.modules[blocked] = None  # importing it raises ImportError
from pathlib import Path
import numpy as np
from recbole_longinterest.text import encoder, cache, reader, whitening
folder, model, *titles = sys.argv[1:]
vectors = cache.encode_cached(titles, encoder.TextEncoder(model, device="cpu"), Path(folder))
np.testing.assert_array_equal(vectors, np.load(Path(folder) / "vectors.npy"))
try:
    cache.encode_cached(["a new title"], encoder.TextEncoder(model, device="cpu"), Path(folder))
except ImportError:
    sys.exit(0)
sys.exit("a new text was encoded without transformers")
""",
        str(tmp_path),
        str(tiny_bert),
        *TITLES,
    )


def test_others_of_the_machine_may_read_the_cache(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        cache.fill_cache(["a", "b"], FakeEncoder(), tmp_path, show_progress=False)
    finally:
        os.umask(before)
    kinds = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {0o644}
