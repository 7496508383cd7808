import pytest

from ser.core.utterance.names import clean, doubtful, is_fit, spelling_key
from ser.output import printable

COMPOSED, DECOMPOSED = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize(
    "spelling",
    [
        *(
            DECOMPOSED,
            f" {COMPOSED}",
            f"{COMPOSED}\u00a0",
            f"\ufeff{COMPOSED}",
            f"{COMPOSED}\u200b",
        ),
        *(f"\t{COMPOSED}\r\n", f"{COMPOSED[:2]}\u2060{COMPOSED[2:]}", f"{COMPOSED}\ufe0f"),
    ],
)
def test_what_looks_the_same_is_the_same_name(spelling):
    assert clean(spelling) == COMPOSED


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *[("José", "JOSÉ"), ("Straße", "STRASSE"), ("anna", "ａｎｎａ"), ("Anna M", "anna\u3000m")],
        *[("Anna M", "AnnaM"), ("anna_m", "anna-m"), ("spk 1", "SPK01"), ("3", "03"), ("٣", "3")],
        *[("علی\u200cرضا", "علیرضا"), ("spk1", "spk\u20111")],
        *[("İBRAHİM", "ibrahim"), ("IŞIK", "ışık"), ("İnci", "inci"), ("O'Brien", "O’Brien")],
        *[("J. Smith", "J Smith"), ("Anna.", "Anna"), ("1.0", "1"), ("07", "7.0"), ("A.1", "A1")],
    ],
)
def test_spellings_of_one_name_have_one_key_and_leave_a_doubt(a, b):
    assert spelling_key(a) == spelling_key(b)
    assert len(doubtful([a, b, "another"])) == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *[
            ("1-1", "11"),
            ("s1 1", "s11"),
            ("10", "1"),
            ("spk1", "spk11"),
            ("a1", "a01b"),
            ("-", "_"),
        ],
        *[("José", "Josa"), ("", "-"), ("", "."), ("'", "."), ("?", "-")],
        *[("1.5", "15"), ("1.0", "10"), ("1.0", "1.01"), ("1.2", "1.20"), ("1.0.0", "1")],
    ],
)
def test_different_names_have_different_keys(a, b):
    assert spelling_key(a) != spelling_key(b)


def test_nothing_that_a_terminal_obeys_is_printed():
    assert printable("anna\x1b[2J\x9b1m\u202e\udcff") == r"anna\x1b[2J\x9b1m\u202e\udcff"
    assert printable("Zażółć gęślą jaźń\n") == "Zażółć gęślą jaźń\n"
    assert is_fit("Zażółć")
    assert not is_fit("a\x1b")
    assert not is_fit("a\udcff")


@pytest.mark.parametrize(
    "names",
    [
        [f"{number:02}" for number in range(1, 25)],
        ["SB0", "SB1", "EB0", "EB1", "KS0", "KS1"],
        [str(number) for number in range(1, 1001)],
        [f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"],
    ],
)
def test_ids_of_published_corpora_leave_no_doubt(names):
    assert doubtful(names) == []
