"""CBSD68: 68 photographs of 481×321, the color test images of papers on noise.

From the Berkeley Segmentation Dataset (D. Martin, C. Fowlkes, D. Tal, J. Malik, "A Database of Human Segmented Natural
Images and its Application to Evaluating Segmentation Algorithms and Measuring Ecological Statistics", ICCV 2001); the
68 were chosen by S. Roth and M. Black, "Fields of Experts", CVPR 2005. They are JPEG files; copies hold them decoded as
PNG, beside noisy versions, such as https://github.com/clausmichele/CBSD68-dataset. No checksums are published, so
nothing is fetched.

A test set: it has no training split, so it tests models that were trained elsewhere (`--test-on cbsd68`).

Known layouts: an archive or folder named `CBSD68`, or any in a place of its own. Where it has folders `original_png` or
`original`, the first of them that is there counts, and the noisy versions beside it do not.
"""

from typing import ClassVar

from benchmark.contracts.dataset import Dataset, Listing

from ._layouts import below, originals, test_only

PHOTOGRAPHS = 68


class Cbsd68(Dataset):
    """The 68 photographs, for tests alone."""

    name = "cbsd68"
    title = "CBSD68: 68 photographs of 481×321 of the Berkeley Segmentation Dataset (Martin et al. 2001)"
    licence = (
        "non-commercial research and education only; https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/"
    )
    homepage = "https://github.com/clausmichele/CBSD68-dataset"
    split_names: ClassVar[tuple[str, ...]] = ("test",)

    def find(self) -> Listing:
        """Lists the photographs without noise."""
        _, found = originals(self, ("CBSD68",))
        sorted_in = below(found, ("original_png", "original"))
        return test_only(self, sorted_in["original_png"] or sorted_in["original"] or found, PHOTOGRAPHS)
