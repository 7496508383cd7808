"""Every command of README and guides runs, typed as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.main import get_command

from ser.bundle import bundle_sha256
from ser.cli import app
from ser.io.tracking.registry import registration
from support.guides import ROOT, Typist, applied, blocks, commands, pages, spans
from support.project import Project
from support.registry import promote, register_versions

#: Pages whose commands are typed by a test of what they are about.
ELSEWHERE = {
    "docs/howto/deploy.md": "tests/test_docker.py",
    "docs/howto/new-model.md": "tests/test_new_model.py",
    "docs/howto/serve-mlflow.md": "tests/io/tracking/test_serving_page.py",
    "docs/howto/notify.md": "tests/flows/test_notify.py",
    "docs/howto/stream.md": "tests/cli/test_stream.py",
    "docs/serving.md": "tests/serve/test_guide.py",
}
#: What no test can type, and why.
NEEDS = {
    "make test": "it is this suite",
    "ser corpus fetch ravdess": "the network; tests/io/intake fetch from a publisher here",
    "curl -fs -F file=@clip.wav http://127.0.0.1:8000/v1/predict": "tests/serve/test_guide does",
    "git clone … && cd … && make setup": "the network, and a new environment: CI does it",
    ".venv/bin/ser up --systemd": "tests/flows/servers/test_systemd runs it",
}


ADD_CALLS = "ser corpus add folder PATH --name calls"


def is_ser(span: str) -> bool:
    return re.match(r"ser [a-z]", span) is not None


@dataclass(frozen=True)
class Reader:
    """What a reader has prepared, and puts in place of the page's words."""

    prepare: Callable[[Typist], object]
    replaced: Mapping[str, str] = field(default_factory=dict)
    #: What is done before a command, by command.
    before: Mapping[str, Callable[[Typist], None]] = field(default_factory=dict)


def a_clip(typist: Typist) -> Path:
    return min((typist.project.root / "data/raw/synthetic").rglob("*.wav"))


def whole(typist: Typist) -> None:
    """All that a clone has beside what tests need."""
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "prefect.yaml"):
        shutil.copy(ROOT / name, typist.project.root / name)
    shutil.copy(ROOT / "pyproject.toml", typist.project.root)
    for ready in (".ready", ".ready-dev"):
        (typist.project.root / ".venv" / ready).touch()


def with_remote(typist: Typist) -> None:
    typist.project.run(
        "dvc", "remote", "add", "--default", "store", str(typist.project.root / "store")
    )


def readme(typist: Typist) -> None:
    whole(typist)
    with_remote(typist)
    (typist.project.root / "others").mkdir()
    shutil.copy(a_clip(typist), typist.project.root / "recording.wav")


def retrained(typist: Typist) -> None:
    """A champion that the flow has made, its record, and a remote."""
    whole(typist)
    commit(typist)
    typist.type("make run")
    typist.type("ser lineage --json > lineage.json")


def champions(typist: Typist) -> None:
    root = typist.project.root
    register_versions(root, root / "models/bundle", range(1, 8))
    for version in (3, 5):
        promote(root, version)


def spoken(typist: Typist) -> list[tuple[str, str, Path]]:
    """Speaker, emotion and file of each recording of the embedded corpus."""
    clips = sorted((typist.project.root / "data/raw/synthetic").rglob("*.wav"))
    return [(*clip.stem.split("_")[::2][:2], clip) for clip in clips]


def laid_out(typist: Typist, name: str) -> None:
    """The recordings in the folder PATH, called `name` of speaker, emotion and number."""
    folder = typist.project.root / "PATH"
    shutil.rmtree(folder, ignore_errors=True)
    for number, (speaker, emotion, clip) in enumerate(spoken(typist)):
        target = folder / name.format(speaker=speaker, emotion=emotion, number=number)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, target)


def again(name: str) -> Callable[[Typist], None]:
    """PATH in another layout, and no corpus of calls yet."""

    def prepare(typist: Typist) -> None:
        typist.type("ser corpus remove calls --yes")
        laid_out(typist, name)

    return prepare


def with_table(typist: Typist) -> None:
    again("{number}.wav")(typist)
    rows = [
        f"{number}.wav,{emotion},{speaker}"
        for number, (speaker, emotion, _) in enumerate(spoken(typist))
    ]
    table = "\n".join(["file,Mood,Who", *rows])
    (typist.project.root / "PATH/labels.csv").write_text(table)


