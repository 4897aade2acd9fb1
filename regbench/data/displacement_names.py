"""What the file of a pair's displacement is called."""

import re
from collections.abc import Collection

from regbench.system.names import file_name, joined, same

NUMBERS = re.compile(r"^.*_(\d{4}_\d{4})$", re.ASCII | re.DOTALL)  # at the end of the ids of Learn2Reg


class DisplacementNames:
    """The names of the files of displacements between the subjects of a dataset, a pair a file.

    ``disp_FFFF_0000_MMMM_0000`` as the Learn2Reg evaluator has them, where the numbers tell the subjects apart;
    else the ids stand there whole.
    """

    def __init__(self, subjects: Collection[str]) -> None:
        self._whole = {subject: file_name(subject) for subject in subjects}
        self._numbers = {subject: NUMBERS.sub(r"\1", name) for subject, name in self._whole.items()}
        apart = len({same(name) for name in self._numbers.values()}) == len(self._numbers)
        self._forms = [self._numbers, self._whole] if apart else [self._whole]
        self._known = {same(name) for form in self._forms for name in form.values()}

    def stems(self, fixed: str, moving: str) -> tuple[str, ...]:
        """The names that a pair's file may have, without the ending; we write the first."""
        names = (f"disp_{joined(form[fixed], form[moving], self._known)}" for form in self._forms)
        return tuple(dict.fromkeys(names))

    def file(self, fixed: str, moving: str) -> str:
        """The name of the file that we write."""
        return f"{self.stems(fixed, moving)[0]}.nii.gz"
