"""Catalog dataset of figures, which can be loaded again as the bytes of their file."""

from __future__ import annotations

from kedro_datasets.matplotlib import MatplotlibDataset


class FigureDataset(MatplotlibDataset):  # type: ignore[misc]
    """A Matplotlib figure saved as PNG; loading returns the file, as a report embeds it."""

    def load(self) -> bytes:
        """Return the bytes of the PNG file."""
        with self._fs.open(str(self._get_load_path()), mode="rb") as file:
            return bytes(file.read())
