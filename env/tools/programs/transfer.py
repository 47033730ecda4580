"""How a value travels from the process of a program that nobody trusts to the one that compares it.

The form is pickle's, but what reads it is not: only classes of values (arrays, tables, tensors, estimators, figures)
can be named, no function but the few makers below and those that pandas and NumPy rebuild their values with, no
attribute of anything, and nothing can be changed but objects that the text itself makes. An object of a class that a
program has written cannot be read, so none can answer a comparison in its own way. Standard library only; the
libraries are looked for among what the process has imported.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import sys
import types
from typing import Any

PLAIN = {
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "range", "set"}
    | {"slice", "str", "tuple", "object", "Ellipsis", "NotImplemented"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone", "tzinfo"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
    "itertools": {"count", "cycle"},  # of a figure's colours
    "pandas": {"NA"},
    "pandas._libs.missing": {"NA"},
    "pytz": {"_UTC", "_p"},
}
# Functions by which libraries rebuild their own values; everything else of theirs must be a class.
REBUILDING = {
    "_new_Index",
    "_new_DatetimeIndex",
    "_new_IntervalIndex",
    "_new_PeriodIndex",
    "_new_TimedeltaIndex",
    "_timedelta_unpickle",
    "_unpickle_block",
    "_unpickle_timestamp",
    "__randomstate_ctor",
    "__generator_ctor",
    "__bit_generator_ctor",
    "__pyx_unpickle_NDArrayBacked",
    "__pyx_unpickle_BlockPlacement",
    "__pyx_unpickle_SeedSequence",
    "_unpickle_BlockPlacement",
    "_nat_unpickle",
    "_reconstruct_freq",
    "newObj",
    "_format_coord",
    "_format_with_dict",
    "_remove_cbar_axes",
    "_stale_axes_callback",
    "_picklable_class_constructor",
    "subplot_class_factory",
}
# The kinds of values by library: a class must be one of these or inherit from one, "" for any class of the module.
KINDS = {
    "numpy": (
        "numpy:generic",
        "numpy:poly1d",
        "numpy.polynomial.polynomial:ABCPolyBase",
        "numpy.random:RandomState",
        "numpy.random:Generator",
        "numpy.random:BitGenerator",
        "numpy.random:SeedSequence",
    ),
    "pandas": (
        "pandas.core.generic:NDFrame",
        "pandas:Index",
        "pandas.api.extensions:ExtensionArray",
        "pandas.api.extensions:ExtensionDtype",
        "pandas.core.internals.base:DataManager",
        "pandas.core.internals.managers:BaseBlockManager",
        "pandas._libs.internals:BlockPlacement",
        "pandas._libs.internals:BlockManager",
        "pandas.tseries.offsets:BaseOffset",
        "pandas:Timestamp",
        "pandas:Timedelta",
        "pandas:Period",
        "pandas:Interval",
        "pandas.core.indexes.frozen:FrozenList",
        "pandas._libs.sparse:SparseIndex",
        "matplotlib.ticker:TickHelper",
    ),
    "scipy": ("scipy.sparse:spmatrix", "scipy.sparse:sparray", "builtins:dict"),
    "sklearn": (
        "sklearn.base:BaseEstimator",
        "sklearn.model_selection:BaseCrossValidator",
        "sklearn.model_selection:BaseShuffleSplit",
        "sklearn.utils:Bunch",
        "sklearn.tree._tree:Tree",
        "sklearn.neighbors:KDTree",
        "sklearn.neighbors:BallTree",
        "sklearn.metrics:DistanceMetric",
        "sklearn._loss.loss:BaseLoss",
        "sklearn._loss.link:BaseLink",
        "sklearn._loss.link:Interval",
        "sklearn._loss._loss:CyLossFunction",
    ),
    "torch": ("torch:Size",),
    "matplotlib": ("",),
    "mpl_toolkits": ("",),
    "cycler": ("",),
}
# Of matplotlib: what draws and what a figure is made of, not what runs other programs or keeps windows.
NO_FIGURE = {"animation", "pyplot", "testing", "texmanager", "sphinxext", "widgets", "style", "backends", "dviread"}
# The methods by which the parts of a figure know each other: legends, colour bars, markers, transforms.
METHODS = {
    *("remove", "delaxes", "_remove_legend", "_remove_suplabel", "_findoffset", "_locate", "get_subplotspec"),
    *("_cbar_cla", "_get_view", "_set_view", "_set_view_from_bbox", "drag_pan"),
    *("get_affine", "get_matrix", "inverted", "transform", "transform_affine", "transform_non_affine"),
    *("transform_path", "transform_path_affine", "transform_path_non_affine"),
}
MARKER = "_set_"  # how those of a marker begin
BOUND = (types.MethodType, types.BuiltinMethodType)
NO_VALUES = {"__main__", "conftest", "setup", "tests", "testing", "_testing"}


class Unreadable(Exception):
    """What was sent is no value of a known kind."""


def dumps(value: Any) -> bytes:
    """`value` as bytes for `loads`. Raises whatever the value's own code raises."""
    buffer = io.BytesIO()
    Packer(buffer, protocol=4).dump(value)
    return buffer.getvalue()


