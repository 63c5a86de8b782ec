#!/usr/bin/env python3
"""Writes a torch checkpoint that is right but unusual, or wrong in one way: material for tests/e2e/test_import.sh.

The tensors are those of MODEL_FOLDER. torch is not needed: its names are stood in for while the pickle is written.
"""

import argparse
import array
import io
import math
import os
import pickle
import struct
import sys
import types
import zipfile

from ecapa_folder import WEIGHTS, read_safetensors

# The legacy format begins with this pickled number.
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + bytes(64)


def fake_torch():
    """Modules of torch's names, so that pickle writes references to them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    utils._rebuild_tensor_v2 = types.FunctionType((lambda *_: None).__code__, {}, "_rebuild_tensor_v2")
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    sys.modules |= {"torch": torch, "torch._utils": utils}
    return torch, utils


TORCH, UTILS = fake_torch()


class Storage:
    def __init__(self, data, kind, n_values):
        self.data, self.kind, self.n_values, self.key = data, kind, n_values, None


class Tensor:
    """A view of a storage; strides default to row-major."""

    def __init__(self, storage, shape, offset=0, strides=None):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.strides = strides or tuple(math.prod(self.shape[i + 1 :]) for i in range(len(shape)))

    def __reduce__(self):
        return UTILS._rebuild_tensor_v2, (self.storage, self.offset, self.shape, self.strides, False, None)


class Evil:
    """Calls something while it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        if value.key is None:
            value.key = str(len(self.storages))
            self.storages.append(value)
        return "storage", getattr(TORCH, value.kind), value.key, "cpu", value.n_values


def write_zip(path, state, protocol=2, compression=zipfile.ZIP_STORED, pickled=None):
    buffer = io.BytesIO()
    pickler = Pickler(buffer, protocol)
    pickler.dump(state)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled or buffer.getvalue())
        for storage in pickler.storages:
            archive.writestr("archive/data/" + storage.key, storage.data)


def plain(shape, data):
    return Tensor(Storage(data, "FloatStorage", len(data) // 4), shape)


def converted(kind, code):
    """All values in another type."""

    def make(tensors):
        state = {}
        for name, (shape, data) in tensors.items():
            values = array.array("f", data)
            packed = struct.pack(f"<{len(values)}{code}", *values)
            state[name] = Tensor(Storage(packed, kind, len(values)), shape)
        return state

    return make


def bfloat16(tensors):
    state = {}
    for name, (shape, data) in tensors.items():
        packed = bytearray(len(data) // 2)
        packed[0::2], packed[1::2] = data[2::4], data[3::4]
        state[name] = Tensor(Storage(bytes(packed), "BFloat16Storage", len(data) // 4), shape)
    return state


def shared(tensors):
    """All tensors in one storage, one behind the other."""
    storage = Storage(b"".join(data for _, data in tensors.values()), "FloatStorage", 0)
    state, offset = {}, 0
    for name, (shape, data) in tensors.items():
        state[name] = Tensor(storage, shape, offset)
        offset += len(data) // 4
    return state


def strided(tensors):
    """Weights stored column by column."""
    state = {}
    for name, (shape, data) in tensors.items():
        if len(shape) != 3:
            state[name] = plain(shape, data)
            continue
        rows, columns, kernel = shape
        values = array.array("f", data)
        turned = array.array("f")
        for k in range(kernel):
            for c in range(columns):
                turned.extend(values[c * kernel + k :: columns * kernel])
        storage = Storage(turned.tobytes(), "FloatStorage", len(turned))
        state[name] = Tensor(storage, shape, 0, (1, rows, rows * columns))
    return state


def renamed(prefix, but=""):
    return lambda tensors: {name if name == but else prefix + name: plain(*tensors[name]) for name in tensors}


def with_tensor(name, change):
    """One tensor replaced; None removes it."""

    def make(tensors):
        state = {key: plain(*value) for key, value in tensors.items()}
        state[name] = change(state.get(name))
        return {key: value for key, value in state.items() if value is not None}

    return make


def filled(value):
    """The same shape, every value replaced."""
    return lambda t: plain(t.shape, struct.pack("<f", value) * math.prod(t.shape))


BIAS, VARIANCE = "blocks.0.conv.conv.bias", "mfa.norm.norm.running_var"
COUNT = "asp_bn.norm.num_batches_tracked"
STATES = {
    "plain": renamed(""),
    "module_prefix": renamed("module."),
    "double": converted("DoubleStorage", "d"),
    "half": converted("HalfStorage", "e"),
    "bfloat16": bfloat16,
    "shared_storage": shared,
    "strided": strided,
    "batches_tracked": with_tensor(COUNT, lambda _: Tensor(Storage(bytes(8), "LongStorage", 1), ())),
    "mixed_prefix": renamed("module.", but=BIAS),
    "missing": with_tensor(BIAS, lambda _: None),
    "missing_first": with_tensor("blocks.0.conv.conv.weight", lambda _: None),
    "misshapen": with_tensor(BIAS, lambda t: plain((32, 2), t.storage.data)),
    "unexpected": with_tensor("blocks.4.extra", lambda _: plain((1,), bytes(4))),
    "beyond_storage": with_tensor(BIAS, lambda t: Tensor(t.storage, t.shape, 1)),
    "negative_stride": with_tensor(BIAS, lambda t: Tensor(t.storage, t.shape, 63, (-1,))),
    "huge_shape": with_tensor(BIAS, lambda t: Tensor(t.storage, (1 << 40,), 0, (0,))),
    "nan": with_tensor(BIAS, filled(math.nan)),
    "negative_variance": with_tensor(VARIANCE, filled(-1.0)),
    "integers": with_tensor(BIAS, lambda t: Tensor(Storage(bytes(8 * 64), "LongStorage", 64), t.shape)),
    "not_a_tensor": with_tensor(BIAS, lambda _: "text"),
    "list": lambda _: [1, 2, 3],
}


def write(case, tensors, folder):
    path = os.path.join(folder, "embedding_model.ckpt")
    command = f"touch '{folder}/executed'"
    state = STATES["plain"](tensors)
    if case in STATES:
        write_zip(path, STATES[case](tensors))
    elif case in ("os_system", "os_system_protocol_4"):
        write_zip(path, state | {BIAS: Evil(os.system, command)}, 4 if case.endswith("4") else 2)
    elif case == "eval":
        write_zip(path, Evil(eval, f"__import__('os').system({command!r})"))
    elif case == "getattr":
        write_zip(path, Evil(getattr, state, "clear"))
    elif case == "memo_bomb":
        # LONG_BINPUT names memo slot 2^31 - 1.
        write_zip(path, {}, pickled=b"\x80\x02}r\xff\xff\xff\x7f.")
    elif case == "cut_pickle":
        write_zip(path, {}, pickled=b"\x80\x02}q\x00(X\xff\xff\xff\x7f")
    elif case == "compressed":
        write_zip(path, state, compression=zipfile.ZIP_DEFLATED)
    elif case == "legacy":
        with open(path, "wb") as file:
            file.write(LEGACY)
    else:
        raise SystemExit(f"forge_checkpoint.py: unknown case '{case}'")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("out_folder", metavar="OUT_FOLDER", help="gets embedding_model.ckpt")
    arguments = parser.parse_args()
    os.makedirs(arguments.out_folder, exist_ok=True)
    tensors = read_safetensors(os.path.join(arguments.model_folder, WEIGHTS))
    write(arguments.case, tensors, arguments.out_folder)


if __name__ == "__main__":
    main()
