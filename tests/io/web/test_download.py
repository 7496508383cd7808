"""Downloads from a server that cuts, lies, stalls and redirects."""

import hashlib
import random
import resource
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from ser.errors import FetchError
from ser.io.web.download import download_all
from ser.io.web.partial import Remote
from ser.io.web.requests import PATIENCE, Patience, opened
from support.publisher import Answer

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


def download(url, dest, *, patience=PATIENCE, **known):
    return download_all([Remote(url, dest, **known)], doing="test", patience=patience)[0]


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def patience(pauses):
    """Waits nothing, and notes what it would have waited."""
    return Patience(attempts=4, connect=2, read=0.3, sleep=pauses.append)


@pytest.fixture
def fetch(tmp_path, patience):
    def fetch_here(url, **known):
        return download(url, tmp_path / "in" / "file.bin", patience=patience, **known)

    return fetch_here


def left(tmp_path):
    folder = tmp_path / "in"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_file_comes_whole_and_leaves_nothing_beside_it(publisher, fetch, tmp_path):
    url = publisher.put("/f", BODY)
    assert fetch(url, size=len(BODY), md5=MD5, sha256=SHA256).read_bytes() == BODY
    assert left(tmp_path) == ["file.bin"]


def test_an_empty_file_comes_as_well(publisher, fetch):
    assert fetch(publisher.put("/f", b"")).read_bytes() == b""


def test_a_cut_download_goes_on_where_it_stopped(publisher, fetch, pauses):
    cuts = [Answer(BODY, etag='"1"', cut=100_000), Answer(BODY, etag='"1"', cut=50_000)]
    url = publisher.put("/f", *cuts, Answer(BODY, etag='"1"'))
    assert fetch(url).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=100000-", "bytes=150000-"]
    assert publisher.asked[1][1]["if-range"] == '"1"'
    assert len(pauses) == 2


def test_a_later_call_goes_on_as_well(publisher, tmp_path, patience, fetch):
    url = publisher.put("/f", Answer(BODY, etag='"1"', cut=120_000))
    impatient = Patience(attempts=1, sleep=lambda seconds: None)
    with pytest.raises(FetchError, match="fetch again later"):
        download(url, tmp_path / "in" / "file.bin", sha256=SHA256, patience=impatient)
    assert left(tmp_path) == ["file.bin.part", "file.bin.part.json"]
    publisher.put("/f", Answer(BODY, etag='"1"'))
    assert fetch(url, sha256=SHA256).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=120000-"]
    assert left(tmp_path) == ["file.bin"]


def test_a_file_that_is_here_and_fits_is_not_fetched_again(publisher, fetch):
    url = publisher.put("/f", BODY)
    fetch(url, sha256=SHA256)
    fetch(url, sha256=SHA256)
    assert len(publisher.asked) == 1
    fetch(publisher.put("/g", OTHER), sha256=hashlib.sha256(OTHER).hexdigest())
    assert len(publisher.asked) == 2


def test_progress_counts_each_byte_of_the_file_once(publisher, fetch, monkeypatch):
    counted = []
    monkeypatch.setattr("tqdm.tqdm.update", lambda self, count: counted.append(count))
    url = publisher.put("/f", Answer(BODY, cut=100_000), Answer(BODY, ranges=False))
    fetch(url, sha256=SHA256)
    assert sum(counted) == len(BODY)
    assert -100_000 in counted


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_validator_or_hash_nothing_is_joined(publisher, fetch, etag):
    url = publisher.put("/f", Answer(OTHER, etag=etag, cut=100_000), Answer(BODY, etag=etag))
    assert fetch(url).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, None]


def test_content_that_changed_is_fetched_from_its_start(publisher, fetch):
    url = publisher.put("/f", Answer(OTHER, etag='"1"', cut=100_000), Answer(BODY, etag='"2"'))
    assert fetch(url, sha256=SHA256).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=100000-"]


