"""Damaged files give one sentence or counted drops, never a traceback and never a half-written data set."""

import gzip
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recbole_longinterest.prepare.readers import files
from tests.prepare import layouts
from tests.prepare.sources.test_amazon import META_2018, REVIEWS, review_2014, review_2018, review_2023
from tests.prepare.sources.test_steam import GAMES, unicode_dicts
from tests.prepare.sources.test_steam import REVIEWS as STEAM

N_DAMAGED = 220
COLUMNS = ("--user", "u", "--item", "i", "--time", "t", "--rating", "r", "--text", "name")


def good_files(folder: Path) -> dict[str, tuple[list[Path], list[object]]]:
    """What each dialect reads, and the arguments that read it."""
    reviews = [make(*row) for make in (review_2014, review_2018, review_2023) for row in REVIEWS]
    amazon = layouts.gzipped(folder / "r.json.gz", layouts.json_lines(reviews))
    loose = folder / "meta.json"
    loose.write_text(layouts.dict_lines(META_2018))
    steam = layouts.gzipped(folder / "s" / "steam_reviews.json.gz", unicode_dicts(STEAM))
    games = layouts.gzipped(folder / "s" / "steam_games.json.gz", unicode_dicts(GAMES))
    table = folder / "log.csv"
    lines = [f'u{at % 7},i{at % 5},{1_600_000_000 + at},{at % 5},"name, {at} ""x"""' for at in range(60)]
    table.write_text("u,i,t,r,name\n" + "\n".join(lines) + "\n")
    hundred = layouts.ml_100k(folder / "ml-100k")
    million = layouts.ml_dat(folder / "ml-1m", half_stars=False, encoding="latin-1", tags=False)
    csv = layouts.ml_csv(folder / "ml-25m")
    packed = layouts.zipped(layouts.ml_csv(folder / "ml-latest"))
    return {
        "amazon": ([amazon, loose], ["amazon", "--reviews", amazon, "--meta", loose]),
        "steam": ([steam, games], ["steam", folder / "s"]),
        "csv": ([table], ["csv", table, *COLUMNS]),
        "100k": ([hundred / "u.data", hundred / "u.item"], ["movielens", hundred]),
        "1m": ([million / "ratings.dat", million / "movies.dat"], ["movielens", million]),
        "25m": ([csv / "ratings.csv", csv / "movies.csv", csv / "tags.csv"], ["movielens", csv]),
        "zip": ([packed], ["movielens", packed]),
    }


def unpacked(data: bytes) -> tuple[bytes, bool]:
    return (gzip.decompress(data), True) if data[:2] == files.GZIP_MAGIC else (data, False)


def cut_off(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 8)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def inside(change: Callable[[list[bytes], random.Random], list[bytes]]) -> Callable[[bytes, random.Random], bytes]:
    """Damage to the lines of a file, packed or not."""

    def damage(data: bytes, draw: random.Random) -> bytes:
        text, packed = unpacked(data)
        text = b"\n".join(change(text.split(b"\n"), draw))
        return gzip.compress(text) if packed else text

    return damage


def other_encoding(lines: list[bytes], draw: random.Random) -> list[bytes]:
    new = (
        "na\u00efve \u0416".encode(draw.choice(["utf-8", "utf-16", "koi8-r"]), "replace")
        if draw.random() < 0.8
        else b"\xff\xfe\xe9"
    )
    return [line.replace(b"1", new) if draw.random() < 0.3 else line for line in lines]


def other_separators(lines: list[bytes], draw: random.Random) -> list[bytes]:
    old, new = draw.sample([b",", b"\t", b"::", b"|", b";", b":"], 2)
    return [line.replace(old, new) if draw.random() < 0.7 else line for line in lines]


def fewer_columns(lines: list[bytes], draw: random.Random) -> list[bytes]:
    separator = max((b",", b"\t", b"::", b"|"), key=lines[0].count)
    n_columns, every = draw.randrange(1, 4), draw.random() < 0.5
    return [
        separator.join(line.split(separator)[:n_columns]) if every or draw.random() < 0.3 else line for line in lines
    ]


