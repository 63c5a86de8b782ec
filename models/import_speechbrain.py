#!/usr/bin/env python3
"""Turns a SpeechBrain ECAPA-TDNN checkpoint folder into a voxlock model folder.

CHECKPOINT_FOLDER holds embedding_model.ckpt and, where the publisher gives one, hyperparams.yaml. Needs only Python's
standard library. A checkpoint is a pickle, and a pickle is a program: this one may rebuild tensors and nothing else,
anything else in it is refused by name and never run.
"""

import argparse
import array
import io
import math
import os
import pickle
import re
import struct
import sys
import zipfile

from ecapa_folder import MANIFEST, WEIGHTS, FolderError, check_ecapa, write_folder

CHECKPOINT = "embedding_model.ckpt"
HYPERPARAMS = "hyperparams.yaml"
# What SpeechBrain's SpeakerRecognition.verify_files uses for its VoxCeleb model.
DEFAULT_THRESHOLD = 0.25
# SpeechBrain's public model: 42 KB of pickle, 20.8 million values. More than this is no ECAPA.
MAX_PICKLE_BYTES = 16 << 20
MAX_VALUES = 1 << 27
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

# ---- the pickle ------------------------------------------------------------------------------------------------------

# torch's storage classes: bytes of a value, and how to make float32 of it (None: integers, which no weight is).
STORAGES = {
    "FloatStorage": (4, "f32"),
    "HalfStorage": (2, "f16"),
    "BFloat16Storage": (2, "bf16"),
    "DoubleStorage": (8, "f64"),
    "LongStorage": (8, None),
    "IntStorage": (4, None),
    "ShortStorage": (2, None),
    "CharStorage": (1, None),
    "ByteStorage": (1, None),
    "BoolStorage": (1, None),
}


class StorageType:
    """Stands for torch.FloatStorage and its like; not callable, so that a pickle can only name it."""

    __slots__ = ("name", "value_bytes", "kind")

    def __init__(self, name):
        self.name = name
        self.value_bytes, self.kind = STORAGES[name]


class Storage:
    """One data/KEY of the archive, not read yet."""

    __slots__ = ("type", "key")

    def __init__(self, storage_type, key):
        self.type, self.key = storage_type, key


class Tensor:
    """A view of a storage, as the pickle claims it; nothing is checked yet."""

    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides


class StateDict(dict):
    """collections.OrderedDict of the pickle. SpeechBrain hangs module versions on it, which say nothing of weights."""

    __slots__ = ()

    def __setstate__(self, state):
        pass


def is_size(value):
    return type(value) is int and 0 <= value <= MAX_VALUES


def rebuild_tensor(storage, offset, shape, strides, *_):
    """torch._utils._rebuild_tensor_v2; what follows the strides concerns gradients."""
    sizes = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 4
    if not sizes or not isinstance(storage, Storage) or not all(map(is_size, (offset, *shape, *strides))):
        raise FolderError(f"{CHECKPOINT}: a tensor with impossible offset, shape or strides")
    return Tensor(storage, offset, shape, strides)


# The pure-Python unpickler: the one in C grows its memo to whatever index the pickle names, up to tens of gigabytes.
class CheckpointUnpickler(pickle._Unpickler):
    """Knows tensors, their storages and ordered dictionaries."""

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return StateDict
        if module == "torch" and name in STORAGES:
            return StorageType(name)
        raise FolderError(f"{CHECKPOINT}: refused: the pickle asks for '{module}.{name}', which no weights need")

    def persistent_load(self, pid):
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
            raise FolderError(f"{CHECKPOINT}: refused: a persistent id that is not a storage")
        storage_type, key = pid[1], pid[2]
        if not isinstance(storage_type, StorageType) or not isinstance(key, str):
            raise FolderError(f"{CHECKPOINT}: refused: a storage of unknown type")
        return Storage(storage_type, key)


def unpickle(data):
    try:
        state = CheckpointUnpickler(io.BytesIO(data)).load()
    except FolderError:
        raise
    except Exception as error:  # a hostile pickle can make the machine of opcodes fail in any way
        raise FolderError(f"{CHECKPOINT}: the pickle is damaged ({type(error).__name__}: {error})") from None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise FolderError(f"{CHECKPOINT}: not a state dict (a dictionary from name to tensor)")
    tensors = {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise FolderError(f"{CHECKPOINT}: '{name}' is not a tensor; save the model's state_dict() alone")
    return tensors


def strip_prefix(tensors):
    """Undoes wrappers such as DataParallel's "module.", if all names carry the same one."""
    anchor = "asp_bn.norm.weight"
    prefixes = {name[: -len(anchor)] for name in tensors if name == anchor or name.endswith("." + anchor)}
    if len(prefixes) != 1:
        return tensors
    prefix = prefixes.pop()
    for name in tensors:
        if not name.startswith(prefix):
            raise FolderError(f"{CHECKPOINT}: some names start with '{prefix}', but '{name}' does not")
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items()}


