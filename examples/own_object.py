"""Your own object: a coloured mesh, which synthetic givers hold in as many scenes as you like.

    python examples/own_object.py torch.ply
    python -m h2rh_env.build --synthetic 4 --objects torch.ply --out scenes/torch
    python evaluate.py --scenes scenes/torch

Any OBJ, PLY or GLB file in metres will do, and a scan looks best. This example makes a pocket torch out of cylinders.
The mesh stands as it is handed over: z points up, and the giver holds its lower part.
"""

import sys

import trimesh

BODY, RING, GLASS = (32, 36, 44, 255), (214, 120, 30, 255), (220, 232, 240, 255)


def torch():
    """Returns a pocket torch that is 0.19 m high and 44 mm wide at its head."""
    parts = [
        (0.013, 0.000, 0.125, BODY),  # radius, from, to (m), colour
        (0.0145, 0.060, 0.070, RING),
        (0.022, 0.125, 0.180, BODY),
        (0.0225, 0.150, 0.156, RING),
        (0.020, 0.180, 0.190, GLASS),
    ]
    return trimesh.util.concatenate([cylinder(*part) for part in parts])


def cylinder(radius, low, high, colour):
    """Returns an upright cylinder of one colour."""
    mesh = trimesh.creation.cylinder(radius, high - low, sections=48)
    mesh.apply_translation([0, 0, (low + high) / 2])
    mesh.visual.face_colors = colour
    return mesh


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "torch.ply"
    mesh = torch()
    mesh.export(path)
    print(f"{path}: {mesh.extents.round(3)} m")
