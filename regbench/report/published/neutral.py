"""What a study's files say without the folders of the machine that it ran on: a path becomes its last name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regbench.study.config_paths import with_paths
from regbench.study.job_specs import with_checksum
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.own_files import SUFFIX, with_imports
from regbench.system.errors import RegbenchError
from regbench.system.names import given_path

CODE = "code"  # the folder of files of the user's own code


def _with_checksums(value: Any) -> Any:
    """A config that says which file of weights a loss used: records do, and the file is not published."""
    if isinstance(value, list):
        return [_with_checksums(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    return with_checksum({key: _with_checksums(entry) for key, entry in value.items()})


class Names:
    """The new names of all paths in a config."""

    def __init__(self, study: Study) -> None:
        self._new: dict[str, str] = {}
        raw = with_paths(_with_checksums(study.config.model_dump(mode="json")), self._name)
        raw |= {"results": "results", "tracking": {"enabled": False}}
        self.config = load(raw, trusted=False).model_dump(mode="json")
        whole = {str(given_path(old).resolve()): new for old, new in self._new.items() if old != new}
        self._texts = {old: new for old, new in (whole | self._new).items() if "/" in old and old != new}
        # A file in the folder of the config has no slash: `a.py:f`, which is not the end of another path.
        self._beside = {old: new for old, new in self._new.items() if "/" not in old and new.startswith(f"{CODE}/")}

    def _name(self, path: str) -> str:
        if not path.strip():
            return path
        folder, name = (f"{CODE}/" if path.endswith(SUFFIX) else ""), Path(path).name or "data"
        others = {new for old, new in self._new.items() if old != path}
        new, number = f"{folder}{name}", 1
        while new in others:
            number += 1
            new = f"{folder}{number}/{name}"
        return self._new.setdefault(path, new)

    @property
    def old(self) -> list[str]:
        """Paths that must not be in what is published."""
        return list(self._texts)

    def put(self, value: Any) -> Any:
        """JSON with the new names in all its texts."""
        if isinstance(value, str):
            for old in sorted(self._texts, key=len, reverse=True):
                value = value.replace(old, self._texts[old])
            for old, new in self._beside.items():
                value = re.sub(rf"(?<![\w./\\-]){re.escape(old)}(?=:)", new.replace("\\", r"\\"), value)
            return value
        if isinstance(value, Mapping):
            return {self.put(key): self.put(entry) for key, entry in value.items()}
        return [self.put(entry) for entry in value] if isinstance(value, list) else value

    def code(self) -> dict[str, str]:
        """The user's own files, with what they import from beside them: text by the new name.

        Raises:
            RegbenchError: if two files would get one name, or one imports from another folder.
        """
        texts: dict[str, str] = {}
        for old, new in self._new.items():
            if not new.startswith(f"{CODE}/"):
                continue
            for label, text in with_imports(given_path(old)).items():
                name = f"{Path(new).parent}/{label}"
                if ".." in Path(label).parts or texts.setdefault(name, text) != text:
                    raise RegbenchError(
                        f"`{old}` must import from its own folder only, and no other file may be `{name}`. Move it."
                    )
        return texts