def loads(data: bytes, masked: bool = False) -> Any:
    """The value in `data`, whoever wrote it. Raises Unreadable.

    `masked`: whether an array may be masked; masked items compare equal to everything.
    """
    try:
        return Unpacker(io.BytesIO(data), masked).load()
    except Unreadable:
        raise
    except Exception as error:  # pickle's reader may raise anything on what is none
        raise Unreadable(f"{type(error).__name__}: {error}"[:300]) from None


# -- writing -----------------------------------------------------------------------------------------------------------


class Packer(pickle.Pickler):
    """Writes arrays and tensors by their contents; the rest as pickle does."""

    def reducer_override(self, value: Any) -> Any:
        root = type(value).__module__.partition(".")[0]
        if root == "numpy" or "numpy" in sys.modules and isinstance(value, sys.modules["numpy"].ndarray):
            return reduce_numpy(value, sys.modules["numpy"])
        if "torch" in sys.modules and root == "torch":
            return reduce_torch(value, sys.modules["torch"])
        if root == "scipy" and isinstance(value, tuple):
            return tuple, (list(value),)  # a result with names: some hold what cannot be sent
        if root == "scipy" and getattr(value, "format", None) == "dok":
            return make_dok, (value.tocoo(),)
        if root == "zoneinfo":
            return make_zone, (value.key,)
        if root == "matplotlib" and type(value).__name__ == "CallbackRegistry":
            return make_callbacks, ()  # which a picture of what was drawn does not need
        if isinstance(value, BOUND) and _is_of_figure(value.__self__, value.__name__):
            return make_method, (value.__self__, value.__name__)
        if root == "tensorflow" and hasattr(value, "numpy"):
            return make_tensorflow, (value.numpy(), value.dtype.name)
        return NotImplemented


def reduce_numpy(value: Any, numpy: Any) -> Any:
    if isinstance(value, numpy.ma.MaskedArray):
        return make_masked, (value.filled(value.fill_value), numpy.ma.getmaskarray(value))
    if isinstance(value, numpy.ndarray):
        if type(value) not in (numpy.ndarray, numpy.matrix):
            value = numpy.asarray(value)
        kind = "matrix" if isinstance(value, numpy.matrix) else ""
        plain = numpy.asarray(value)
        if plain.dtype.hasobject and plain.dtype.names is None:
            return make_objects, (kind, plain.shape, plain.ravel().tolist())
        if plain.dtype.hasobject or plain.dtype.kind not in "biufcSUmMV":
            raise TypeError(f"an array of {plain.dtype} cannot be sent")
        return make_array, (kind, plain.dtype, plain.shape, plain.tobytes())
    if isinstance(value, numpy.generic):
        return make_scalar, (numpy.asarray(value),)
    if isinstance(value, numpy.dtype):
        return make_dtype, (value.str if value.names is None else describe_fields(value),)
    return NotImplemented


