"""The files that the authors of Jukebox Diffusion publish: names, addresses and SHA-256. No torch here.

From download_ckpts.py of the repository jmoso13/jukebox-diffusion, commit 823cc5e. The VQ-VAE is not among them:
every level file carries it along.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

# The folder the first implementation itself downloads from.
FOLDER = "https://huggingface.co/jmoso13/jukebox-diffusion/resolve/main/v1/"


@dataclass(frozen=True)
class PublishedFile:
    """One file of the v1 stack."""

    role: str
    name: str
    sha256: str

    @property
    def address(self) -> str:
        """The URL that the file is fetched from."""
        return FOLDER + quote(self.name)


PUBLISHED = (
    PublishedFile(
        "level2",
        "epoch=4938-step=400000_vqvae_add.ckpt",
        "424917a12814cbfab58aaf7dcdc7ff53663fa965da525eeb3e0b219572307cb1",
    ),
    PublishedFile(
        "level1",
        "epoch=1404-step=455000.ckpt",
        "6f74d02f2cdaec53d2e310184a294b3dda617ef012b2ec83b0bc23595a0bf27f",
    ),
    PublishedFile(
        "level0",
        "epoch=543-step=705000.ckpt",
        "1d4611627d190106351a6ebfc82733baaba5af05144c1f1fa8333057ad8d53dc",
    ),
    PublishedFile(
        "finisher",
        "epoch=2125-step=218000.ckpt",
        "07a121730560d3ca217cd665630412e40d2c3d05b7629c4fc796c51148cdb9ee",
    ),
)
