"""A folder that is read in place."""

from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.ports import Checkout, Revision
from reconciler.source.folder import FolderSource


async def test_a_folder_or_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "pool.yaml"
    file.write_text("kind: Pool")
    for path in (str(tmp_path), str(file)):
        source = FolderSource(path)
        assert await source.fetch() == Checkout(path, Revision(""))
        await source.keep(Revision(""))
        assert await source.kept() is None
        await source.close()


@pytest.mark.parametrize(("name", "why"), [("gone", "No such file or directory"), ("a\0b", "no path")])
async def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_source(
    tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(SourceError) as caught:
        await FolderSource(str(tmp_path / name)).fetch()
    assert str(caught.value) == f"{tmp_path / name}: {why}"