def describe_fields(dtype: Any) -> dict[str, Any]:
    """A structured dtype with its gaps, as numpy.dtype takes it."""
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [field[0] for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def reduce_torch(value: Any, torch: Any) -> Any:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        if plain.layout != torch.strided:
            plain = plain.coalesce()
            return make_sparse_tensor, (plain.indices(), plain.values(), tuple(plain.shape))
        name = str(plain.dtype).rpartition(".")[2]
        if plain.dtype == torch.bfloat16:
            plain = plain.view(torch.int16)
        return make_tensor, (plain.numpy(), name, bool(value.requires_grad))
    if isinstance(value, torch.dtype):
        return make_torch_dtype, (str(value).rpartition(".")[2],)
    return NotImplemented


# -- makers ------------------------------------------------------------------------------------------------------------


def make_array(kind: str, dtype: Any, shape: tuple[int, ...], data: bytes) -> Any:
    numpy = sys.modules["numpy"]
    array = numpy.frombuffer(data, dtype=dtype).reshape(shape).copy() if len(data) else numpy.zeros(shape, dtype)
    return numpy.asmatrix(array) if kind == "matrix" else array


def make_objects(kind: str, shape: tuple[int, ...], items: list[Any]) -> Any:
    numpy = sys.modules["numpy"]
    array = numpy.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    array = array.reshape(shape)
    return numpy.asmatrix(array) if kind == "matrix" else array


def make_scalar(array: Any) -> Any:
    return array[()]


def make_dtype(description: Any) -> Any:
    return sys.modules["numpy"].dtype(description)


def make_masked(data: Any, mask: Any) -> Any:
    return sys.modules["numpy"].ma.MaskedArray(data, mask)


def make_tensor(array: Any, dtype: str, requires_grad: bool) -> Any:
    torch = sys.modules["torch"]
    tensor = torch.from_numpy(array)
    tensor = tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
    return tensor.requires_grad_() if requires_grad else tensor


def make_sparse_tensor(indices: Any, values: Any, shape: tuple[int, ...]) -> Any:
    return sys.modules["torch"].sparse_coo_tensor(indices, values, shape).coalesce()


def make_torch_dtype(name: str) -> Any:
    torch = sys.modules["torch"]
    dtype = getattr(torch, name)
    if not isinstance(dtype, torch.dtype):
        raise Unreadable(f"torch.{name} is no type of numbers")
    return dtype


def make_dok(matrix: Any) -> Any:
    return matrix.asformat("dok")


def make_zone(key: str) -> Any:
    return importlib.import_module("zoneinfo").ZoneInfo(key)


def make_callbacks() -> Any:
    return importlib.import_module("matplotlib.cbook").CallbackRegistry()


def make_method(owner: Any, name: str) -> Any:
    """One of METHODS."""
    if not _is_of_figure(owner, name):
        raise Unreadable(f"{type(owner).__name__}.{name} is no part of a figure")
    return getattr(type(owner), name).__get__(owner)


def _is_of_figure(owner: Any, name: str) -> bool:
    if type(owner) is list:
        return name == "remove"
    drawn = type(owner).__module__.partition(".")[0] in ("matplotlib", "mpl_toolkits")
    return drawn and (name in METHODS or name.startswith(MARKER) and type(owner).__name__ == "MarkerStyle")


def make_tensorflow(array: Any, dtype: str) -> Any:
    return sys.modules["tensorflow"].convert_to_tensor(array, dtype=dtype)


MAKERS = {
    *(make_array, make_objects, make_scalar, make_dtype, make_masked),
    *(make_tensor, make_sparse_tensor, make_torch_dtype, make_tensorflow),
    *(make_dok, make_zone, make_callbacks, make_method),
}


# -- reading -----------------------------------------------------------------------------------------------------------


_Unpickler: Any = getattr(pickle, "_Unpickler")  # noqa: B009  # the one in Python, whose steps can be checked


class Unpacker(_Unpickler):
    """Makes values of known kinds and nothing else."""

    dispatch = dict(_Unpickler.dispatch)
    for _code in (pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.BINPERSID):
        del dispatch[_code[0]]

    def __init__(self, file: io.BytesIO, masked: bool) -> None:
        super().__init__(file)
        self._masked = masked
        self._found: list[Any] = []  # what was named, and so may be called

    def find_class(self, module: str, name: str) -> Any:
        found = find(module, name)
        if found is make_masked and not self._masked:
            raise Unreadable("a masked array, where the answer is none")
        self._found.append(found)
        return found

    def load_reduce(self) -> None:
        self._check_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        self._check_callable(self.stack[-2])
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        self._check_callable(self.stack[-3])
        super().load_newobj_ex()

    def load_build(self) -> None:
        target = self.stack[-2]
        if any(target is found for found in self._found) or isinstance(target, type):
            raise Unreadable("a class would be changed")
        super().load_build()

    def _check_callable(self, value: Any) -> None:
        if not any(value is found for found in self._found):
            raise Unreadable("something would be called that was not named")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BUILD[0]] = load_build


