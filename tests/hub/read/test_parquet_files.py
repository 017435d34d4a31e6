import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_prune.hub.read import parquet_files


def repeated(value, rows):
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [value])


def write(path, **columns):
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


def read(path, rows=1000, columns=None):
    return pa.Table.from_batches(parquet_files.read_batches(path, rows, columns))


def test_rows_are_read_as_they_are(tmp_path):
    files = pa.array([{"bytes": bytes([number]) * number, "path": None} for number in range(250)])
    lists = [[str(number)] * (number % 3) for number in range(250)]
    path = write(tmp_path / "x.parquet", image=files, n=pa.array(range(250)), tags=lists, nothing=pa.nulls(250))
    assert read(path, 100).to_pylist() == pq.read_table(path).to_pylist()
    assert read(path, 100, ["tags", "n"]).to_pylist() == pq.read_table(path, columns=["tags", "n"]).to_pylist()
    assert parquet_files.count_rows([path, path]) == 500
    with pytest.raises(ValueError, match=r"x\.parquet has no column 'other'"):
        read(path, columns=["n", "other"])
    assert parquet_files.read_schema(path).names == ["image", "n", "tags", "nothing"]


def test_more_rows_than_a_file_can_tell_of(tmp_path):
    path = write(tmp_path / "x.parquet", key=repeated("a" * 64, 1_100_000))
    with pytest.raises(
        ValueError, match=r"^x.parquet has 1,100,000 rows in [\d,]+ bytes, more than it can say anything of$"
    ):
        parquet_files.check_file(path)
    half = write(tmp_path / "half.parquet", key=repeated("a" * 64, 600_000))
    assert parquet_files.count_rows([half]) == 600_000
    with pytest.raises(ValueError, match="2 files have 1,200,000 rows"):
        parquet_files.count_rows([half, half])


def test_long_values_are_taken_out_of_their_dictionary_a_few_at_a_time(tmp_path):
    long = repeated(b"x" * 900_000, 200)
    path = write(tmp_path / "x.parquet", image=pa.StructArray.from_arrays([long, long], ["bytes", "path"]))
    assert path.stat().st_size < 10_000
    sizes = [batch.nbytes for batch in parquet_files.read_batches(path, 1000)]
    assert len(sizes) > 5
    assert max(sizes) < 1.1 * parquet_files._PIECE_BYTES
    more = repeated(b"x" * 900_000, 1300)
    path = write(tmp_path / "y.parquet", image=more)
    with pytest.raises(ValueError, match=r"^y.parquet becomes more than [\d,]+ bytes, which is too much$"):
        list(parquet_files.read_batches(path, 2000))


def test_more_bytes_than_are_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "MAX_BYTES", 1 << 20)
    table = pa.table({"x": [bytes(30 << 20)]})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(ValueError, match="which is more than is decompressed"):
        parquet_files.check_file(tmp_path / "x.parquet")


@pytest.mark.parametrize("data", [b"", b"PAR1" * 10, b"PAR1" + b"\xff" * 50 + b"\xff\xff\xff\x7fPAR1", b"x" * 100])
def test_what_is_no_parquet_is_said_in_one_line(tmp_path, data):
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    for call in (parquet_files.check_file, parquet_files.read_schema, read):
        with pytest.raises(ValueError, match=r"^x.parquet cannot be read \([ -~]+\)$"):
            call(path)
    with pytest.raises(OSError, match=r"nothing\.parquet"):
        parquet_files.check_file(tmp_path / "nothing.parquet")
