"""The emulated laboratory: one base, a giver who sways and lets go, contact, a mounted camera, stepped time."""
