"""Any archive of photographs gives images or one line of error, and nothing is written anywhere."""

from pathlib import Path

from data_files import folder_of, photographs, write_tar, write_zip
from fuzzing import TEXTS, cases, fuzzer, mutated, refused, watched

from benchmark.data.preparation.images import BadImage
from benchmark.support.errors import BenchError


@fuzzer
def test_archives_are_read_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    files = photographs(5)
    read = 0
    for case, rng in cases("archives"):
        names = [rng.choice(TEXTS) + ".png" if rng.random() < 0.1 else name for name in files]
        content = dict(zip(names, files.values(), strict=True))
        if rng.random() < 0.5:
            path = write_zip(folder / "photos.zip", content, rng.choice((0, 8)))
        else:
            path = write_tar(folder / "photos.tar", content)
        path.write_bytes(mutated(path.read_bytes(), rng))
        with watched("archives", case, path.name):
            try:
                data_set = folder_of(path, 16)
                for split in ("train", "val", "test"):
                    for _, image in data_set.images(split):
                        assert image.shape == (16, 16, 3)
                data_set.fingerprint()
                read += 1
            except (BenchError, BadImage, OSError) as error:
                refused(error)
        path.unlink()
        assert list(tmp_path.rglob("*")) == [folder]
    assert read or case == 0
