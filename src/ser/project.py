"""The project's root, and the paths of everything in it."""

from __future__ import annotations

from pathlib import Path

from ser.errors import SerError

RAW = Path("data/raw")
#: What comes in by itself: a folder for each corpus, and listeners' corrections.
INBOX = Path("data/inbox")
MANIFESTS = Path("data/interim/manifests")
MANIFEST = Path("data/interim/manifest.parquet")
FOLDS = Path("data/interim/folds.parquet")
AUDIT = Path("data/interim/audit.json")
FEATURES = Path("data/features")
AUGMENTED = Path("data/augmented")
EMBEDDINGS = Path("data/embeddings")
BUNDLE = Path("models/bundle")
TRAIN_RECEIPT = Path("reports/train.json")
DEV_PREDICTIONS = Path("reports/dev.parquet")
PREDICTIONS = Path("reports/predictions.parquet")
METRICS = Path("reports/metrics.json")
#: The few metrics that `dvc exp show` has columns for.
HEADLINE = Path("reports/headline.json")
#: Slices, intervals and mistakes of the test, for the report and the model card.
SLICES = Path("reports/slices.json")
CARD = Path("reports/model-card.md")
#: The page names other runs and the verdict, so no stage has it as an out.
REPORT = Path("reports/report.html")
PLOTS = Path("reports/plots")
FIGURES = Path("reports/figures")
#: The stress table, its metrics and its figure.
STRESS = Path("reports/stress.json")
STRESS_METRICS = Path("reports/robustness.json")
STRESS_FIGURE = Path("reports/stress.png")
#: The last look at recent answers, and its page; a machine's own, so no stage has them.
DRIFT = Path("reports/drift.json")
DRIFT_PAGE = Path("reports/drift.html")
#: Tables and pictures of the corpora, by the stage `explore`.
EXPLORED = Path("reports/explore")
#: Pages of corpora, by `ser plot`.
CORPUS_PAGES = Path("reports/corpus")
CHECKPOINTS = Path(".ser/checkpoints")


def find_root() -> Path | None:
    """The project that the current folder belongs to; None where it is in none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    return None


def project_root(*, otherwise: str = "") -> Path:
    """The project that the current folder belongs to; raises SerError where it is in none.

    otherwise : what can be done outside of a project.
    """
    root = find_root()
    if root is None:
        raise SerError(
            f"{Path.cwd()} is in no project: no params.yaml and dvc.yaml here or above. "
            f"cd to a project{otherwise}."
        )
    return root


def in_project(path: str) -> Path:
    """A path of params.yaml, relative to the project's root unless it is absolute."""
    return (find_root() or Path.cwd()) / Path(path).expanduser()
