"""Where a field of a declared object stands. Called after loading, for remarks on objects whose text was let go.

The file is read again, so only remarks pay for it. Where it cannot be read a second time (standard input) or has
changed since, the object's own place is the answer.
"""

from pathlib import Path as File

from reconciler.manifest import files, text
from reconciler.manifest.text import Document
from reconciler.manifest.words import Path
from reconciler.model.desired import Source


class Places:
    """Finds places, each file read once."""

    def __init__(self) -> None:
        self._documents: dict[str, list[Document]] = {}

    def find(self, source: Source, path: Path) -> Source:
        """The place of the value at *path* of the document whose object is declared at *source*; of the nearest
        mapping above it where the value has no line of its own."""
        for document in self._of(source.path):
            if document.named_at == (source.line, source.column):
                return Source(source.path, *document.position(path))
        return source

    def _of(self, path: str) -> list[Document]:
        if path not in self._documents:
            documents: list[Document] = []
            if path != files.STDIN and File(path).is_file():
                found = files.read([path])
                documents = [document for file in found.files for document in text.parse(file).documents]
            self._documents[path] = documents
        return self._documents[path]
