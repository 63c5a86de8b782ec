"""A voxlock model folder: the tensors of an ECAPA-TDNN, safetensors files, and the manifest (docs/models.md).

Owns the layout that the programs beside it share. Standard library only, so that importing a model needs nothing but
Python. Reading files that strangers wrote is left to import_speechbrain.py.
"""

import hashlib
import json
import os
import struct
import tempfile

WEIGHTS = "model.safetensors"
MANIFEST = ".optimization_manifest.json"
COHORT = "cohort.safetensors"
# Kernels load whole cache lines from the start of the data.
ALIGNMENT = 64
RES2_SCALE = 8
FRONTEND = {
    "sample_rate": 16000,
    "window": "hamming",
    "window_samples": 400,
    "hop_samples": 160,
    "n_fft": 400,
    "bands": 80,
    "f_min": 0,
    "f_max": 8000,
    "log": "db",
    "floor": 1e-10,
    "top_db": 80,
    "mean_normalise": True,
}


class FolderError(Exception):
    """One sentence for the person who must mend it."""


def _conv(name, c_in, c_out, kernel=1):
    return {name + ".conv.weight": (c_out, c_in, kernel), name + ".conv.bias": (c_out,)}


def _norm(name, c):
    return {f"{name}.norm.{part}": (c,) for part in ("weight", "bias", "running_mean", "running_var")}


def _tdnn(name, c_in, c_out, kernel=1):
    return _conv(name + ".conv", c_in, c_out, kernel) | _norm(name + ".norm", c_out)


def ecapa_shapes(channels, mfa, attention, se, dim, bands):
    """Every tensor of SpeechBrain's ECAPA_TDNN by name, with its shape."""
    shapes = _tdnn("blocks.0", bands, channels, 5)
    part = channels // RES2_SCALE
    for block in ("blocks.1", "blocks.2", "blocks.3"):
        shapes |= _tdnn(block + ".tdnn1", channels, channels)
        for i in range(RES2_SCALE - 1):
            shapes |= _tdnn(f"{block}.res2net_block.blocks.{i}", part, part, 3)
        shapes |= _tdnn(block + ".tdnn2", channels, channels)
        shapes |= _conv(block + ".se_block.conv1", channels, se)
        shapes |= _conv(block + ".se_block.conv2", se, channels)
    shapes |= _tdnn("mfa", 3 * channels, mfa)
    shapes |= _tdnn("asp.tdnn", 3 * mfa, attention)
    shapes |= _conv("asp.conv", attention, mfa)
    shapes |= _norm("asp_bn", 2 * mfa)
    shapes |= _conv("fc", 2 * mfa, dim)
    return shapes


# Where each size of the network can be read off: argument of ecapa_shapes, tensor, axis.
_SIZES = (
    ("channels", "blocks.0.conv.conv.weight", 0),
    ("bands", "blocks.0.conv.conv.weight", 1),
    ("mfa", "mfa.conv.conv.weight", 0),
    ("attention", "asp.tdnn.conv.conv.weight", 0),
    ("se", "blocks.1.se_block.conv1.conv.weight", 0),
    ("dim", "fc.conv.weight", 0),
)


def check_ecapa(shapes):
    """Checks that `shapes` (name -> shape) is exactly one ECAPA-TDNN; returns the arguments of ecapa_shapes."""
    sizes = {}
    for size, name, axis in _SIZES:
        if name not in shapes:
            raise FolderError(f"tensor '{name}' is missing: these are not weights of SpeechBrain's ECAPA_TDNN")
        if len(shapes[name]) != 3:
            raise FolderError(f"tensor '{name}' has {len(shapes[name])} dimensions instead of 3")
        sizes[size] = shapes[name][axis]
    if min(sizes.values()) < 1 or sizes["channels"] % RES2_SCALE != 0:
        raise FolderError(f"channels ({sizes['channels']}) must be a multiple of {RES2_SCALE} and no size may be 0")
    expected = ecapa_shapes(**sizes)
    for name, shape in expected.items():
        if name not in shapes:
            raise FolderError(f"tensor '{name}' is missing")
        if tuple(shapes[name]) != shape:
            raise FolderError(f"tensor '{name}' has shape {list(shapes[name])} instead of {list(shape)}")
    for name in shapes:
        if name not in expected:
            raise FolderError(f"tensor '{name}' does not belong to an ECAPA-TDNN")
    return sizes


