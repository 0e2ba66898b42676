"""Photographs that ship inside scikit-image, whole: they may be shown, and need no download.

Licences are those in the docstrings of `skimage.data`: public domain (astronaut and hubble: NASA; rocket: SpaceX) or
CC0 (chelsea, coffee, retina). `sample` is made of tiles of the same photographs, so a model that was trained on it has
seen parts of these.

A test set: it has no training split, so it tests models that were trained elsewhere (`--test-on scikit-image`). Six
photographs rank nothing.
"""

from typing import ClassVar

from benchmark.contracts.dataset import Dataset, Listing
from benchmark.data.preparation.archives import list_folder

from ._layouts import inside_scikit_image, test_only

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "retina.jpg", "rocket.jpg")


class ScikitImage(Dataset):
    """Six photographs of scikit-image."""

    name = "scikit-image"
    title = "Six photographs inside scikit-image, whole"
    licence = "public domain or CC0, by photograph; see the docstrings of skimage.data"
    homepage = "https://scikit-image.org/docs/stable/api/skimage.data.html"
    split_names: ClassVar[tuple[str, ...]] = ("test",)
    note = "Six photographs, to be shown: no evidence for or against any method."

    def find(self) -> Listing:
        """Lists the photographs of the installed scikit-image; nothing is ever downloaded."""
        folder = inside_scikit_image(self, PHOTOGRAPHS)[0].parent
        found = [file for file in list_folder(folder, (".png", ".jpg")) if file.name in PHOTOGRAPHS]
        return test_only(self, found, len(PHOTOGRAPHS))
