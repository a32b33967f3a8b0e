"""What hatchling calls when it builds a wheel: adds manual pages and completions, made at that moment.

So they are never older than the program. An editable installation goes without them.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACES = {
    "bounced.8": "share/man/man8/bounced.8",
    "bounced.toml.5": "share/man/man5/bounced.toml.5",
    "bounced.bash": "share/bash-completion/completions/bounced",
    "_bounced": "share/zsh/site-functions/_bounced",
    "bounced.fish": "share/fish/vendor_completions.d/bounced.fish",
}


class Share(BuildHookInterface[Any]):
    """The files of share/ that are made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make them, and say where each goes."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "tools")))
        import completions  # noqa: PLC0415 - found only now
        import manpages  # noqa: PLC0415

        self._made = tempfile.TemporaryDirectory()
        directory = Path(self._made.name)
        manpages.write(directory)
        completions.write(directory)
        build_data["shared_data"] |= {str(directory / name): place for name, place in PLACES.items()}

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Take away what was made."""
        if version != "editable":
            self._made.cleanup()
