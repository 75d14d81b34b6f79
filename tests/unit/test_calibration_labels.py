"""The labels of a site: what is taken, and what is refused by row, value, rule and fix."""

import re

import pytest

from efiqa.calibration import read_labels
from efiqa.errors import FileError, LabelError, OptionError


@pytest.fixture
def write(tmp_path):
    """Write a labels file with pictures that exist, and return its path."""

    def make(text, *, missing=(), encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding))
        for line in text.splitlines()[1:]:
            name = line.split(",")[0].strip('"')
            if name and name not in missing:
                (tmp_path / name).touch()
        return path

    return make


def test_labels_known_names_are_ordered_from_reject_to_good(write):
    labels = read_labels(write("path,label\na.png,good\nb.png,reject\nc.png,usable\n"))
    assert labels.classes == ("reject", "usable", "good")
    assert [picture.level for picture in labels.pictures] == [2, 0, 1]
    assert [picture.row for picture in labels.pictures] == [2, 3, 4]
    assert labels.counts() == {"reject": 1, "usable": 1, "good": 1}


def test_labels_numbers_are_ordered_by_value_not_by_text(write):
    assert read_labels(write("path,label\na,10\nb,9\n")).classes == ("9", "10")


def test_labels_order_and_positive_say_what_is_bad(write):
    path = write("path,label\na,0\nb,1\nc,2\nd,3\n")
    assert read_labels(path, positive=["2", "3"]).classes == ("2+3", "0+1")
    assert [each.level for each in read_labels(path, positive=["2", "3"]).pictures] == [1, 1, 0, 0]
    path = write("path,label\na,dim\nb,fine\n")
    assert read_labels(path, order=["dim", "fine"]).classes == ("dim", "fine")
    assert read_labels(path, order=["fine", "dim"]).classes == ("fine", "dim")


def test_labels_patient_column_other_columns_byte_order_mark_and_crlf(write):
    path = write("\ufeffgrader,label,path,patient\r\nx, good ,a.png,7\r\ny,bad,b.png,7\r\n", missing="xy")
    for name in ("a.png", "b.png"):
        (path.parent / name).touch()
    labels = read_labels(path)
    assert labels.patients_known
    assert [each.patient for each in labels.pictures] == ["7", "7"]
    assert [each.label for each in labels.pictures] == ["good", "bad"]


def test_labels_without_patients_each_picture_is_one(write):
    labels = read_labels(write("path,label\na,good\nb,bad\n"))
    assert not labels.patients_known
    assert [each.patient for each in labels.pictures] == ["a", "b"]


def test_labels_data_is_the_folder_of_the_paths(write, tmp_path):
    path = write("path,label\na,good\nb,bad\n")
    with pytest.raises(FileError, match="elsewhere"):
        read_labels(path, data=tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert len(read_labels(path, data=tmp_path / "elsewhere").pictures) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: the header is '', expected the column 'path' once; begin the file with path,label"),
        ("path,grade\na,good\n", "the header is 'path,grade', expected the column 'label' once"),
        ("path,label,label\na,good,bad\n", "expected the column 'label' once"),
        ("path,label\n", "has no row below the header"),
        ("path,label\na,good\nb\n", "row 3: has 1 fields, expected 2 as in the header"),
        ("path,label\na,good\nb,bad,x\n", "row 3: has 3 fields, expected 2"),
        ("path,label\na,good\nb, \n", "row 3: label is empty, expected a value"),
        ("path,label\n,good\n", "row 2: path is empty"),
        ("path,label,patient\na,good,\n", "row 2: patient is empty"),
        ("path,label\na,good\nb,good\n", "every label is 'good', expected at least two labels"),
        ("path,label\na,good\nb,bad\n./a,bad\n", "row 4: './a' is the picture of row 2 again"),
        ("path,label\na,fine\nb,dim\n", "the labels are dim, fine, whose order is known only of reject, bad"),
        ("path,label\na,0\nb,1\nc,2\nd,3\n", "has 4 labels, 0, 1, 2, 3, expected two or three"),
        ("path,label\na,good\nb,b" + "a" * 64 + "d\n", "row 3: label is 'baaa.*, expected at most 64 bytes"),
        ("path,label\na,good\n\"b,bad\n", "is no CSV"),
        ("path,label\n" + "".join(f"p{i},{i}\n" for i in range(17)), "has 17 labels, such as 0, 1, 10"),
    ],
)  # fmt: skip
def test_labels_that_break_a_rule_are_named(write, text, message):
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(write(text))
    assert caught.value.code == "labels_invalid"


def test_labels_not_in_the_order_is_named_with_its_row(write):
    path = write("path,label\na,good\nb,bad\nc,god\n")
    with pytest.raises(LabelError, match=r"row 4: label is 'god', expected one of bad, good"):
        read_labels(path, order=["bad", "good"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ["bad", "fair", "good"]}, "order has 'fair', expected labels of the file: bad, good"),
        ({"order": ["bad", "bad", "good"]}, "order has 'bad' twice"),
        ({"positive": ["reject"]}, "positive has 'reject', expected labels of the file"),
        ({"positive": ["bad", "good"]}, "positive names every label"),
        ({"positive": ["bad"], "order": ["bad", "good"]}, "order and positive are both given"),
    ],
)
def test_labels_wrong_order_or_positive_is_an_option_error(write, options, message):
    with pytest.raises(OptionError, match=message):
        read_labels(write("path,label\na,good\nb,bad\n"), **options)


def test_labels_missing_pictures_are_counted(write):
    path = write("path,label\na,good\nb,bad\nc,bad\n", missing=("b", "c"))
    with pytest.raises(FileError, match=r"row 3: .*b is no file, and 1 more; mend the path") as caught:
        read_labels(path)
    assert caught.value.code == "not_found"


def test_labels_missing_file_and_other_encoding_are_named(write, tmp_path):
    with pytest.raises(FileError, match=re.escape("none.csv cannot be read: No such file")):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(LabelError, match="is not UTF-8 text \\(byte 11\\)"):
        read_labels(write("path,label\nä,good\n", encoding="latin-1", missing="ä"))