def safetensors_pieces(tensors, dtypes=None):
    """The file as a list of byte strings. `tensors`: name -> (shape, little-endian bytes), float32 unless `dtypes` says
    otherwise by name.

    Sorted by name and with a header padded to ALIGNMENT, so that the same weights always give the same digest.
    """
    header, offset = {}, 0
    for name in sorted(tensors):
        shape, data = tensors[name]
        dtype = (dtypes or {}).get(name, "F32")
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return [struct.pack("<Q", len(text)), text] + [tensors[name][1] for name in sorted(tensors)]


def read_safetensors(path):
    """name -> (shape, float32 bytes) of a file this project wrote; everything in it must be F32."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise FolderError(f"{path}: tensor '{name}' is {entry['dtype']}, not F32")
        begin, end = entry["data_offsets"]
        tensors[name] = (tuple(entry["shape"]), data[8 + length + begin : 8 + length + end])
    return tensors


def write_file(path, pieces):
    """Writes atomically: a reader sees the old file or the new one, never half of either. Returns its entry."""
    digest, size = hashlib.sha256(), 0
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes it private, but the service runs as a user of its own.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return {"file": os.path.basename(path), "bytes": size, "sha256": digest.hexdigest()}


def entry_of(path):
    """What a manifest states of a file: its name, bytes and SHA-256."""
    with open(path, "rb") as file:
        data = file.read()
    return {"file": os.path.basename(path), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def read_manifest(folder):
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
    except ValueError as error:
        raise FolderError(f"{path}: not JSON ({error})") from None
    for key in ("model", "frontend", "artefacts"):
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), dict):
            raise FolderError(f"{path}: lacks '{key}'")
    return manifest


def write_manifest(folder, manifest):
    """For people: indented, and the self-test's vector on one line. Returns the file's entry."""
    vector = manifest.get("self_test", {}).get("embedding", [])
    line = '"embedding": [' + ", ".join(f"{value:.9g}" for value in vector) + "]"
    if vector:
        manifest = manifest | {"self_test": manifest["self_test"] | {"embedding": "VECTOR"}}
    text = json.dumps(manifest, indent=2, ensure_ascii=False).replace('"embedding": "VECTOR"', line) + "\n"
    return write_file(os.path.join(folder, MANIFEST), [text.encode()])


def print_entry(entry):
    print(f"{entry['file']}  {entry['bytes']} bytes  sha256 {entry['sha256']}", flush=True)


def check_frontend(frontend):
    """Refuses what shared/audio/fbank.c cannot compute, in the units of the manifest."""
    n_fft, hop, bands = frontend["n_fft"], frontend["hop_samples"], frontend["bands"]
    rest = n_fft
    for factor in (2, 3, 5):
        while rest % factor == 0 and rest > 1:
            rest //= factor
    if n_fft != frontend["window_samples"] or n_fft % 2 or not 64 <= n_fft <= 4096 or rest != 1:
        raise FolderError(f"a window of {n_fft} samples: it must be even, 64 to 4096, with factors 2, 3 and 5 only")
    if not 1 <= hop <= n_fft:
        raise FolderError(f"a hop of {hop} samples: it must be 1 to {n_fft}")
    if not 1 <= bands <= 256:
        raise FolderError(f"{bands} mel bands: there must be 1 to 256")
    if not 0 <= frontend["f_min"] < frontend["f_max"] <= 8000:
        raise FolderError("the mel bands must lie between 0 and 8000 Hz")


def write_folder(folder, tensors, model, scores, frontend=None):
    """Writes weights, then the manifest that states their digest; prints each file's size and digest.

    model   name, source, licence, accuracy
    scores  threshold, and calibration where there is one; cohort.py and calibrate.py add theirs
    """
    sizes = check_ecapa({name: shape for name, (shape, _) in tensors.items()})
    frontend = FRONTEND | (frontend or {})
    check_frontend(frontend)
    if sizes["bands"] != frontend["bands"]:
        raise FolderError(f"the weights take {sizes['bands']} bands, the front end makes {frontend['bands']}")
    os.makedirs(folder, exist_ok=True)
    artefact = write_file(os.path.join(folder, WEIGHTS), safetensors_pieces(tensors))
    print_entry(artefact)
    manifest = {
        "format": 1,
        "model": model | {"dimension": sizes["dim"]},
        "frontend": frontend,
        "scores": scores,
        "artefacts": {"native": artefact | {"cosine_min": None, "load_ms": None, "inference_ms": None}},
    }
    print_entry(write_manifest(folder, manifest))
