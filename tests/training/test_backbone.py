"""The ImageNet weights sit where they belong: photographs are classified as what they show."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

# ImageNet classes: tabby to Egyptian cat; cup, espresso, coffee mug, soup bowl; missile, projectile.
CATS = set(range(281, 286))
COFFEE = {504, 809, 967, 968}
ROCKETS = {657, 744}


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", COFFEE), ("rocket", ROCKETS)])
def test_load_lite0_photograph_is_classified(name, classes):
    import cv2
    import skimage.data

    from training.backbone import load_lite0

    picture = np.asarray(getattr(skimage.data, name)())
    side = min(picture.shape[:2])
    y, x = ((length - side) // 2 for length in picture.shape[:2])
    crop = cv2.resize(picture[y : y + side, x : x + side], (224, 224), interpolation=cv2.INTER_AREA)
    image = (torch.from_numpy(crop).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        top = set(load_lite0()(image[None])[0].topk(3).indices.tolist())
    assert top & classes


def test_lite0_features_shapes_follow_strides():
    from training.backbone import Lite0Features

    maps = Lite0Features((4, 16), pretrained=False)(torch.zeros(2, 3, 64, 96))
    assert [tuple(each.shape) for each in maps] == [(2, 24, 16, 24), (2, 112, 4, 6)]


def test_lite0_features_unknown_stride_is_named():
    from training.backbone import Lite0Features

    with pytest.raises(ValueError, match="strides holds 2, expected some of"):
        Lite0Features((2,))