# ---- the values ------------------------------------------------------------------------------------------------------


class Archive:
    """The zip file that torch.save writes."""

    def __init__(self, path):
        self.path, self.storages = path, {}
        with open(path, "rb") as file:
            start = file.read(len(LEGACY_MAGIC))
        if start == LEGACY_MAGIC:
            raise FolderError(
                f"{path}: saved in torch's format from before 1.6. Where torch is installed, save it anew:\n"
                f"  python3 -c \"import torch; torch.save(torch.load('{CHECKPOINT}', map_location='cpu', "
                f"weights_only=True), '{CHECKPOINT}')\""
            )
        try:
            self.zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise FolderError(f"{path}: not a torch checkpoint, or cut off ({error})") from None
        pickles = [name for name in self.zip.namelist() if re.fullmatch(r"[^/]*/data\.pkl", name)]
        if len(pickles) != 1:
            raise FolderError(f"{path}: a zip file, but not of torch: {len(pickles)} data.pkl in it")
        self.prefix = pickles[0][: -len("data.pkl")]
        byte_order = self.prefix + "byteorder"
        if byte_order in self.zip.namelist() and self.read("byteorder", 16) != b"little":
            raise FolderError(f"{path}: saved on a big-endian machine")

    def read(self, name, max_bytes):
        try:
            member = self.zip.getinfo(self.prefix + name)
            # torch stores and never compresses; a compressed member could unpack to any size.
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > max_bytes:
                raise FolderError(f"{self.path}: '{name}' in it is compressed or too large")
            return self.zip.read(member)
        except KeyError:
            raise FolderError(f"{self.path}: '{name}' in it is missing") from None
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise FolderError(f"{self.path}: '{name}' in it is damaged ({error})") from None

    def storage(self, storage):
        """The values as integers of their width, so that any kind of float passes through unchanged."""
        if storage.key not in self.storages:
            self.storages[storage.key] = self.read("data/" + storage.key, 8 * MAX_VALUES)
        data, width = memoryview(self.storages[storage.key]), storage.type.value_bytes
        return data[: len(data) // width * width].cast({2: "H", 4: "I", 8: "Q"}[width])


def gather(values, offset, shape, strides):
    """Bytes of a strided view in row-major order."""
    if not shape:
        return values[offset : offset + 1].tobytes()
    size, stride = shape[0], strides[0]
    if all(n == 1 or s == math.prod(shape[i + 1 :]) for i, (n, s) in enumerate(zip(shape, strides))):
        return values[offset : offset + math.prod(shape)].tobytes()
    return b"".join(gather(values, offset + i * stride, shape[1:], strides[1:]) for i in range(size))


def to_float32(kind, data):
    if kind == "f32":
        return data
    if kind == "bf16":  # the upper half of a float32
        out = bytearray(2 * len(data))
        out[2::4], out[3::4] = data[0::2], data[1::2]
        return bytes(out)
    code, width = {"f16": ("e", 2), "f64": ("d", 8)}[kind]
    n = len(data) // width
    try:
        return struct.pack(f"<{n}f", *struct.unpack(f"<{n}{code}", data))
    except OverflowError:
        raise FolderError("a value that float32 cannot hold") from None


def materialise(archive, name, tensor):
    kind = tensor.storage.type.kind
    if kind is None:
        raise FolderError(f"{CHECKPOINT}: tensor '{name}' is of type {tensor.storage.type.name}, not floating point")
    values = archive.storage(tensor.storage)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    if last >= len(values):
        raise FolderError(f"{CHECKPOINT}: tensor '{name}' reaches beyond its storage")
    try:
        data = to_float32(kind, gather(values, tensor.offset, tensor.shape, tensor.strides))
    except FolderError as error:
        raise FolderError(f"{CHECKPOINT}: tensor '{name}' holds {error}") from None
    floats = array.array("f", data)
    if not all(map(math.isfinite, floats)):
        raise FolderError(f"{CHECKPOINT}: tensor '{name}' holds NaN or infinity")
    if name.endswith("running_var") and min(floats) < 0:
        raise FolderError(f"{CHECKPOINT}: tensor '{name}' holds a negative variance")
    return tensor.shape, data


def read_checkpoint(path):
    """name -> (shape, float32 bytes), and the network's sizes."""
    archive = Archive(path)
    tensors = strip_prefix(unpickle(archive.read("data.pkl", MAX_PICKLE_BYTES)))
    # Names and shapes first: then no view, however its strides repeat, makes more values than an ECAPA has.
    sizes = check_ecapa({name: t.shape for name, t in tensors.items()})
    if sum(math.prod(t.shape) for t in tensors.values()) > MAX_VALUES:
        raise FolderError(f"{path}: more than {MAX_VALUES} values")
    return {name: materialise(archive, name, t) for name, t in tensors.items()}, sizes


# ---- hyperparams.yaml ------------------------------------------------------------------------------------------------


def parse_value(text, top):
    """A scalar or flat list of YAML, with SpeechBrain's !ref <name> to a value at the top level."""
    text = re.sub(r"\s+#.*$", "", text).strip()
    reference = re.fullmatch(r"!ref\s+<(\w+)>", text)
    if reference:
        return top.get(reference[1], text)
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(item, top) for item in text[1:-1].split(",") if item.strip()]
    text = text.strip("'\"")
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("", "~", "null", "none"):
        return None
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def parse_hyperparams(text):
    """Top-level values, and the objects: [(key, class name, {argument: value})]. Other YAML is passed over."""
    top, objects, inside = {}, [], None
    for line in text.splitlines():
        match = re.match(r"(\s*)([\w-]+)\s*:\s*(.*)$", line)
        if not match or line.lstrip().startswith("#"):
            continue
        indent, key, value = match.groups()
        if not indent:
            new = re.match(r"!new:([\w.]+)", value)
            inside = {} if new else None
            if new:
                objects.append((key, new[1].rpartition(".")[2], inside))
            else:
                top[key] = parse_value(value, top)
        elif inside is not None:
            inside[key] = parse_value(value, top)
    return top, objects