def huge_field(lines: list[bytes], draw: random.Random) -> list[bytes]:
    at, size = draw.randrange(len(lines)), draw.choice([2_000, 140_000, 300_000])
    huge = draw.choice([b"x", b"y ", b'"', b"{", b"[", b"\0"]) * size
    place = draw.randrange(len(lines[at]) + 1)
    return [*lines[:at], lines[at][:place] + huge + lines[at][place:], *lines[at + 1 :]]


def stray_quotes(lines: list[bytes], draw: random.Random) -> list[bytes]:
    return [draw.choice([b'"', b"'", b'"",']) + line if draw.random() < 0.2 else line for line in lines]


def shuffled(lines: list[bytes], draw: random.Random) -> list[bytes]:
    return draw.sample(lines, len(lines))


def other_ends(lines: list[bytes], draw: random.Random) -> list[bytes]:
    return [b"\r".join(lines)] if draw.random() < 0.5 else [line + b"\r" * draw.randrange(3) for line in lines]


def nulls(lines: list[bytes], draw: random.Random) -> list[bytes]:
    return [line.replace(b"1", draw.choice([b"\0", b"NaN", b"null", b"\xed\xa0\x80", b""])) for line in lines]


def empty(lines: list[bytes], draw: random.Random) -> list[bytes]:
    return draw.choice([[], [b"", b""], lines[:1], [b"\xef\xbb\xbf"]])


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(cut_off, flipped),
    *map(inside, (other_encoding, other_separators, fewer_columns, huge_field, stray_quotes)),
    *map(inside, (shuffled, other_ends, nulls, empty)),
]