def like_nemo(typist: Typist) -> None:
    """A folder as nEMO is published."""
    folder = typist.project.root / "nemo"
    (folder / "samples").mkdir(parents=True)
    head = ["file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age"]
    rows = ["\t".join(head)]
    for number, (speaker, emotion, clip) in enumerate(spoken(typist)):
        shutil.copy(clip, folder / "samples" / f"{number}.wav")
        rows.append("\t".join([f"{number}.wav", emotion, "Tak.", "tak", speaker, "female", "27"]))
    (folder / "data.tsv").write_text("\n".join(rows))


def as_ravdess(typist: Typist) -> None:
    """PATH with names as RAVDESS has them."""
    codes = {"neutral": "01", "happiness": "03", "sadness": "04", "anger": "05", "fear": "06"}
    folder = typist.project.root / "PATH"
    folder.mkdir()
    for speaker, emotion, clip in spoken(typist):
        if emotion in codes:
            actor = f"{int(speaker.removeprefix('spk')):02d}"
            shutil.copy(clip, folder / f"03-01-{codes[emotion]}-01-01-01-{actor}.wav")


def commit(typist: Typist) -> None:
    typist.type("git add --all && git commit -qm before")


def new_feature(typist: Typist) -> None:
    page, root = "docs/howto/new-feature.md", typist.project.root
    (code,) = blocks(page, "python")
    (root / "src/ser/core/features/tilt.py").write_text(code)
    for diff in blocks(page, "diff"):
        applied(diff, root)


def new_corpus(typist: Typist) -> None:
    page, root = "docs/howto/new-corpus.md", typist.project.root
    (code,) = blocks(page, "python")
    (root / "src/ser/corpora/published/acted.py").write_text(code)
    for diff in blocks(page, "diff"):
        applied(diff, root)
    codes = {"neutral": "NEU", "happiness": "HAP", "sadness": "SAD", "anger": "ANG"}
    (root / "PATH").mkdir()
    for speaker, emotion, clip in spoken(typist):
        if emotion in codes:
            sentence = int(clip.stem.split("_")[1].removeprefix("s"))
            name = f"sp{speaker.removeprefix('spk')}_{codes[emotion]}_s{sentence}.wav"
            shutil.copy(clip, root / "PATH" / name)


def with_corpora(typist: Typist) -> None:
    """Own corpora one and two, of three speakers each."""
    shutil.copy(ROOT / "pyproject.toml", typist.project.root)
    for name, speakers in (("one", "123"), ("two", "456")):
        for speaker, emotion, clip in spoken(typist):
            if speaker[-1] in speakers:
                target = typist.project.root / name / emotion / speaker / clip.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(clip, target)
        typist.type(f"ser corpus add folder {name} --name {name}")


def asked(typist: Typist) -> None:
    """A champion, and what it is asked about."""
    champions(typist)
    root, clips = typist.project.root, [clip for *_, clip in spoken(typist)]
    shutil.copy(clips[0], root / "clip.wav")
    for folder in ("my-noises", "my-rooms"):
        (root / folder).mkdir()
        rng = np.random.default_rng(7)
        noise = rng.standard_normal(16_000) * np.exp(-np.arange(16_000) / 2_000)
        soundfile.write(root / folder / "1.wav", 0.1 * noise, 16_000)
    for speaker, emotion, clip in spoken(typist):
        target = root / "clips" / emotion / speaker / clip.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, target)


def with_run(typist: Typist) -> None:
    """The project's model is champion, with the run that trained it."""
    root, run_id = typist.project.root, typist.project.json("reports/train.json")["run_id"]
    folder = root / "models/bundle"
    registration.register(
        root,
        folder,
        run_id=run_id,
        bundle_sha256=bundle_sha256(folder),
        scores={"uar": typist.project.json("reports/headline.json")["test"]["uar"]},
        tags={"split_sha256": "s" * 64},
    )
    promote(root, 1)
    typist.replaced = {**typist.replaced, "RUN": run_id}