def test_content_that_changed_unseen_is_found_by_its_hash(publisher, fetch):
    # The server names no edition: only the hash tells that two halves do not fit.
    url = publisher.put("/f", Answer(OTHER, cut=100_000), BODY)
    assert fetch(url, sha256=SHA256).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    ("first", "total", "etag"),
    [(5, 300_000, '"1"'), (100_000, 400_000, '"1"'), (100_000, 300_000, '"2"'), ("x", "y", '"1"')],
)
def test_another_part_than_was_asked_for_is_not_joined(publisher, fetch, first, total, etag):
    # Nothing but this answer's headers tells: no hash is known.
    headers = {"Content-Range": f"bytes {first}-299999/{total}"}
    whole = Answer(BODY, etag='"1"')
    cut = Answer(BODY, etag='"1"', cut=100_000)
    url = publisher.put("/f", cut, Answer(OTHER[100_000:], 206, headers, etag=etag), whole)
    assert fetch(url).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=100000-", None]


def test_a_whole_part_that_was_not_renamed_needs_no_bytes(publisher, fetch, tmp_path):
    url = publisher.put("/f", Answer(BODY, cut=120_000))
    with pytest.raises(FetchError):
        download(url, tmp_path / "in" / "file.bin", patience=Patience(attempts=1))
    (tmp_path / "in" / "file.bin.part").write_bytes(BODY)
    asked = len(publisher.asked)
    assert fetch(url, size=len(BODY), sha256=SHA256).read_bytes() == BODY
    assert len(publisher.asked) == asked


def test_a_server_in_trouble_is_asked_again_ever_later(publisher, fetch, pauses):
    url = publisher.put("/f", Answer(status=500), Answer(status=503), Answer(status=502), BODY)
    assert fetch(url).read_bytes() == BODY
    for pause, ceiling in zip(pauses, (1, 2, 4), strict=True):
        assert ceiling / 2 <= pause <= ceiling


def test_retry_after_is_kept_to(publisher, fetch, pauses):
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    url = publisher.put(
        "/f",
        Answer(status=429, headers={"Retry-After": "7"}),
        Answer(status=503, headers={"Retry-After": in_a_minute}),
        BODY,
    )
    fetch(url)
    assert pauses[0] == 7
    assert 50 < pauses[1] <= 60


def test_a_wait_of_hours_is_left_to_the_person(publisher, fetch, pauses):
    url = publisher.put("/f", Answer(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(FetchError, match="asks to wait 7,200 s"):
        fetch(url)
    assert pauses == []


def test_it_gives_up_in_the_end(publisher, fetch, pauses):
    with pytest.raises(FetchError, match="failed 4 times, last because the server answered 500"):
        fetch(publisher.put("/f", Answer(status=500)))
    assert len(pauses) == 3


@pytest.mark.parametrize(("status", "said"), [(403, "refuses"), (404, "not there"), (410, "gone")])
def test_what_is_not_there_is_said_at_once(publisher, fetch, pauses, tmp_path, status, said):
    with pytest.raises(FetchError, match=f"{said}.*HTTP {status}"):
        fetch(publisher.put("/f", Answer(b"no", status)))
    assert pauses == []
    assert left(tmp_path) == []


def test_nobody_listens(publisher, fetch, pauses):
    publisher.server_close()
    with pytest.raises(FetchError, match="failed 4 times"):
        fetch(f"{publisher.url}/f")
    assert len(pauses) == 3


def test_a_stalled_server_is_asked_again(publisher, fetch):
    url = publisher.put("/f", Answer(BODY, stall=100_000), BODY)
    assert fetch(url, sha256=SHA256).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=100000-"]


def test_wrong_content_is_never_at_the_final_path(publisher, fetch, tmp_path):
    url = publisher.put("/f", OTHER)
    with pytest.raises(FetchError, match=f"found SHA256 .*, expected {SHA256}"):
        fetch(url, size=len(OTHER), sha256=SHA256)
    with pytest.raises(FetchError, match=f"found MD5 .*, expected {MD5}"):
        fetch(url, md5=MD5)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "lie",
    [
        Answer(BODY + b"x"),
        Answer(BODY[:-1]),
        Answer(b"<html>Please log in</html>", headers={"Content-Type": "text/html"}),
        Answer(BODY, length=len(BODY) - 10),
    ],
)
def test_another_length_than_published_is_refused_before_the_body(publisher, fetch, pauses, lie):
    with pytest.raises(FetchError, match="expected 300,000: another edition, or a page"):
        fetch(publisher.put("/f", lie), size=len(BODY))
    assert pauses == []


def test_a_length_that_claims_too_much_is_a_cut(publisher, fetch):
    url = publisher.put("/f", Answer(BODY[:1000], length=len(BODY)), BODY)
    assert fetch(url, size=len(BODY), sha256=SHA256).read_bytes() == BODY


def test_a_short_body_of_unknown_length_is_gone_on_with(publisher, fetch):
    url = publisher.put("/f", Answer(BODY[:1000], length=""), BODY)
    assert fetch(url, size=len(BODY), sha256=SHA256).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=1000-"]


def test_a_body_that_does_not_end_is_not_taken(publisher, fetch, tmp_path):
    with pytest.raises(FetchError, match="sends over 1,000 bytes"):
        fetch(publisher.put("/f", Answer(BODY, length="")), size=1000)
    assert left(tmp_path) == []


def test_packed_bytes_are_not_taken_for_the_file(publisher, fetch):
    with pytest.raises(FetchError, match="comes packed"):
        fetch(publisher.put("/f", Answer(BODY, headers={"Content-Encoding": "gzip"})))


def test_redirects_are_followed_ten_times(publisher, fetch):
    for i in range(11):
        publisher.put(f"/{i}", Answer(status=302, headers={"Location": f"/{i + 1}"}))
    publisher.put("/11", BODY)
    assert fetch(f"{publisher.url}/1").read_bytes() == BODY
    with pytest.raises(FetchError, match="redirects over 10 times"):
        download(f"{publisher.url}/0", fetch(f"{publisher.url}/1").with_name("other"))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://localhost/f", "gopher://localhost/f"]
)
def test_a_redirect_leads_to_the_web_or_nowhere(publisher, fetch, tmp_path, target):
    url = publisher.put("/f", Answer(status=302, headers={"Location": target}))
    with pytest.raises(FetchError, match="only http and https"):
        fetch(url)
    with pytest.raises(FetchError, match="only http and https"):
        fetch(target)
    assert left(tmp_path) == []


