"""pyproject.toml names every package; one that is missing there fails only in an installed wheel, not in the tree.

The README names its extras.
"""

import re
import tomllib

from projects import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SETTINGS = PROJECT["tool"]["setuptools"]


def test_every_package_is_in_the_wheel() -> None:
    inits = (REPOSITORY / "benchmark").rglob("__init__.py")
    found = {".".join(path.parent.relative_to(REPOSITORY).parts) for path in inits if not path.parent.is_symlink()}
    assert found - {"benchmark.methods", "benchmark.datasets"} == set(SETTINGS["packages"]) - {
        "benchmark.methods",
        "benchmark.datasets",
    }


def test_every_data_file_is_in_the_wheel() -> None:
    for package in SETTINGS["packages"]:
        folder = REPOSITORY / SETTINGS["package-dir"].get(package, package.replace(".", "/"))
        patterns = SETTINGS["package-data"].get(package, [])
        named = {path for pattern in patterns for path in folder.glob(pattern)}
        subfolders = [folder, *(path for path in folder.glob("*") if path.name == "templates")]
        files = {path for place in subfolders for path in place.glob("*") if path.is_file() and path.suffix != ".py"}
        assert files <= named, package


def test_the_first_page_names_every_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    told = (REPOSITORY / "README.md").read_text().partition("`pip install -e .`")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)` \(", told)) == set(extras)
