import numpy as np
import pandas as pd
import pytest

from ser.core.features.extract import Features
from ser.errors import DamagedFeatures, TableError
from ser.io.storage import shards
from ser.io.storage.shards import Recipe

RECIPE = Recipe({"sr": 16_000}, "code")
NAMES = ["mfcc_00_mean", "f0_p95"]


def some_features(seed: int) -> Features:
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 60))
    return Features(
        pd.Series(rng.normal(size=2).astype(np.float32), index=NAMES),
        rng.normal(size=(frames, 8)).astype(np.float16),
    )


@pytest.fixture
def folder(tmp_path):
    """Two shards: recordings r0 … r4, and r5 … r7."""
    written = {}
    for recordings in (range(5), range(5, 8)):
        features = [(f"r{i}", some_features(i)) for i in recordings]
        name = RECIPE.shard_name([sha256 for sha256, _ in features])
        written[name] = shards.write_shard(features, tmp_path / name)
    shards.write_index(tmp_path, RECIPE, written)
    return tmp_path


def test_features_come_back_bit_for_bit(folder):
    functionals = shards.read_functionals(folder)
    sequences = shards.read_sequences(folder)
    assert sorted(sequences) == [f"r{i}" for i in range(8)]
    for i in range(8):
        features = some_features(i)
        np.testing.assert_array_equal(functionals.loc[f"r{i}"], features.functionals)
        np.testing.assert_array_equal(sequences[f"r{i}"], features.log_mel)
    assert list(functionals.columns) == NAMES


def test_one_shard_is_read_alone(folder):
    features = shards.read_shard(folder / RECIPE.shard_name([f"r{i}" for i in range(5, 8)]))
    assert list(features) == ["r5", "r6", "r7"]
    np.testing.assert_array_equal(features["r6"].functionals, some_features(6).functionals)
    np.testing.assert_array_equal(features["r6"].log_mel, some_features(6).log_mel)


def test_the_same_features_give_the_same_bytes_and_name(tmp_path):
    features = [("r1", some_features(1))]
    first = shards.write_shard(features, tmp_path / "a.arrow")
    assert first == shards.write_shard(features, tmp_path / "b.arrow")
    assert RECIPE.shard_name(["r1"]) == Recipe({"sr": 16_000}, "code").shard_name(["r1"])


@pytest.mark.parametrize(
    "other", [Recipe({"sr": 8_000}, "code"), Recipe({"sr": 16_000}, "other code")]
)
def test_other_parameters_or_code_make_other_shards(folder, other):
    assert other.shard_name(["r1"]) != RECIPE.shard_name(["r1"])
    assert shards.intact_shards(folder, other) == {}


def test_every_flipped_byte_is_noticed(folder):
    """Each byte of the index, and bytes all over a shard."""
    shards.check_shards(folder)
    shard = next(folder.glob("*.arrow"))
    rng = np.random.default_rng(0)
    places = [(shard, int(at)) for at in rng.integers(0, shard.stat().st_size, 50)]
    index = folder / shards.INDEX
    places += [(index, at) for at in range(index.stat().st_size)]
    unnoticed = []
    for path, at in places:
        content = bytearray(path.read_bytes())
        kept = content[at]
        content[at] ^= 0b100
        path.write_bytes(content)
        try:
            shards.check_shards(folder)
            unnoticed.append((path.name, at))
        except (DamagedFeatures, TableError):
            pass
        content[at] = kept
        path.write_bytes(content)
    assert unnoticed == []


def test_a_damaged_shard_is_not_intact_and_the_other_is(folder):
    shard = next(folder.glob("*.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    intact = shards.intact_shards(folder, RECIPE)
    assert set(intact) == {path.name for path in folder.glob("*.arrow")} - {shard.name}
    with pytest.raises(DamagedFeatures, match=f"{shard.name} has SHA-256.*featurize"):
        shards.check_shards(folder)


def test_a_missing_shard_and_a_cut_one_are_named(folder):
    shard = next(folder.glob("*.arrow"))
    content = shard.read_bytes()
    shard.write_bytes(content[:40])
    with pytest.raises(DamagedFeatures, match="no readable shard"):
        shards.read_shard(shard)
    shard.unlink()
    with pytest.raises(DamagedFeatures, match="is missing"):
        shards.check_shards(folder)


def test_shards_that_the_index_does_not_name_are_deleted(folder):
    intact = shards.intact_shards(folder, RECIPE)
    kept = dict(list(intact.items())[:1])
    shards.write_index(folder, RECIPE, kept)
    assert [path.name for path in folder.glob("*.arrow")] == list(kept)