@pytest.mark.slow
def test_damaged_files_give_a_sentence_or_counted_drops(prepare: Callable, tmp_path: Path) -> None:
    outcomes = {"error": 0, "drops": 0, "as good": 0}
    good = good_files(tmp_path)
    for number in range(N_DAMAGED):
        draw = random.Random(number)
        paths, arguments = good[sorted(good)[number % len(good)]]
        damage = DAMAGES[number // len(good) % len(DAMAGES)]
        path = paths[draw.randrange(len(paths))]
        before = path.read_bytes()
        path.write_bytes(damage(before, draw))
        try:
            done = prepare(*arguments, "--overwrite", may_fail=True)
            if done.code:
                outcomes["error"] += 1
                continue
            rows = done.report()["rows"]
            assert rows["read"] == rows["kept"] + sum(rows["dropped"].values()), (number, rows)
            assert rows["kept"] == len(done.rows()) > 0, number
            assert all(len(row) == len(done.rows()[0]) for row in done.rows())
            outcomes["drops" if rows["dropped"] else "as good"] += 1
        finally:
            path.write_bytes(before)
        assert sorted(entry.name for entry in done.output.iterdir()) == ["dataset_configs", "raw"], "scratch is left"
    assert outcomes["error"] > 40 and outcomes["drops"] > 40, outcomes


def test_a_gz_that_is_cut_off(prepare: Callable, tmp_path: Path) -> None:
    path = layouts.gzipped(tmp_path / "r.json.gz", layouts.json_lines(review_2018(*row) for row in REVIEWS * 50))
    path.write_bytes(path.read_bytes()[:-20])
    assert "It is truncated or damaged; download it again" in prepare("amazon", "--reviews", path, fails=True).err


def test_zip_bombs(prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RATIO_COUNTS_FROM", 2**20)
    text = "u,i,t,r,name\n" + "a,b,1,1,x\n" * 2_000_000
    path = layouts.gzipped(tmp_path / "log.csv.gz", text)
    assert "unpacks to more than 200 times its size" in prepare("csv", path, *COLUMNS, fails=True).err
    with zipfile.ZipFile(tmp_path / "log.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", text)
    assert "unpacks to more than 200 times" in prepare("csv", tmp_path / "log.zip", *COLUMNS, fails=True).err


def test_a_line_without_an_end(prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 2**20)
    monkeypatch.setattr(files, "BLOCK", 2**18)
    (tmp_path / "log.csv").write_bytes(b"u,i,t,r,name\n" + b"x" * 2**21)
    assert "line 2: more than 1 MB without a line end" in prepare("csv", tmp_path / "log.csv", *COLUMNS, fails=True).err


def test_a_long_text_is_cut_and_counted(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("u,i,t,r,name\na,b,1,1," + "word " * 40_000)
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert done.report()["item_rows"]["changed"] == {"texts longer than 10,000 characters, cut": 1}
    assert len(done.rows("item")[0]["name"]) <= 10_000
    assert "texts longer than 10,000 characters, cut" in done.out


@pytest.mark.parametrize("block", [40, 64, 1000])
def test_blocks_end_outside_of_quotes(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    lines = [f'u{at},i{at},{at},1,"{at}\nsecond ""line"""' for at in range(50)]
    (tmp_path / "log.csv").write_text("u,i,t,r,name\n" + "\n".join(lines))
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS, "--strict")
    assert [row["name"] for row in done.rows("item")] == [f'{at} second "line"' for at in range(50)]


def test_a_disk_that_is_full_leaves_what_was_there(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.prepare import write

    folder = layouts.ml_csv(tmp_path / "ml")
    prepare("movielens", folder)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_write_item", full)
    error = prepare("movielens", folder, "--overwrite", "--core", "2", fails=True).err
    assert "cannot be written: [Errno 28] No space left on device" in error


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"PK\x03\x04x", "a zip with another file extension, or an Excel file. Unpack or rename it"),
        (b"BZh91", "packed by bzip2"),
        (b"PAR1x", "a Parquet file with another file extension"),
    ],
)
def test_files_to_be_unpacked_first(prepare: Callable, tmp_path: Path, start: bytes, message: str) -> None:
    (tmp_path / "log.csv").write_bytes(start + b",i,t,r,name\na,b,1,1,x\n")
    assert message in prepare("csv", tmp_path / "log.csv", *COLUMNS, fails=True).err


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(6, b"\x01\x00", "is encrypted, password required"), (8, b"\x09\x00", "compression method is not supported")],
)
def test_a_zip_that_python_cannot_unpack(
    prepare: Callable, tmp_path: Path, offset: int, value: bytes, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.writestr("log.csv", "u,i,t,r,name\na,b,1,1,x\n")
    data = bytearray((tmp_path / "log.zip").read_bytes())
    for start, at in ((0, offset), (data.index(b"PK\x01\x02"), offset + 2)):  # here and in the directory
        data[start + at : start + at + 2] = value
    (tmp_path / "log.zip").write_bytes(bytes(data))
    error = prepare("csv", tmp_path / "log.zip", *COLUMNS, fails=True).err
    assert message in error and "Unpack the zip by other means" in error and "download it again" not in error


@pytest.mark.parametrize("text", ['[{"u": 1}, {"u": 2}]', '\n[\n  {"u": 1}\n]\n'])
def test_a_json_array(prepare: Callable, tmp_path: Path, text: str) -> None:
    (tmp_path / "log.json").write_text(text)
    assert (
        "is one JSON array. Write one record per line"
        in prepare("csv", tmp_path / "log.json", *COLUMNS, fails=True).err
    )


@pytest.mark.parametrize("block", [16, 10_000])
def test_lines_that_end_in_a_carriage_return_alone(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    (tmp_path / "log.csv").write_bytes(b"u,i,t,r,name\ra,b,1,1,x\rc,,2,1,y\r")
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [row["user_id"] for row in done.rows()] == ["a"]
    assert done.report()["rows"]["places"] == {"no item id": f"{tmp_path / 'log.csv'}, line 3"}


@pytest.mark.parametrize("text", ["u,i,t,r,name\n", "u,i,t,r,name"])
def test_a_file_without_a_row(prepare: Callable, tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    assert "These files have no rows" in prepare("csv", tmp_path / "log.csv", *COLUMNS, fails=True).err


def test_a_line_of_very_many_values(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(",".join(f"c{at}" for at in range(100_000)) + "\n1\n")
    error = prepare("csv", tmp_path / "log.csv", *COLUMNS, fails=True).err
    assert "c19, and 99,980 more. Check the names" in error and len(error) < 500


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.csv").write_text("u,i,t,r,name\n")

    def refused(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", "log.csv")

    monkeypatch.setattr(Path, "open", refused)
    error = prepare("csv", tmp_path / "log.csv", *COLUMNS, fails=True).err
    assert "Permission denied: 'log.csv'. Nothing was written." in error and "damaged" not in error
