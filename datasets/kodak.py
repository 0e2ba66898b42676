"""Kodak: 24 photographs of 768×512, without loss, on which papers compare images since 1999.

Photo CD PCD0992 of the Eastman Kodak Company, which released it for unrestricted use, as R. Franzen writes, whose page
http://r0k.us/graphics/kodak/ holds `kodim01.png` to `kodim24.png` (15 MB). No checksums are published, so nothing is
fetched: get the files from that page, or a copy of them.

A test set: it has no training split, so it tests models that were trained elsewhere (`--test-on kodak`).

Known layouts: `kodim01.png` … or `01.png` …, in an archive or folder named `kodak`, `Kodak24` or `PhotoCD_PCD0992`, or
in any that lies in a place of its own.
"""

from typing import ClassVar

from benchmark.contracts.dataset import Dataset, Listing

from ._layouts import originals, test_only

PHOTOGRAPHS = 24


class Kodak(Dataset):
    """Kodak's 24 photographs, for tests alone."""

    name = "kodak"
    title = "Kodak: 24 photographs of 768×512 without loss (Photo CD PCD0992, 1999)"
    licence = "released by Eastman Kodak for unrestricted use; http://r0k.us/graphics/kodak/"
    homepage = "http://r0k.us/graphics/kodak/"
    split_names: ClassVar[tuple[str, ...]] = ("test",)

    def find(self) -> Listing:
        """Lists the photographs, called kodim01 to kodim24."""
        _, found = originals(self, ("kodak", "Kodak24", "PhotoCD_PCD0992"))
        listing = test_only(self, found, PHOTOGRAPHS)
        items = [
            item._replace(id=f"kodim{item.id}" if item.id.isdecimal() else item.id) for item in listing.splits["test"]
        ]
        return listing._replace(splits={"test": items})
