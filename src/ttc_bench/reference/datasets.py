"""Catalog dataset of a reference model: a folder in Hugging Face layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from ttc_bench.errors import DataError


@dataclass
class ReferenceModel:
    """A model with its tokenizer.

    Attributes:
        model: The network.
        tokenizer: Its tokenizer.
        folder: Where it lies on disk, once it does.
    """

    model: Any
    tokenizer: Any
    folder: Path | None = None


class ReferenceModelDataset(AbstractDataset[ReferenceModel, ReferenceModel]):
    """A model folder: ``config.json``, safetensors, tokenizer and chat template.

    Args:
        filepath: The folder.
        head: Name of the transformers auto class that loads it.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(
        self,
        filepath: str,
        head: str = "AutoModelForCausalLM",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._head = head
        self.metadata = metadata

    def load(self) -> ReferenceModel:
        """Return the model in float32 and its tokenizer.

        Raises:
            DataError: If there is no model in the folder.
        """
        import transformers

        if not (self._filepath / "config.json").exists():
            raise DataError(
                f"no model in {self._filepath}: run `kedro run --pipeline=train_reference` first."
            )
        path = str(self._filepath)
        model = getattr(transformers, self._head).from_pretrained(path, dtype="float32").eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        return ReferenceModel(model, tokenizer, self._filepath)

    def save(self, data: ReferenceModel) -> None:
        """Write the model, its weights rounded to bfloat16."""
        from ttc_bench.reference.network import export

        export(data.model, data.tokenizer, self._filepath)

    def _exists(self) -> bool:
        return (self._filepath / "config.json").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "head": self._head}