def test_a_redirect_does_not_leave_https():
    def answer(request):
        return httpx.Response(302, headers={"Location": "http://example.org/f"})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
        pytest.raises(FetchError, match="away from https"),
        opened(client, "https://example.org/f"),
    ):
        pass


def test_a_write_that_fails_is_one_line_and_what_came_is_kept(publisher, fetch):
    url = publisher.put("/f", Answer(BODY, etag='"1"'))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, before[1]))
    try:
        with pytest.raises(FetchError, match=r"could not be written .*Make room"):
            fetch(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fetch(url).read_bytes() == BODY
    assert publisher.ranges("/f") == [None, "bytes=120000-"]


def test_a_file_that_cannot_fit_is_not_begun(publisher, fetch):
    with pytest.raises(FetchError, match=r"has room for .* needs 1,000,000,000,000,000,000 more"):
        fetch(publisher.put("/f", BODY), size=10**18)
    assert publisher.asked == []


def remotes(publisher, tmp_path, count):
    files = []
    for i in range(count):
        body = random.Random(i).randbytes(2000 + i)
        url = publisher.put(f"/{i}", body)
        sha256 = hashlib.sha256(body).hexdigest()
        files.append(Remote(url, tmp_path / "all" / f"{i}.wav", len(body), sha256=sha256))
    return files


def test_many_files_come_at_once_and_only_what_lacks_comes_again(publisher, tmp_path, patience):
    files = remotes(publisher, tmp_path, 40)
    assert download_all(files, doing="all", patience=patience) == [f.dest for f in files]
    assert all(file.mismatch(file.dest) is None for file in files)
    files[3].dest.unlink()
    files[5].dest.write_bytes(bytes(2005))
    publisher.asked.clear()
    download_all(files, doing="all", patience=patience)
    assert sorted(path for path, _ in publisher.asked) == ["/3", "/5"]


def test_one_failure_stops_the_others_and_keeps_what_came(publisher, tmp_path, patience):
    files = remotes(publisher, tmp_path, 200)
    publisher.put("/0", Answer(status=404))
    with pytest.raises(FetchError, match="/0 is not there"):
        download_all(files, doing="all", threads=2, patience=patience)
    assert len(publisher.asked) < 200
    assert all(f.mismatch(f.dest) is None for f in files if f.dest.exists())
    assert threading.active_count() < 50


def test_no_bar_where_nobody_looks(publisher, tmp_path, capfd):
    download_all(remotes(publisher, tmp_path, 2), doing="all")
    assert capfd.readouterr().err == ""
