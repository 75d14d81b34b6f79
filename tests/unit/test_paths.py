from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efiqa.cli.paths import Item, find_pictures, overlay_paths


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with pictures at several levels and much that is none."""
    for name in ("b.jpg", "a/eye.PNG", "a/eye.jpg", "a/deep/eye.tif", "c/eye.jpg", "c/[1].webp", "d e/ü.ppm"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("README.txt", "a/.hidden.jpg", "a/eye.overlay.png", ".git/x.png", "c/notes.json"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(items):
    return [(item.path, item.error.code if item.error else "") for item in items]


def test_folder_is_walked_sorted_without_hidden_files_and_overlays(tree):
    assert [item.path for item in find_pictures(["photos"])] == [
        "photos/a/deep/eye.tif",
        "photos/a/eye.PNG",
        "photos/a/eye.jpg",
        "photos/b.jpg",
        "photos/c/[1].webp",
        "photos/c/eye.jpg",
        "photos/d e/ü.ppm",
    ]


def test_pattern_may_be_recursive_and_name_folders(tree):
    recursive = [item.path for item in find_pictures(["photos/**/eye.jpg"])]
    assert recursive == ["photos/a/eye.jpg", "photos/c/eye.jpg"]
    assert [item.path for item in find_pictures(["photos/[bd]*"])] == ["photos/b.jpg", "photos/d e/ü.ppm"]


def test_existing_name_with_brackets_is_no_pattern(tree):
    assert names(find_pictures(["photos/c/[1].webp"])) == [("photos/c/[1].webp", "")]


def test_named_file_is_taken_whatever_its_suffix(tree):
    assert names(find_pictures(["photos/README.txt"])) == [("photos/README.txt", "")]


def test_what_leads_nowhere_becomes_an_error_and_does_not_stop_the_rest(tree):
    found = names(find_pictures(["none.jpg", "empty", "x*.png", "photos/b.jpg"]))
    assert found == [
        ("empty", "no_pictures"),
        ("none.jpg", "not_found"),
        ("photos/b.jpg", ""),
        ("x*.png", "no_match"),
    ]


def test_picture_that_is_named_twice_comes_once(tree):
    assert len(find_pictures(["photos/b.jpg", "photos", "./photos/b.jpg", "photos/*.jpg"])) == 7


def test_link_to_a_parent_folder_is_not_followed(tree):
    (tree / "photos" / "a" / "loop").symlink_to(tree / "photos")
    assert len(find_pictures(["photos"])) == 7


def test_overlays_mirror_the_folder(tree):
    overlays = overlay_paths(find_pictures(["photos"]), Path("out"))
    assert overlays["photos/b.jpg"] == Path("out/b.overlay.png")
    assert overlays["photos/a/deep/eye.tif"] == Path("out/a/deep/eye.overlay.png")
    assert overlays["photos/c/eye.jpg"] == Path("out/c/eye.overlay.png")


def test_overlays_of_equal_stems_keep_their_suffix(tree):
    overlays = overlay_paths(find_pictures(["photos/a"]), Path("out"))
    assert overlays["photos/a/eye.PNG"] == Path("out/eye.PNG.overlay.png")
    assert overlays["photos/a/eye.jpg"] == Path("out/eye.jpg.overlay.png")


def test_overlays_of_equal_names_from_several_folders_keep_their_path(tree):
    overlays = overlay_paths(find_pictures(["photos/a/eye.jpg", "photos/c/eye.jpg"]), Path("out"))
    assert overlays == {
        "photos/a/eye.jpg": Path("out/photos/a/eye.jpg.overlay.png"),
        "photos/c/eye.jpg": Path("out/photos/c/eye.jpg.overlay.png"),
    }


def test_overlay_of_absolute_or_parent_path_stays_within_the_folder(tree):
    (tree / "up").mkdir()
    (tree / "up" / "b.jpg").touch()
    items = find_pictures([str(tree / "photos" / "b.jpg"), "photos/../up/b.jpg"])
    overlays = list(overlay_paths(items, Path("out")).values())
    assert len(set(overlays)) == 2
    assert all(path.is_relative_to("out") and ".." not in path.parts for path in overlays)


_part = st.sampled_from(["a", "A", "b", "..", "a.jpg"])
_file = st.sampled_from(["x.jpg", "x.png", "X.jpg", "x.jpg.png", "x"])


@given(st.lists(st.tuples(st.lists(_part, max_size=3), _file, st.booleans()), max_size=12))
def test_overlays_never_meet(entries):
    items = []
    for parts, file, absolute in entries:
        path = Path("/" if absolute else "", *parts, file)
        items.append(Item(str(path), Path(file)))
    unique = {item.path: item for item in items}
    overlays = overlay_paths(unique.values(), Path("out"))
    assert overlays.keys() == unique.keys()
    assert len({str(path).casefold() for path in overlays.values()}) == len(unique)
    assert all(".." not in path.parts and path.is_relative_to("out") for path in overlays.values())
