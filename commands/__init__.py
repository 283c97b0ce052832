"""Bodies of the commands that an installed package has too: `interseg predict`, `interseg annotate`, `interseg check`."""
