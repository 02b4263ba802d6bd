"""A graph of 16 films in four genres, whose actors play in films of one genre."""

from pathlib import Path

import numpy as np

ITEMS = 16  # i0 to i15 have an entity; i16 to i19 of the synthetic data have none


def write_graph(folder: Path, name: str) -> tuple[Path, Path]:
    """Write the files of triples and links; the item ``loose`` has an entity without a triple."""
    rng = np.random.default_rng(0)
    triples = []
    for item in range(ITEMS):
        genre = item % 4
        triples += [f"m{item}\thas.genre\tgenre{genre}", f"genre{genre}\tgenre.film\tm{item}"]
        for actor in rng.choice(6, size=4, replace=False):
            triples.append(f"m{item}\tfilm.actor\tactor{6 * genre + actor}")
    links = [f"i{item}\tm{item}" for item in range(ITEMS)]
    folder.mkdir(parents=True, exist_ok=True)
    kg, link = folder / f"{name}.kg", folder / f"{name}.link"
    kg.write_text("\n".join(["head_id:token\trelation_id:token\ttail_id:token", *triples]) + "\n")
    link.write_text("\n".join(["item_id:token\tentity_id:token", *links, "loose\tnowhere"]) + "\n")
    return kg, link
