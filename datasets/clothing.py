"""Clothing: 5,756 photographs of garments, given by 32 people and a company under CC0, so that they may be shown.

A. Grigorev, "Clothing dataset", 2020, https://github.com/alexeygrigorev/clothing-dataset (short side 400 pixels). The
repository publishes no archive with a checksum, so nothing is fetched: clone it, or `git archive` a copy of it.

Split: by SHA-256(file name), 80/10/10. A garment can stand in several photographs and so in several splits: the set is
for pictures to be shown and for transfer, less for ranking methods, and its note says so.

Known layouts: an archive or folder named `clothing-dataset`, or any in a place of its own.
"""

from benchmark.contracts.dataset import Dataset, Listing

from ._layouts import items_by_name, limited, originals, part_note, split_by_hash

PHOTOGRAPHS = 5_756
VAL_SHARE, TEST_SHARE = 0.1, 0.1


class Clothing(Dataset):
    """Photographs of garments that anyone may show."""

    name = "clothing"
    title = "Clothing: 5,756 photographs of garments under CC0 (Grigorev 2020)"
    licence = "CC0 1.0; https://github.com/alexeygrigorev/clothing-dataset"
    homepage = "https://github.com/alexeygrigorev/clothing-dataset"
    note = "One garment can stand in several photographs, and so in several splits."

    def find(self) -> Listing:
        """Lists the photographs, split by hash."""
        _, found = originals(self, ("clothing-dataset",))
        splits = split_by_hash(items_by_name(found), VAL_SHARE, TEST_SHARE)
        note = part_note("{:,} of {:,} photographs", (len(found), PHOTOGRAPHS))
        return Listing(
            limited(splits, self.config), f"{len(found):,} photographs, split by hash of the name", note=note
        )
