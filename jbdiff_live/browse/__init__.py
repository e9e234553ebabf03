"""The library of patches and sounds: what there is, favourites, and files of the player's own. No thread of its own."""
