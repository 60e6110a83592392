"""Where the services' files lie: the same folders below the same data folder for all of them."""

from __future__ import annotations

from pathlib import Path

from pipeline.batches.batch import BATCHES_FOLDER
from pipeline.jobs.kept import KEPT_FOLDER
from pipeline.pictures.blobs import PICTURES_FOLDER
from pipeline.settings import ServiceSettings


class DataFolders:
    """The folders of a service whose settings have *service*."""

    __slots__ = ()
    service: ServiceSettings

    @property
    def blobs_dir(self) -> Path:
        """Give the folder of pictures that wait."""
        return self.service.data_dir / PICTURES_FOLDER

    @property
    def kept_dir(self) -> Path:
        """Give the folder of what is kept of jobs after their end."""
        return self.service.data_dir / KEPT_FOLDER

    @property
    def batches_dir(self) -> Path:
        """Give the folder of the batches' sources and results."""
        return self.service.data_dir / BATCHES_FOLDER
