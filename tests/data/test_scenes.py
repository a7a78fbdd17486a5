"""Generated scenes against closed forms: what is at a pixel is what geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.data.scenes.generated import CLASSES, SceneOptions, scene, scenes
from metacli.data.scenes.render import AMBIENT, FOCAL, Thing, rays_of, rendered
from metacli.data.scenes.solids import NOTHING, Box, Plane, Sphere
from metacli.errors import DataError

SIZE = 33  # odd: the middle pixel looks straight ahead
WALL = Thing(Plane((0.0, 0.0, -1.0), -6.0), 0, (1.0, 1.0, 1.0))
LIGHT = np.array([0.0, 0.0, -1.0])  # from the camera
SMALL = SceneOptions(size=16, images=40, val=4, test=4)


def test_a_wall_is_as_deep_everywhere_and_faces_the_camera() -> None:
    found = rendered([WALL], LIGHT, SIZE)
    assert (found.depth == 6.0).all()
    assert (found.normal == np.array([0, 0, -1])[:, None, None]).all()
    assert (found.image == 255).all()  # light falls on it straight


def test_a_sphere_has_the_depth_and_the_normals_of_the_closed_form() -> None:
    centre, radius = np.array([0.3, -0.2, 4.0]), 1.1
    ball = Thing(Sphere(tuple(centre), radius, 0.1), 2, (0.5, 0.5, 0.5))
    found = rendered([WALL, ball], LIGHT, SIZE)
    rays = rays_of(SIZE)
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    along = unit @ centre  # to where the ray is nearest to the centre
    apart = np.linalg.norm(centre) ** 2 - along**2  # squared
    hits = apart < radius**2
    assert (found.label.ravel() == np.where(hits, 2, 0)).all()
    way = along - np.sqrt(np.maximum(radius**2 - apart, 0))
    depth = (unit * way[:, None])[:, 2]
    assert found.depth.ravel()[hits] == pytest.approx(depth[hits], rel=1e-6)
    normal = (unit * way[:, None] - centre) / radius
    assert np.abs(found.normal.reshape(3, -1).T[hits] - normal[hits]).max() < 1e-6


def test_the_middle_of_a_sphere_is_its_nearest_point_and_lit_by_lambert() -> None:
    ball = Thing(Sphere((0.0, 0.0, 4.0), 1.0, 0.1), 2, (0.6, 0.6, 0.6))
    middle = SIZE // 2
    for tilt in (0.0, 0.5, 1.0):
        light = np.array([0.0, -np.sin(tilt), -np.cos(tilt)])
        found = rendered([WALL, ball], light, SIZE)
        assert found.depth[middle, middle] == 3.0
        assert found.normal[:, middle, middle] == pytest.approx([0, 0, -1])
        wanted = 255 * 0.6 * (AMBIENT + (1 - AMBIENT) * np.cos(tilt))
        assert found.image[0, middle, middle] == round(wanted)


def test_a_floor_is_as_deep_as_the_height_over_the_slope_of_the_ray() -> None:
    floor = Thing(Plane((0.0, -1.0, 0.0), -1.0), 1, (1.0, 1.0, 1.0))
    found = rendered([WALL, floor], np.array([0.0, -1.0, 0.0]), SIZE)
    row = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    with np.errstate(divide="ignore"):
        depth = np.where(row > 0, FOCAL / row, np.inf)  # y = 1 where z = f / row
    assert found.depth[:, 0] == pytest.approx(np.minimum(depth, 6.0))
    assert (found.label[:, 0] == (depth < 6)).all()


def test_a_turned_box_is_hit_where_its_six_planes_say() -> None:
    """Slow and obvious: the nearest crossing of a face's plane that lies inside of the face."""
    box = Box((0.2, 0.1, 3.0), (0.5, 0.7, 0.4), 0.6, 0.1)
    rays = rays_of(16)
    wanted = np.full(len(rays), NOTHING)
    for axis in range(3):
        for side in (-1.0, 1.0):
            n = side * box.axes[axis]
            at = np.array(box.centre) + n * box.half[axis]
            with np.errstate(divide="ignore", invalid="ignore"):
                s = (at @ n) / (rays @ n)
            inside = np.abs(box.own(rays * s[:, None] - np.array(box.centre)))
            fits = (np.delete(inside, axis, 1) <= np.delete(np.array(box.half), axis)).all(1)
            wanted = np.where(fits & (s > 0), np.minimum(wanted, s), wanted)
    found = box.hit(np.zeros(3), rays)
    assert np.isfinite(wanted).any()
    assert (np.isfinite(found) == np.isfinite(wanted)).all()
    there = np.isfinite(wanted)
    assert found[there] == pytest.approx(wanted[there])
    normals = box.normal(rays[there] * found[there, None])
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)
    assert ((normals * rays[there]).sum(1) < 0).all()  # seen from outside