def find(module: str, name: str) -> Any:
    """The class or maker of that name. Raises Unreadable where it is none that a value may be made of."""
    if module == __name__ or module == "transfer":
        return next((maker for maker in MAKERS if maker.__name__ == name), None) or _refuse(module, name)
    if name in PLAIN.get(module, ()):
        return getattr(importlib.import_module(module), name)
    parts = module.split(".")
    if parts[0] not in KINDS or NO_VALUES & set(parts) or (parts[0] == "matplotlib" and NO_FIGURE & set(parts)):
        _refuse(module, name)
    found: Any = importlib.import_module(module)
    for place, part in enumerate(name.split(".")):  # a class may stand in a class, and in nothing else
        found = getattr(found, part, None) if not place or isinstance(found, type) else None
    if name.rpartition(".")[2] in REBUILDING and callable(found):
        return found
    if parts[0] == "numpy" and isinstance(found, sys.modules["numpy"].ufunc):
        return found
    if isinstance(found, type) and any(_is_kind(found, kind, parts[0]) for kind in KINDS[parts[0]]):
        return found
    return _refuse(module, name)


def _is_kind(found: type, kind: str, root: str) -> bool:
    if not kind:
        return found.__module__.partition(".")[0] == root
    module, _, name = kind.partition(":")
    base = getattr(sys.modules.get(module), name, None)
    return isinstance(base, type) and issubclass(found, base) and found.__module__.partition(".")[0] == root


def _refuse(module: str, name: str) -> Any:
    raise Unreadable(f"{module}.{name} is no value")


# -- figures -----------------------------------------------------------------------------------------------------------


class Figures:
    """The figures that a program draws, and the pictures that it saves as PNG, to be sent in place of files."""

    def __init__(self) -> None:
        self.pictures: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}

    def watch(self) -> None:
        """Take the place of savefig from now on; nothing to do where matplotlib is not imported."""
        figure = sys.modules.get("matplotlib.figure")
        if figure is None:
            return
        self._settings = dict(sys.modules["matplotlib"].rcParams)
        save, pictures = figure.Figure.savefig, self.pictures

        def savefig(this: Any, target: Any, *arguments: Any, **options: Any) -> None:
            if not isinstance(target, (str, os.PathLike)):
                save(this, target, *arguments, **options)
                return
            buffer = io.BytesIO()
            save(this, buffer, *arguments, **options | {"format": "png"})
            pictures[os.fspath(target)] = read_picture(buffer)

        figure.Figure.savefig = savefig

    def state(self) -> dict[str, Any]:
        """What was drawn: every open figure, which one is the current, settings that have changed, pictures."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or not (pyplot.get_fignums() or self.pictures):
            return {}
        settings = sys.modules["matplotlib"].rcParams
        changed = {name: settings[name] for name in settings if self._settings.get(name) != settings[name]}
        figures = []
        for number in pyplot.get_fignums():
            try:
                figures.append(dumps(pyplot.figure(number)))
            except Exception:  # what a figure holds may be anything; its picture is there all the same
                figures.append(b"")
        plain = {name: value for name, value in changed.items() if isinstance(value, (bool, int, float, str, list))}
        current = pyplot.get_fignums().index(pyplot.gcf().number) if figures else 0
        return {"figures": figures, "current": current, "settings": plain, "pictures": self.pictures}


def read_picture(buffer: io.BytesIO) -> Any:
    import numpy
    from PIL import Image

    buffer.seek(0)
    return numpy.array(Image.open(buffer))


def show(state: dict[str, Any]) -> None:
    """Have `state`, which a program has sent, as pyplot's own: its figures open, its pictures in the working folder."""
    from matplotlib import pyplot, rcParams
    from PIL import Image

    for name, value in state["settings"].items():
        rcParams[name] = value
    pyplot.close("all")
    for data in state["figures"]:
        if data:
            loads(data, masked=True)  # a figure opens itself
        else:
            pyplot.figure()
    numbers = pyplot.get_fignums()
    if numbers:
        pyplot.figure(numbers[state["current"]])
    for name, picture in state["pictures"].items():
        if os.path.basename(name) == name and name.endswith(".png"):
            Image.fromarray(picture).save(name)
