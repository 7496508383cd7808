"""A user's table of labels, as spreadsheets and scripts save it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from ser.core.utterance.names import clean
from ser.corpora.own.columns import known
from ser.corpora.own.reading import read_bytes
from ser.errors import CorpusError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
#: First bytes of a file that is no text, and what to do with it.
NO_TEXT = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook; save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV UTF-8",
    b"\x1f\x8b": "packed (gzip); unpack it",
    b"BZh": "packed (bzip2); unpack it",
    b"\xfd7zXZ\x00": "packed (xz); unpack it",
    b"%PDF": "a PDF; save the table as CSV UTF-8",
}
#: A line above the header: blank, or a comment; a first column may be called `#`.
_ABOVE = re.compile(r'[^\S\r\n]*(?:"?#(?!"?[,;\t|])[^\r\n]*)?(?:\r\n?|\n)')
#: A line, or several, in one pair of quotes, as Excel saves a table that it holds in one column.
_WHOLE = re.compile(r'(?<![^\r\n])"((?:[^"]|"")*)"[,;\t ]*(?=[\r\n]|\Z)')
MARKS = {b"\xef\xbb\xbf": "UTF-8-sig", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class LabelTable:
    """A table as text: headers as written, one row a record, indexed by `line` of the file.

    notes : lines for the user on how it was read.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_label_table(path: Path) -> LabelTable:
    """A CSV, TSV or Parquet table, its columns unchecked; raises CorpusError.

    Delimiter (comma, semicolon, tab, vertical bar, or that of `sep=`), encoding (UTF-8, UTF-16,
    else Windows-1252), byte-order mark, quotes (of whole lines, too), blank lines and comments
    above the header are recognised.
    """
    content = read_bytes(path, remedy="Name a CSV or Parquet table.")
    if content.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return LabelTable(_parquet(content, path))
    for magic, what in NO_TEXT.items():
        if content.startswith(magic):
            raise CorpusError(f"{path} is {what}, then name that file.")
    try:
        text, notes = _text(content, path)
        return LabelTable(_table(text, path), notes)
    except (ValueError, csv.Error) as error:
        raise _unreadable(path, "CSV", str(error)) from error


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    try:
        # Integers beside a missing value would else become 3.0.
        rows = pd.read_parquet(io.BytesIO(content)).convert_dtypes().astype("string").fillna("")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, "Parquet", str(error)) from error
    rows.columns = rows.columns.map(str)
    return rows.reset_index(drop=True)


def _text(content: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    marked = next((e for mark, e in MARKS.items() if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:200]:
        # UTF-16 without its mark: each second byte of plain letters is zero.
        marked = "UTF-16-BE" if content[:1] == b"\0" else "UTF-16-LE"
    notes: tuple[str, ...] = ()
    try:
        text = content.decode(marked or "UTF-8")
    except UnicodeDecodeError as error:
        if marked:
            raise ValueError(f"it is not {marked}") from error
        try:
            text = content.decode("Windows-1252")
        except UnicodeDecodeError as again:
            raise ValueError("it is neither UTF-8 nor Windows-1252") from again
        strange = next(line for line in text.splitlines() if not line.isascii())
        notes = (
            f"{path} is not UTF-8; read as Windows-1252 ({strange.strip()[:60]}). If letters are "
            "wrong, save it as CSV UTF-8 and add it again.",
        )
    if "\0" in text:
        raise ValueError("it holds zero bytes")
    return text, notes


def _table(text: str, path: Path) -> pd.DataFrame:
    text, delimiter, first = _declared(text)
    text, above = _from_header(text)
    text = _unquoted(text)
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = delimiter or _worth(header_line)[2]
    records = [
        (line + first + above, fields) for line, fields in _records(text, delimiter) if any(fields)
    ]
    if not records:
        raise ValueError("it is empty")
    # Of a header that is marked as a comment.
    header = [clean(name).lstrip("# ") or name for name in records[0][1]]
    width = len(header)
    while width > 1 and not header[width - 1]:
        width -= 1
    # Spreadsheets end rows with delimiters of empty columns, which mean nothing.
    rows = [
        (line, fields if any(fields[width:]) else fields[:width]) for line, fields in records[1:]
    ]
    ragged = [(line, len(fields)) for line, fields in rows if len(fields) != width]
    if ragged:
        line, found = ragged[0]
        raise CorpusError(
            f"{path} has {len(ragged)} rows of another length than its header: line {line} has "
            f"{found} fields, expected {width} ({', '.join(header[:width])}), with a "
            f"{DELIMITERS.get(delimiter, repr(delimiter))} between. Mend the row; a field that "
            'holds the delimiter needs quotes ("…").'
        )
    named = [name or f"column {place}" for place, name in enumerate(header[:width], start=1)]
    return pd.DataFrame(
        [fields for _, fields in rows],
        columns=named,
        index=pd.Index([line for line, _ in rows], name="line"),
        dtype="string",
    )


def _declared(text: str) -> tuple[str, str | None, int]:
    """The text without Excel's line `sep=;`, its delimiter, and how many lines were removed."""
    line, _, rest = text.partition("\n")
    word = line.strip("\r\n\" '")
    if word.lower().startswith("sep=") and len(word) in (4, 5):
        # `strip` may have removed a tab.
        return rest, word[4:] or "\t", 1
    return text, None, 0


def _from_header(text: str) -> tuple[str, int]:
    """The text without blank lines and comments above its header, and how many were removed."""
    at = above = 0
    # A comment that names columns is the header.
    while (line := _ABOVE.match(text, at)) and _worth(line[0].replace("#", "", 1))[0] < 2:
        at, above = line.end(), above + 1
    return text[at:], above


def _unquoted(text: str) -> str:
    """The text without the quotes around whole lines, if the header then has more columns."""
    header = _WHOLE.match(text)
    if not header or _worth(header[1].replace('""', '"'))[1] == 1:
        return text
    return _WHOLE.sub(lambda line: line[1].replace('""', '"'), text)


def _worth(line: str) -> tuple[int, int, str]:
    """Of the delimiter that suits a header best: known names, columns, and itself."""
    found = []
    for delimiter in DELIMITERS:
        fields = next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
        found.append((known(fields), len(fields), delimiter))
    return max(found, key=lambda one: one[:2])


def _records(
    text: str, delimiter: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> list[tuple[int, list[str]]]:
    """(line it begins in, stripped fields) of each record; raises ValueError."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
    )
    records: list[tuple[int, list[str]]] = []
    line, error = 1, None
    try:
        for fields in reader:
            records.append((line, [field.strip() for field in fields]))
            line = reader.line_num + 1
    except csv.Error as caught:
        error = caught
    # In tab-separated text a quote is often but a quote, and would swallow lines.
    swallows = error or any("\n" in field for _, fields in records for field in fields)
    if swallows and delimiter == "\t" and quoting == csv.QUOTE_MINIMAL:
        return _records(text, delimiter, csv.QUOTE_NONE)
    if error:
        raise ValueError(f"line {line}: {error}; is a quote not closed?") from error
    return records


def _unreadable(path: Path, kind: str, why: str) -> CorpusError:
    return CorpusError(
        f"{path} is not readable as {kind} ({''.join(why.splitlines()[:1])}). Save it again as CSV "
        "UTF-8 or Parquet."
    )