def refuse(where, key, value, instead):
    raise FolderError(f"{HYPERPARAMS}: {where} states {key}: {value}; voxlock's engine needs {instead}")


def check_fixed(where, arguments, fixed, free=()):
    """Every argument must have the one value the engine implements, or be free (read elsewhere, or without effect)."""
    for key, value in arguments.items():
        if key in fixed:
            if value != fixed[key]:
                refuse(where, key, value, fixed[key])
        elif key not in free:
            refuse(where, key, value, "nothing of that name")


def frontend_of(where, arguments):
    """The manifest's front end for SpeechBrain's Fbank with these arguments (windows in ms, as it takes them)."""
    check_fixed(
        where,
        arguments,
        {"sample_rate": 16000, "deltas": False, "context": False, "filter_shape": "triangular"},
        ("n_mels", "n_fft", "win_length", "hop_length", "f_min", "f_max", "left_frames", "right_frames")
        + ("requires_grad", "freeze", "param_change_factor", "param_rand_factor"),
    )
    defaults = {"n_mels": 80, "n_fft": 400, "win_length": 25, "hop_length": 10, "f_min": 0, "f_max": 8000}
    values = {}
    for key, default in defaults.items():
        value = arguments.get(key)
        values[key] = default if value is None else value
        kinds = (int,) if key.startswith("n_") else (int, float)
        if type(values[key]) not in kinds or not math.isfinite(values[key]):
            refuse(where, key, value, "a number")
    window, hop = round(16 * values["win_length"]), round(16 * values["hop_length"])
    if window != values["n_fft"]:
        refuse(where, "n_fft", values["n_fft"], f"{window}, the window of {values['win_length']} ms")
    return {
        "window_samples": window,
        "n_fft": window,
        "hop_samples": hop,
        "bands": values["n_mels"],
        "f_min": values["f_min"],
        "f_max": values["f_max"],
    }


def check_network(where, arguments, sizes):
    fixed = {
        "input_size": sizes["bands"],
        "channels": [sizes["channels"]] * 4 + [sizes["mfa"]],
        "kernel_sizes": [5, 3, 3, 3, 1],
        "dilations": [1, 2, 3, 4, 1],
        "attention_channels": sizes["attention"],
        "se_channels": sizes["se"],
        "lin_neurons": sizes["dim"],
        "res2net_scale": 8,
        "global_context": True,
        "groups": [1, 1, 1, 1, 1],
        "activation": "!name:torch.nn.ReLU",
    }
    check_fixed(where, arguments, fixed, ("device", "dropout"))