def test_a_ray_along_a_side_of_a_box_does_not_divide_by_zero() -> None:
    box = Box((0.0, 0.0, 3.0), (0.5, 0.5, 0.5), 0.0, 0.1)
    straight = np.array([[0.0, 0.0, 1.0]])
    assert box.hit(np.zeros(3), straight)[0] == pytest.approx(2.5)
    assert box.hit(np.array([0.6, 0.0, 0.0]), straight)[0] == NOTHING
    assert box.hit(np.array([0.0, 0.0, 3.0]), straight)[0] == pytest.approx(0.5)  # from inside


def test_a_solid_between_a_point_and_the_light_leaves_the_ambient_light_alone() -> None:
    light = np.array([0.6, 0.0, -0.8])
    ball = Thing(Sphere((0.0, 0.0, 3.0), 0.5, 0.1), 2, (1.0, 1.0, 1.0))
    found = rendered([WALL, ball], light, 65)
    wall = found.image[0][found.label == 0]
    lit = 255 * (AMBIENT + (1 - AMBIENT) * 0.8)
    assert set(np.unique(wall).tolist()) == {round(255 * AMBIENT), round(lit)}


def test_every_solid_hides_what_is_behind_it_and_normals_face_the_camera() -> None:
    made = scenes(SceneOptions(size=32, images=20, val=1, test=1), "train")
    rays = rays_of(32).T.reshape(3, 32, 32)
    assert ((made.normals * rays).sum(1) < 1e-6).all()
    assert np.linalg.norm(made.normals, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (made.depths > 1).all()
    assert (made.depths <= 6.0).all()
    assert set(np.unique(made.labels)) == set(range(len(CLASSES)))


def test_a_scene_depends_on_its_seed_and_number_alone() -> None:
    one = scene(SMALL, "train", 3)
    more = scene(SceneOptions(size=16, images=400, val=9, test=9), "train", 3)
    assert (one.image == more.image).all()
    other = scene(SceneOptions(size=16, seed=1), "train", 3)
    assert (one.image != other.image).any()
    assert (scene(SMALL, "val", 3).image != one.image).any()


def test_the_bytes_of_version_1_stay_what_they_are() -> None:
    made = scenes(SceneOptions(size=16, images=5, val=1, test=1), "train")
    assert made.digest == "6804daf23355a64aa02835a89445b52a4f0a0aa79943bf026d128cdc5eed06db"


def test_conflict_changes_the_paint_of_the_same_rooms_and_nothing_else() -> None:
    """Depth and normals are the same at every conflict; segmentation is where shape and paint
    part."""
    options = [SceneOptions(size=16, images=150, val=1, test=1, conflict=c) for c in (0, 0.5, 1)]
    made = [scenes(one, "train") for one in options]
    for other in made[1:]:
        assert (other.depths == made[0].depths).all()
        assert (other.normals == made[0].normals).all()
    changed = [float((other.labels != made[0].labels).mean()) for other in made]
    assert changed[0] == 0.0
    assert 0 < changed[1] < changed[2]
    # At 0 a solid's shape says its paint: a plain pixel is on a sphere, whose normals vary.
    boxes = made[0].labels == CLASSES.index("striped")
    upright = np.abs(made[0].normals[:, 1][boxes])
    assert np.isin(np.round(upright, 5), (0.0, 1.0)).all()  # sides and tops alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 20}, "size is 20, wanted 16 to 128, a multiple of 8"),
        ({"conflict": 1.5}, "conflict is 1.5, wanted 0 to 1"),
        ({"images": 0}, "images, val, test and rows want 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SceneOptions(**options)
