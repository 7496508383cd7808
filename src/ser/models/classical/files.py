"""scikit-learn estimators as bytes: safe to read, and equal for equal estimators."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from ser.errors import BundleError

#: What skops does not trust by itself, and we do: the score of feature selection, which only
#: computes, and trees, because `_is_sound` bounds their indices before anything is predicted.
#: scikit-learn follows those indices unchecked.
TRUSTED = (
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.tree._tree.Tree",
)
SCHEMA = "schema.json"
#: The earliest date that a zip archive can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)


def dump_estimator(estimator: Any) -> bytes:
    """A skops archive of the fitted estimator; equal estimators give equal bytes."""
    return _canonical(_skops().dumps(estimator))


def load_estimator(data: bytes, *, n_features: int) -> Any:
    """The estimator in `data`; raises BundleError on anything broken or not trusted."""
    try:
        untrusted = set(_skops().get_untrusted_types(data=data)) - set(TRUSTED)
        if not untrusted:
            estimator = _skops().loads(data, trusted=list(TRUSTED))
            sound = all(_is_sound(tree, n_features) for tree in _trees(estimator, seen=set()))
    except Exception as error:
        # skops meets crafted bytes with whatever they make Python raise.
        raise BundleError(
            f"The model cannot be read ({type(error).__name__}: {error}); expected a skops "
            "archive. Restore the bundle, or train the model again."
        ) from error
    if untrusted:
        raise BundleError(
            f"The model holds {', '.join(sorted(untrusted))}; expected scikit-learn's own types. "
            "Do not load it; train the model again."
        )
    if not sound:
        raise BundleError(
            "The model holds a tree with a node that points outside it; expected a tree that "
            "scikit-learn grew. Do not load it; train the model again."
        )
    return estimator


@cache
def _skops() -> ModuleType:
    """skops.io, imported without torch.

    On import skops walks all of scikit-learn, and with it an adapter that imports torch where it
    is installed: seconds and hundreds of megabytes that serving a classical model has no use for.
    """
    adapter = "sklearn.externals.array_api_compat.torch"
    blocked = adapter not in sys.modules
    if blocked:
        sys.modules[adapter] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("skops.io")
    finally:
        if blocked:
            del sys.modules[adapter]


def _canonical(data: bytes) -> bytes:
    """The same archive without what changes from process to process.

    skops names objects and arrays by their address in memory and dates the members. Here objects
    have no name, arrays are named by content, members are sorted and dated alike.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        members = {
            name: _without_padding(archive.read(name))
            for name in archive.namelist()
            if name != SCHEMA
        }
    name_of = {
        old: f"{hashlib.sha256(content).hexdigest()[:24]}.npy" for old, content in members.items()
    }
    contents = {name_of[old]: content for old, content in members.items()}
    contents[SCHEMA] = json.dumps(_renamed(schema, name_of), separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(contents):
            member = zipfile.ZipInfo(name, date_time=EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, contents[name])
    return buffer.getvalue()


def _without_padding(content: bytes) -> bytes:
    """The same array with zeros between its fields: a tree's nodes leave old memory there."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)  # zeros_like leaves the gaps as they are
    for name in array.dtype.names:
        clean[name] = array[name]
    # Not np.save: it copies through a buffer that has old memory between fields, too.
    buffer = io.BytesIO()
    header = np.lib.format.header_data_from_array_1_0(clean)
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + clean.tobytes()


def _renamed(node: Any, name_of: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(child, name_of) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: name_of[child]
        if key == "file" and isinstance(child, str)
        else _renamed(child, name_of)
        for key, child in node.items()
        if key != "__id__"
    }


def _trees(value: Any, *, seen: set[int]) -> Iterator[Any]:
    """Every tree within `value`, wherever an estimator may hide one."""
    if id(value) in seen:
        return
    seen.add(id(value))
    children: Iterable[Any] = ()
    if isinstance(value, Tree):
        yield value
    elif isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list | tuple):
        children = value
    elif isinstance(value, np.ndarray) and value.dtype == object:
        children = value.flat
    elif hasattr(value, "__dict__"):
        children = (vars(value),)
    for child in children:
        yield from _trees(child, seen=seen)


def _is_sound(tree: Any, n_features: int) -> bool:
    """Whether every node of the tree points inside its tree and features."""
    here = np.arange(tree.node_count)
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    # A child stands after its parent: no cycles, and prediction ends.
    inside = (left > here) & (right > here) & (left < here.size) & (right < here.size)
    inside &= (tree.feature >= 0) & (tree.feature < n_features)
    return here.size > 0 and tree.n_features == n_features and bool((leaf | inside).all())
