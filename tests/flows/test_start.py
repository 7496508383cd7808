"""What ends `python -m flows.retrain` before the flow starts."""

import pytest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data__corpora": ["ravdes"]}, "Did you mean ravdess?"),
        ({"data__corpora": ["ravdess"]}, "data/raw/ravdess does not exist"),
        ({"sead": 1}, "Did you mean seed?"),
    ],
)
def test_what_is_misspelt_or_missing_is_one_line_and_no_flow_run(
    checkout, tmp_path, changed, words
):
    project = checkout.copied_to(tmp_path)
    project.set(**changed)
    done = project.run("flows.retrain")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