def of_a_call(typist: Typist) -> None:
    """A champion, a call of two parties with labels, and a talk of one."""
    champions(typist)
    chosen = spoken(typist)[:8]
    parts = [soundfile.read(clip)[0] for *_, clip in chosen]
    (typist.project.root / "labels").mkdir()
    ends = np.cumsum([part.size for part in parts]) / 16_000
    rows = [
        f"{start:.3f},{end:.3f},{emotion},left"
        for start, end, (_, emotion, _) in zip([0.0, *ends[:-1]], ends, chosen, strict=True)
    ]
    text = "\n".join(["start,end,emotion,channel", *rows])
    (typist.project.root / "labels/call.csv").write_text(text)
    talk = np.concatenate(parts)
    soundfile.write(typist.project.root / "talk.flac", talk, 16_000)
    call = np.stack([talk, np.roll(talk, talk.size // 2)], axis=1)
    soundfile.write(typist.project.root / "call.wav", call, 16_000)


READERS: dict[str, Reader] = {
    "README.md": Reader(
        readme,
        {" …": "", "commit -m": "commit --allow-empty -m"},
        {"ser corpus add ravdess PATH": as_ravdess},
    ),
    "docs/howto/compare-runs.md": Reader(
        commit, {"dvc exp run": "dvc exp run --name variant", "apply NAME": "apply variant"}
    ),
    "docs/generalisation.md": Reader(
        with_corpora,
        {
            "--train ravdess --test nemo": "--train one --test two --model lda",
            "--train ravdess,cremad --test nemo,calls": "--train one --test two --model svc",
            "--corpus ravdess,nemo": "--model lda --set split.folds=2 --corpus one,two",
        },
    ),
    "docs/howto/corpus-pictures.md": Reader(lambda typist: None),
    "docs/howto/drift.md": Reader(champions),
    "docs/howto/explain.md": Reader(asked),
    "docs/howto/new-corpus.md": Reader(new_corpus),
    "docs/howto/new-feature.md": Reader(new_feature),
    "docs/howto/own-corpus.md": Reader(
        lambda typist: (
            with_remote(typist),
            like_nemo(typist),
            laid_out(typist, "{emotion}/{speaker}/{number}.wav"),
        ),
        {"ser corpus remove calls": "ser corpus remove calls --yes"},
        {
            ADD_CALLS + " --pattern '(?P<speaker>[^_/]+)_(?P<emotion>[a-z]+)_'": again(
                "{speaker}_{emotion}_{number}.wav"
            ),
            ADD_CALLS + " --table labels.csv --columns emotion=Mood,speaker=Who": with_table,
        },
    ),
    "docs/howto/report.md": Reader(with_run),
    "docs/howto/stress.md": Reader(asked),
    "docs/howto/reproduce.md": Reader(retrained, {"path/to/lineage.json": "lineage.json"}),
    "docs/howto/timeline.md": Reader(of_a_call),
    "docs/howto/verdict.md": Reader(
        lambda typist: (
            champions(typist),
            laid_out(typist, "{emotion}/{speaker}/{number}.wav"),
        ),
        {"ser roll-back": "ser roll-back --yes"},
    ),
    "docs/schedule.md": Reader(whole),
}


def test_every_page_with_commands_is_typed_by_somebody():
    with_commands = {page for page in pages() if commands(page)}
    assert with_commands == {*READERS, *ELSEWHERE}


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_who_is_said_to_type_a_page_reads_it(page, test):
    assert Path(page).name in (ROOT / test).read_text()


def test_what_is_left_out_stands_in_a_page():
    written = {command for page in READERS for command in commands(page)}
    assert set(NEEDS) - written == set()
    before = {command for reader in READERS.values() for command in reader.before}
    assert before - written == set()


@pytest.mark.parametrize("page", READERS)
def test_every_command_of_a_page_runs(project: Project, page):
    reader = READERS[page]
    typist = Typist(project, reader.replaced)
    reader.prepare(typist)
    try:
        for command in commands(page):
            reader.before.get(command, lambda _: None)(typist)
            if command not in NEEDS:
                typist.type(command)
    finally:
        if "make up" in typist.typed:
            typist.type("make down")
    assert set(typist.typed) & set(commands(page))


@pytest.mark.parametrize("page", [page for page in pages() if any(map(is_ser, spans(page)))])
def test_commands_within_a_line_are_there_with_their_options(page):
    for span in filter(is_ser, spans(page)):
        words = shlex.split(span.replace("…", "").replace("'", ""))[1:]
        command, path = get_command(app), []
        while words and words[0] in getattr(command, "commands", {}):
            path.append(words.pop(0))
            command = command.commands[path[-1]]
        assert path or not words or words[0].startswith("-"), f"{page}: no command {span!r}"
        if not command.context_settings.get("ignore_unknown_options"):
            known = {option for p in command.params for option in p.opts} | {"--debug", "--help"}
            asked = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert asked <= known, f"{page}: {span!r} has {asked - known}"


@pytest.mark.parametrize("page", pages())
def test_targets_of_make_within_a_line_are_there(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in spans(page):
        if match := re.match(r"make ([a-z]+)\b", span):
            assert match[1] in targets, f"{page}: {span!r}"


@pytest.mark.parametrize("page", ["README.md", "docs/howto/compare-runs.md"])
def test_lines_of_python_run(project: Project, page):
    typist = Typist(project)
    shutil.copy(a_clip(typist), project.root / "recording.wav")
    for number, block in enumerate(blocks(page, "python")):
        (project.root / f"block{number}.py").write_text(block)
        typist.type(f"python block{number}.py")
