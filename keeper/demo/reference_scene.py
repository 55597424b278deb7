"""Where the demo's reference venue is and who is on it, as a record and as the JSON file processes hand on."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from keeper.reference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Scene:
    """A deployed venue and its accounts, by name."""

    manifest: Manifest
    traders: tuple[tuple[str, str], ...]  # account, kind
    makers: tuple[str, ...]
    takers: tuple[str, ...]  # the keeper's own
    keeper: str

    @property
    def chain_id(self) -> int:
        return self.manifest.chain_id

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, KeyError or TypeError when `text` is not a scene."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            manifest=Manifest.from_json(json.dumps(found["manifest"])),
            traders=tuple((name, kind) for name, kind in found["traders"]),
            makers=tuple(found["makers"]),
            takers=tuple(found["takers"]),
            keeper=found["keeper"],
        )