def read_hyperparams(path, sizes):
    """The front end that hyperparams.yaml states, after refusing what voxlock would compute differently."""
    with open(path, encoding="utf-8", errors="replace") as file:
        top, objects = parse_hyperparams(file.read())
    if top.get("sample_rate", 16000) != 16000:
        refuse("the file", "sample_rate", top["sample_rate"], 16000)
    frontend = {"bands": top.get("n_mels", sizes["bands"])}
    for key, name, arguments in objects:
        if name == "Fbank":
            frontend = frontend_of(key, arguments)
        elif name == "ECAPA_TDNN":
            check_network(key, arguments, sizes)
        # The other normalisation there, mean_var_norm_emb, acts on embeddings and only when asked for.
        elif name == "InputNormalization" and key == "mean_var_norm":
            stated = {"norm_type": "global", "std_norm": True} | arguments
            fixed = {"norm_type": "sentence", "std_norm": False, "mean_norm": True}
            check_fixed(key, stated, fixed, ("avg_factor", "requires_grad", "update_until_epoch"))
    return frontend


# ---- the command -----------------------------------------------------------------------------------------------------


def calibration(text):
    try:
        slope, offset = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("two numbers, SLOPE,OFFSET") from None
    if not (1e-3 <= slope <= 1000 and -1000 <= offset <= 1000):
        raise argparse.ArgumentTypeError("slope must be 0.001 to 1000, offset -1000 to 1000")
    return {"slope": slope, "offset": offset}


def threshold(text):
    value = float(text)
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError("a cosine from -1 to 1")
    return value


def text_of(max_bytes):
    def check(text):
        if not 1 <= len(text.encode()) <= max_bytes or not text.isprintable():
            raise argparse.ArgumentTypeError(f"1 to {max_bytes} bytes of printable text")
        return text

    return check


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"writes MODEL_FOLDER/{WEIGHTS} and MODEL_FOLDER/{MANIFEST}; running it again gives the same bytes",
    )
    parser.add_argument("checkpoint_folder", metavar="CHECKPOINT_FOLDER", help=f"holds {CHECKPOINT}")
    parser.add_argument("model_folder", metavar="MODEL_FOLDER", help="made if missing; files in it are replaced")
    parser.add_argument("--name", type=text_of(63), help="model name (default: the name of MODEL_FOLDER)")
    parser.add_argument("--source", type=text_of(255), default="SpeechBrain checkpoint", help="where it comes from")
    parser.add_argument("--licence", type=text_of(63), default="not stated", help="licence of the weights")
    parser.add_argument("--accuracy", type=text_of(255), help="what is known of its accuracy, one sentence")
    parser.add_argument(
        "--threshold",
        type=threshold,
        default=DEFAULT_THRESHOLD,
        help="cosine above which two clips count as one speaker (default: %(default)s, SpeechBrain's for VoxCeleb)",
    )
    parser.add_argument(
        "--calibration",
        type=calibration,
        metavar="SLOPE,OFFSET",
        help="P(same speaker) = 1 / (1 + exp(-(SLOPE * cosine + OFFSET))); without it no probability is given",
    )
    return parser.parse_args()


def import_checkpoint(checkpoint_folder, model_folder, model, scores):
    """Writes the model folder; `model` and `scores` as write_folder takes them."""
    if sys.byteorder != "little":
        raise FolderError("this program needs a little-endian machine")
    tensors, sizes = read_checkpoint(os.path.join(checkpoint_folder, CHECKPOINT))
    hyperparams = os.path.join(checkpoint_folder, HYPERPARAMS)
    frontend = read_hyperparams(hyperparams, sizes) if os.path.exists(hyperparams) else {}
    write_folder(model_folder, tensors, model, scores, frontend)


def main():
    arguments = parse_arguments()
    try:
        model = {
            "name": arguments.name or os.path.basename(os.path.abspath(arguments.model_folder))[:63],
            "source": arguments.source,
            "licence": arguments.licence,
        }
        if arguments.accuracy:
            model["accuracy"] = arguments.accuracy
        scores = {"threshold": arguments.threshold}
        if arguments.calibration:
            scores["calibration"] = arguments.calibration
        import_checkpoint(arguments.checkpoint_folder, arguments.model_folder, model, scores)
    except (FolderError, OSError) as error:
        print(f"import_speechbrain.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
